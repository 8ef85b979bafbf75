//! Servers for tests, their responses, and checks of their end.

use super::client::Client;
use super::recorder::{recorder, Recorder};
use super::{until, GET, LONG, SOON};
use hardstop::{Builder, ConnectionState, Error, Handle, Request, Response, Running, Server};
use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpListener};

/// Opens a port. A server that `polls` looks for clients now and then; others wait in the kernel,
/// where that is possible.
pub(crate) fn open(builder: Builder, polls: bool) -> Server {
    open_at("127.0.0.1:0", builder, polls)
}

/// An address that no other test listens on, where the system has more than one for itself.
/// Elsewhere another server may get a port that has just been closed.
pub(crate) const OWN_ADDR: &str = if cfg!(target_os = "linux") {
    "127.104.115.1:0"
} else {
    "127.0.0.1:0"
};

pub(crate) fn open_at(addr: &str, builder: Builder, polls: bool) -> Server {
    let server = match polls {
        false => builder.bind(addr),
        true => builder.bind_listener(TcpListener::bind(addr).unwrap()),
    };
    server.unwrap()
}

/// A running server, with a record of its events.
pub(crate) fn observed<R: Into<Response>>(
    builder: Builder,
    handler: impl Fn(&mut Request<'_>) -> R + Send + Sync + 'static,
) -> (Running, Recorder) {
    let (hook, facts) = recorder();
    let server = builder.on_event(hook).bind("127.0.0.1:0").unwrap();
    (server.spawn(handler).unwrap(), facts)
}

/// A server with the default settings.
pub(crate) fn serve<R: Into<Response>>(
    handler: impl Fn(&mut Request<'_>) -> R + Send + Sync + 'static,
) -> Running {
    let server = Server::bind("127.0.0.1:0").unwrap();
    server.spawn(handler).unwrap()
}

pub(crate) const SLEEP: &str = "GET /sleep HTTP/1.1\r\nHost: x\r\n\r\n";
pub(crate) const FLOOD: &str = "GET /flood HTTP/1.1\r\nHost: x\r\n\r\n";
pub(crate) const HALF_BODY: &str =
    "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1234";

/// The handler of most tests.
pub(crate) fn site(request: &mut Request<'_>) -> Result<Response, Error> {
    let token = request.cancel_token();
    Ok(match request.path() {
        "/body" => Response::text(request.body().read_to_text()?),
        "/sleep" => Response::text(format!("cut: {}", token.wait_timeout(LONG))),
        "/until-stop" => Response::text(format!("told: {}", token.wait_for_stop(LONG))),
        "/flood" => Response::stream(|body| loop {
            body.write_all(&[b'x'; 65536])?;
        }),
        "/broken" => Response::stream(|body| {
            body.flush()?;
            Err(ErrorKind::Other.into())
        }),
        "/panic" => panic!("on purpose"),
        _ => Response::text("hello"),
    })
}

/// A running server that answers as [`site`] does, with a record of its events.
pub(crate) fn serve_site(builder: Builder) -> (Running, Recorder) {
    observed(builder, site)
}

/// Connects a client, sends that, and waits until its connection is in that state.
pub(crate) fn bring(
    handle: &Handle,
    addr: SocketAddr,
    say: &str,
    state: ConnectionState,
) -> Client {
    let mut client = Client::connect(addr);
    client.say(say);
    let peer = client.stream.local_addr().unwrap();
    until(&format!("a connection is {state:?}"), || {
        let open = handle.connections();
        open.iter()
            .any(|info| info.peer == Some(peer) && info.state == state)
    });
    client
}

/// What a client sends, the state that its connection gets into, and a name.
pub(crate) const STATES: [(&str, ConnectionState, &str); 8] = [
    ("", ConnectionState::New, "silent"),
    ("GET / HT", ConnectionState::Head, "half a head"),
    (
        HALF_BODY,
        ConnectionState::Handling,
        "a handler reads a body",
    ),
    (SLEEP, ConnectionState::Handling, "a handler waits"),
    (FLOOD, ConnectionState::Responding, "a response is not read"),
    (
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1234",
        ConnectionState::Handling,
        "a handler has not read the body, and the rest is awaited",
    ),
    (GET, ConnectionState::Idle, "idle"),
    (
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n",
        ConnectionState::Closing,
        "lingering",
    ),
];

pub(crate) fn assert_port_is_free(addr: SocketAddr) {
    assert_refuses(addr);
    TcpListener::bind(addr).expect("the port can be bound again");
}

pub(crate) fn assert_refuses(addr: SocketAddr) {
    assert!(Client::try_connect(addr).is_err(), "a client could connect");
}

pub(crate) fn assert_ends(running: &Running) {
    assert!(running.wait_timeout(SOON), "a connection is left");
    assert!(running.join());
}
