//! Uploads of files.

use crate::support::client::Client;
use crate::support::server::observed;
use crate::support::until;
use hardstop::{Builder, Error, Request, Running, Server};
use hardstop_recipes::multipart::receive_upload;
use std::fs;
use std::net::Shutdown;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// An empty directory, which is removed with everything in it.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&path); // an earlier run may have left it
        fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.0).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0); // it stays for the next run
    }
}

/// A server that answers with a line for each text and each file, which are in hexadecimal.
fn serve(builder: Builder, directory: &Directory) -> Running {
    let path = directory.0.clone();
    let handler = move |req: &mut Request<'_>| -> Result<String, Error> {
        let upload = receive_upload(req, &path)?;
        let mut lines = String::new();
        for (field, text) in &upload.texts {
            lines += &format!("{field}: {text}\n");
        }
        for file in &upload.files {
            let bytes = fs::read(&file.path)?;
            assert_eq!(bytes.len() as u64, file.bytes);
            let sum: u64 = bytes.iter().map(|byte| u64::from(*byte)).sum();
            lines += &format!("{}: {:?} of {}, {sum}\n", file.field, file.name, file.bytes);
        }
        Ok(lines)
    };
    observed(builder, handler).0
}

fn head(length: usize) -> String {
    format!(
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n\
         Content-Length: {length}\r\n\r\n"
    )
}

const TEXT: &str = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nyes\r\n";
const FILE: &str = "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"../x\"\r\n\
                    Content-Type: text/plain\r\n\r\n";
const END: &str = "\r\n--b--\r\n";

#[test]
fn a_form_is_received_however_it_is_cut() {
    let directory = Directory::new("cut");
    let server = serve(Server::builder(), &directory);
    // What looks like a boundary for a while, across the pieces in which it is read.
    let data = "\r\n--a\r\n-\r\n--\rb\n--b".repeat(5000);
    let body = format!("ignored\r\n{TEXT}{FILE}{data}{END}ignored");
    let sum: u64 = data.bytes().map(u64::from).sum();
    let expected = format!("a: yes\nf: \"../x\" of {}, {sum}\n", data.len());
    for size in [1000, 4096, 7777, body.len()] {
        let mut client = Client::connect(server.local_addr());
        client.say(&head(body.len()));
        for piece in body.as_bytes().chunks(size) {
            client.say_bytes(piece);
        }
        assert_eq!(client.response().text(), expected, "in pieces of {size}");
    }
    assert!(directory.files().is_empty());
}

#[test]
fn a_file_is_on_disk_while_the_rest_is_still_to_come() {
    let directory = Directory::new("pieces");
    let server = serve(Server::builder(), &directory);
    let mut client = Client::connect(server.local_addr());
    let half = "x".repeat(1_000_000);
    client.say(&head(FILE.len() + 2 * half.len() + END.len()));
    client.say(FILE);
    client.say(&half);
    until("the first half has been written", || {
        let files = directory.files();
        let file = files.first().and_then(|path| fs::metadata(path).ok());
        file.is_some_and(|file| file.len() > 900_000)
    });
    client.say(&half);
    client.say(END);
    assert_eq!(client.response().status, 200);
}

#[test]
fn hostile_forms_get_400_and_leave_no_file() {
    let long = "x".repeat(200_000);
    let bounded = "the form has no part where one should be";
    let cases = [
        // The form, the reason that is sent, and what the form has.
        (String::new(), "incomplete", "nothing"),
        (long.clone(), bounded, "no boundary"),
        (
            format!("{TEXT}--b\r\nX: {long}"),
            bounded,
            "headers without an end",
        ),
        (format!("{FILE}data"), "incomplete", "data without an end"),
        (
            format!("{FILE}data\r\n--b"),
            "incomplete",
            "half a boundary",
        ),
        (
            format!("{FILE}data\r\n--bx--\r\n"),
            "incomplete",
            "another boundary",
        ),
        (
            format!("--b x{TEXT}{END}"),
            "incomplete",
            "bytes after a boundary",
        ),
        (
            String::from("--b\r\nX\r\n\r\ndata\r\n--b--"),
            "headers",
            "no colon",
        ),
        (format!("--b\r\n\r\ndata{END}"), "incomplete", "no headers"),
        (
            format!("--b\r\nX: y\r\n\r\ndata{END}"),
            "no name",
            "no name",
        ),
        (
            format!("{FILE}data\r\n{TEXT}{END}").replace("yes", "\u{fffd}"),
            "not UTF-8",
            "no UTF-8",
        ),
    ];
    let directory = Directory::new("hostile");
    let server = serve(Server::builder(), &directory);
    for (body, text, reason) in cases {
        // A replacement character stands for a byte that is none in UTF-8.
        let body = body.replace('\u{fffd}', "\x00").into_bytes();
        let body: Vec<u8> = body
            .iter()
            .map(|byte| if *byte == 0 { 0xff } else { *byte })
            .collect();
        let mut client = Client::connect(server.local_addr());
        client.say(&head(body.len()));
        client.say_bytes(&body);
        let answer = client.response();
        assert_eq!(answer.status, 400, "{reason}: {}", answer.text());
        assert!(answer.text().contains(text), "{reason}: {}", answer.text());
        assert!(directory.files().is_empty(), "{reason}");
    }
}

#[test]
fn what_is_no_form_gets_415() {
    let directory = Directory::new("other");
    let server = serve(Server::builder(), &directory);
    for content_type in [
        "text/plain",
        "multipart/mixed; boundary=b",
        "multipart/form-data",
        "x",
    ] {
        let mut client = Client::connect(server.local_addr());
        client.say(&head(0).replace("multipart/form-data; boundary=b", content_type));
        assert_eq!(client.response().status, 415, "{content_type}");
    }
}

#[test]
fn limits_hold() {
    let directory = Directory::new("limits");
    let server = serve(Server::builder(), &directory);
    let long = TEXT.replace("yes", &"x".repeat(64 * 1024 + 1));
    for body in [TEXT.repeat(101), long] {
        let body = format!("{FILE}data\r\n{body}{END}");
        let mut client = Client::connect(server.local_addr());
        client.say(&head(body.len()));
        client.say(&body);
        assert_eq!(client.response().status, 413);
        assert!(directory.files().is_empty());
    }
    let body = format!("{}{END}", TEXT.repeat(100));
    let mut client = Client::connect(server.local_addr());
    client.say(&head(body.len()));
    client.say(&body);
    assert_eq!(client.response().status, 200);
}

#[test]
fn a_body_that_fails_keeps_its_status_and_leaves_no_file() {
    let directory = Directory::new("failed");
    let builder = Server::builder().body_timeout(Duration::from_millis(200));
    let server = serve(builder, &directory);
    let begin = format!("{FILE}{}", "x".repeat(40_000)); // so that there is a file
    let cases = [
        (2_000_000_000, false, 413, "larger than the limit"),
        (100_000, false, 408, "too slow"),
        (100_000, true, 400, "ended early"),
    ];
    for (length, ends, status, reason) in cases {
        let mut client = Client::connect(server.local_addr());
        client.say(&head(length));
        client.say(&begin);
        if ends {
            client.stream.shutdown(Shutdown::Write).unwrap();
        }
        let answer = client.response();
        assert_eq!(answer.status, status, "{reason}: {}", answer.text());
        assert!(directory.files().is_empty(), "{reason}");
    }
}

#[test]
fn a_destroy_in_the_middle_leaves_no_file() {
    let directory = Directory::new("destroyed");
    let server = serve(Server::builder(), &directory);
    let mut client = Client::connect(server.local_addr());
    client.say(&head(1_000_000));
    client.say(&format!("{FILE}{}", "x".repeat(100_000)));
    until("a file is there", || !directory.files().is_empty());
    server.destroy();
    assert!(server.join());
    assert!(directory.files().is_empty());
}
