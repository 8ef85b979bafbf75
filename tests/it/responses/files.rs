//! Files as responses.

use super::*;
use crate::support::recorder::Recorder;
use crate::support::temp_file::TempFile;

#[test]
fn a_file_is_sent_from_its_position_to_its_end() {
    let bytes = b"0123456789".repeat(20_000);
    let file = TempFile::new("sent", &bytes);
    let path = file.0.clone();
    let server = serve(move |req| {
        let mut opened = File::open(&path)?;
        if req.path() == "/half" {
            opened.seek(SeekFrom::Start(100_000))?;
        } else if req.path() == "/beyond" {
            opened.seek(SeekFrom::Start(300_000))?;
        }
        let response = Response::file(opened)?;
        Ok::<_, Error>(response.with_header("Content-Type", "text/plain"))
    });
    let mut client = Client::connect(server.local_addr());
    for (path, want) in [
        ("/", &bytes[..]),
        ("/half", &bytes[100_000..]),
        ("/beyond", &[][..]),
    ] {
        client.say(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let answer = client.response();
        assert_eq!(
            answer.header("Content-Length"),
            Some(want.len().to_string())
        );
        assert!(answer.body == want, "{path}");
        client.say(&format!("HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let head = client.head_response();
        assert_eq!(head.header("Content-Length"), Some(want.len().to_string()));
    }
}

/// A server with a file of that many bytes, which shrinks to half of it after its length is taken.
fn serve_shrinking(name: &str, size: usize) -> (TempFile, Running, Recorder) {
    let file = TempFile::new(name, &vec![b'a'; size]);
    let path = file.0.clone();
    let half = u64::try_from(size / 2).unwrap();
    let (server, events) = observed(Server::builder(), move |_| {
        let response = Response::file(File::open(&path)?)?;
        File::options().write(true).open(&path)?.set_len(half)?;
        Ok::<_, Error>(response)
    });
    (file, server, events)
}

#[test]
fn a_shrinking_file_cuts_its_response() {
    let (_file, server, events) = serve_shrinking("shrinks", 100_000);
    let said = dialogue(server.local_addr(), request("GET", "1.1"));
    assert!(said.contains("\r\nContent-Length: 100000\r\n"), "{said}");
    let (_, sent) = said.split_once("\r\n\r\n").unwrap();
    assert!(sent == "a".repeat(50_000), "it is not what was there");
    assert!(events
        .take_failure()
        .starts_with("the response's reader ended"));
}

#[test]
fn a_small_file_that_shrinks_becomes_500() {
    let (_file, server, events) = serve_shrinking("shrinks-small", 10);
    let said = last_words(server.local_addr(), &[request("GET", "1.1").as_bytes()]);
    assert_eq!(statuses(&said), [500], "{said}");
    assert!(events
        .take_failure()
        .starts_with("the response's reader ended"));
}

/// A log that is written to while it is sent.
#[test]
fn a_growing_file_is_sent_as_it_was() {
    let file = TempFile::new("grows", b"first\n");
    let path = file.0.clone();
    let (server, events) = observed(Server::builder(), move |_| {
        let response = Response::file(File::open(&path)?)?;
        let mut log = File::options().append(true).open(&path)?;
        log.write_all(b"second\n")?;
        Ok::<_, Error>(response)
    });
    let mut client = Client::connect(server.local_addr());
    client.say(&request("GET", "1.1"));
    assert_eq!(client.response().text(), "first\n");
    client.say(&request("GET", "1.1"));
    assert_eq!(client.response().text(), "first\nsecond\n");
    server.destroy();
    assert!(server.join());
    let facts = events.so_far();
    let failed = |fact: &Fact| matches!(fact, Fact::RequestFailed(..));
    assert!(!facts.iter().any(failed), "{facts:?}");
}

#[test]
fn a_directory_is_not_sent_as_a_file() {
    // Not every system opens directories.
    if let Ok(directory) = File::open(std::env::temp_dir()) {
        let error = Response::file(directory).unwrap_err();
        assert_eq!(error.to_string(), "a directory cannot be sent as a file");
    }
}
