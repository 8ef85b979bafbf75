//! Readers that block between two pieces, such as the log of a running program.

use super::*;
use std::sync::mpsc::{Receiver, Sender};

/// A reader that gives one piece for each one that the test sends, and blocks until then.
struct Blocking(Receiver<io::Result<Vec<u8>>>);

impl Read for Blocking {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.0.recv_timeout(SOON) {
            Ok(Ok(piece)) => {
                buf[..piece.len()].copy_from_slice(&piece);
                Ok(piece.len())
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Ok(0),
        }
    }
}

/// A server whose only response is such a reader, and the sender of its pieces.
fn serve_pieces(length: Option<u64>) -> (Running, Sender<io::Result<Vec<u8>>>) {
    let (give, pieces) = channel();
    let pieces = Mutex::new(Some(pieces));
    let server = serve(move |_| {
        let pieces = pieces.lock().unwrap().take().unwrap();
        Response::reader(Blocking(pieces), length)
    });
    (server, give)
}

fn expect_chunk(client: &mut Client, size: usize) {
    assert_eq!(client.line(), format!("{size:x}"));
    client.take(size);
    assert_eq!(client.line(), "", "the end of the chunk has come as well");
}

/// What one read gives: little, more than is collected, all that a large buffer takes.
const SIZES: [usize; 5] = [1, 100, 20_000, 65_536, 128 * 1024];

/// Regression: nothing left until 16 KiB had come, not even the head.
#[test]
fn what_a_read_has_given_leaves_before_the_next_one_blocks() {
    let (server, give) = serve_pieces(None);
    let mut client = Client::connect(server.local_addr());
    client.say(&request("GET", "1.1"));
    give.send(Ok(b"first".to_vec())).unwrap();
    let head = client.head_response();
    assert_eq!(head.header("Transfer-Encoding").as_deref(), Some("chunked"));
    expect_chunk(&mut client, 5);
    for size in SIZES {
        give.send(Ok(vec![b'a'; size])).unwrap();
        expect_chunk(&mut client, size);
    }
    drop(give);
    assert_eq!(client.line(), "0");
    assert_eq!(client.line(), "");
}

#[test]
fn what_a_read_has_given_leaves_at_once_to_an_http_1_0_client() {
    let (server, give) = serve_pieces(None);
    let mut client = Client::connect(server.local_addr());
    client.say(&request("GET", "1.0"));
    give.send(Ok(b"first".to_vec())).unwrap();
    client.head_response();
    assert_eq!(client.take(5), b"first");
    for size in SIZES {
        give.send(Ok(vec![b'a'; size])).unwrap();
        client.take(size);
    }
    drop(give);
    client.expect_end();
}

#[test]
fn a_reader_that_fails_after_a_wait_gets_500_if_it_has_given_nothing() {
    let (server, give) = serve_pieces(None);
    let mut client = Client::connect(server.local_addr());
    client.say(&request("GET", "1.1"));
    // It waits in its first read, so a head that had left would have come by now.
    let mut byte = [0];
    client.stream.set_read_timeout(Some(SHORT)).unwrap();
    assert!(client.stream.peek(&mut byte).is_err(), "the head has left");
    client.stream.set_read_timeout(Some(SOON)).unwrap();
    give.send(Err(ErrorKind::Other.into())).unwrap();
    assert_eq!(client.response().status, 500);
}

/// Regression: nothing left until 16 KiB had come.
#[test]
#[cfg(unix)]
fn a_line_from_a_pipe_arrives_before_the_next_one() {
    use std::os::unix::io::OwnedFd;
    use std::process::{Command, Stdio};
    let mut cat = Command::new("cat");
    let cat = cat.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut cat = cat.spawn().unwrap();
    let mut lines = cat.stdin.take().unwrap();
    let pipe = File::from(OwnedFd::from(cat.stdout.take().unwrap()));
    let pipe = Mutex::new(Some(pipe));
    let server = serve(move |_| {
        let pipe = pipe.lock().unwrap().take().unwrap();
        Ok::<_, Error>(Response::file(pipe)?)
    });
    let mut client = Client::connect(server.local_addr());
    client.say(&request("GET", "1.1"));
    lines.write_all(b"one\n").unwrap();
    client.head_response();
    for line in ["two\n", "three\n", ""] {
        let size = usize::from_str_radix(&client.line(), 16).unwrap();
        assert!(client.take(size).ends_with(b"\n"));
        assert_eq!(client.line(), "");
        lines.write_all(line.as_bytes()).unwrap();
    }
    drop(lines);
    assert_eq!(client.line(), "0");
    cat.wait().unwrap();
}
