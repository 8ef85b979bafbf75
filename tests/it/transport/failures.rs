//! Hooks and handshakes that fail.

use super::*;

/// A transport whose first write sends a half and panics.
struct Half {
    tcp: TcpStream,
    is_first: bool,
}

impl Read for Half {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.tcp.read(buf)
    }
}

impl Write for Half {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_first {
            self.is_first = false;
            self.tcp.write_all(&bytes[..bytes.len() / 2])?;
            panic!("on purpose");
        }
        self.tcp.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tcp.flush()
    }
}

fn panicking() -> Builder {
    Server::builder().transport(|tcp, _| {
        Ok(Half {
            tcp,
            is_first: true,
        })
    })
}

/// The panic has led to the failure of all later writes, which is not the reason.
#[test]
fn a_panic_of_a_transport_in_a_response_is_the_reason_of_the_end() {
    let (running, facts) = observed(panicking(), |_| Response::text("A".repeat(100_000)));
    let mut client = Client::connect(running.local_addr());
    client.say(GET);
    client.expect_end();
    assert_eq!(facts.reason(1), CloseReason::HandlerPanicked);
}

/// Regression: the response to the panic followed the half of the one before, whose length it
/// filled, so that the client took both for one.
#[test]
fn nothing_follows_the_half_of_a_response() {
    let (running, facts) = observed(panicking(), |request| -> Result<Response, Error> {
        if request.path() == "/" {
            return Ok(Response::text("A".repeat(200)));
        }
        request.body().read_to_vec()?;
        Ok(Response::text("all of it"))
    });
    let mut client = TcpStream::connect(running.local_addr()).unwrap();
    client.set_read_timeout(Some(SOON)).unwrap();
    let half_body = "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1234";
    client
        .write_all(format!("{GET}{half_body}").as_bytes())
        .unwrap();
    let mut said = Vec::new();
    let _ = client.read_to_end(&mut said); // it may end with a reset
    let said = String::from_utf8(said).unwrap();
    assert_eq!(statuses(&said), [200]);
    assert!(said.ends_with('A'), "{said}");
    assert_eq!(facts.reason(1), CloseReason::HandlerPanicked);
    let responses = facts.so_far();
    let responses = responses
        .iter()
        .filter(|fact| matches!(fact, Fact::Responded(..)));
    assert_eq!(responses.count(), 1);
}

#[test]
fn a_failing_transport_hook_ends_its_connection_with_its_error() {
    let hook = |_, id: ConnectionId| match u64::from(id) {
        1 => Err("no certificate for that".into()),
        _ => Err::<TcpStream, _>(io::Error::new(ErrorKind::Other, "or that").into()),
    };
    let (running, events) = observed(Server::builder().transport(hook), echo);
    for (number, why) in [(1, "no certificate for that"), (2, "or that")] {
        let mut peer = Peer::silent(running.local_addr(), PLAIN);
        peer.say(GET);
        peer.expect_cut();
        let told = events.take_connection();
        assert_eq!(
            told[..2],
            [
                Fact::Opened(number),
                Fact::TransportFailed(number, String::from(why))
            ]
        );
        assert!(
            matches!(
                told[2..],
                [Fact::Closed(_, CloseReason::TransportFailed, _)]
            ),
            "{told:?}"
        );
    }
}

#[test]
fn a_failed_handshake_ends_its_connection() {
    for odd in [EAGER, LAZY] {
        let (running, events) = observed(over(odd), echo);
        let mut peer = Peer::silent(running.local_addr(), PLAIN);
        peer.say(GET); // plain bytes, not a handshake
        peer.expect_cut();
        assert_eq!(peer.heard, "");
        let told = events.take_connection();
        assert_eq!(told[1], Fact::TransportFailed(1, String::from("no hello")));
        assert!(
            matches!(
                told[2..],
                [Fact::Closed(_, CloseReason::TransportFailed, _)]
            ),
            "{told:?}"
        );
        drop(Peer::silent(running.local_addr(), PLAIN)); // closed before the handshake
        events.take_until(|fact| matches!(fact, Fact::TransportFailed(..)));
        events.take_until_closed(CloseReason::TransportFailed);
        let mut peer = Peer::connect(running.local_addr(), odd);
        peer.say(LAST);
        assert_eq!(statuses(peer.hear_all()), [200]);
    }
}

#[test]
fn a_panicking_transport_hook_ends_only_its_connection() {
    let hook = |tcp: TcpStream, id: ConnectionId| {
        assert_ne!(u64::from(id), 1, "on purpose");
        Ok(Wrapper::new(tcp, SCRAMBLED)?)
    };
    let (running, events) = observed(Server::builder().transport(hook), echo);
    Peer::silent(running.local_addr(), SCRAMBLED).expect_cut();
    let told = events.take_connection();
    let message =
        matches!(&told[1], Fact::HandlerPanicked(1, message) if message.contains("on purpose"));
    assert!(message, "{told:?}");
    assert!(
        matches!(
            told[2..],
            [Fact::Closed(_, CloseReason::HandlerPanicked, _)]
        ),
        "{told:?}"
    );
    let mut peer = Peer::connect(running.local_addr(), SCRAMBLED);
    peer.say(LAST);
    assert_eq!(statuses(peer.hear_all()), [200]);
}
