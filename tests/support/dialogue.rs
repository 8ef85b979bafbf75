//! Dialogues in literal bytes.

use super::SOON;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

/// Sends these bytes, and returns everything that the server sends until it ends the connection.
pub(crate) fn dialogue(addr: SocketAddr, bytes: impl AsRef<[u8]>) -> String {
    let mut tcp = connect(addr);
    let _ = tcp.write_all(bytes.as_ref()); // it may have been refused already
    rest(tcp)
}

/// Sends these pieces, closes the sending half, and returns everything that the server sends.
pub(crate) fn last_words(addr: SocketAddr, pieces: &[&[u8]]) -> String {
    let mut tcp = connect(addr);
    for piece in pieces {
        let _ = tcp.write_all(piece); // it may have been refused already
    }
    let _ = tcp.shutdown(Shutdown::Write);
    rest(tcp)
}

fn connect(addr: SocketAddr) -> TcpStream {
    let tcp = TcpStream::connect(addr).unwrap();
    tcp.set_read_timeout(Some(SOON)).unwrap();
    tcp.set_nodelay(true).unwrap();
    tcp
}

fn rest(mut tcp: TcpStream) -> String {
    let mut said = Vec::new();
    match tcp.read_to_end(&mut said) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("still open after {SOON:?}: {error}, said {said:?}"),
    }
    String::from_utf8_lossy(&said).into_owned()
}

/// The status codes of all responses in a text.
pub(crate) fn statuses(said: &str) -> Vec<u16> {
    let heads = said.split("HTTP/1.1 ").skip(1);
    heads
        .filter_map(|head| head.get(..3)?.parse().ok())
        .collect()
}

/// A text without its `Date` headers, which differ from run to run.
pub(crate) fn undated(said: &str) -> String {
    let lines = said.split_inclusive("\r\n");
    lines.filter(|line| !line.starts_with("Date: ")).collect()
}
