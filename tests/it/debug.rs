//! What the types print for debugging: what a value is, and neither a body nor a request's headers,
//! which may hold secrets.

use crate::support::client::Client;
use crate::support::SOON;
use hardstop::{Error, Response, Server};
use std::io::{Read, Write};
use std::sync::mpsc;
use std::sync::Mutex;

const POST: &str =
    "POST /a?b HTTP/1.1\r\nHost: x\r\nCookie: secret\r\nContent-Length: 6\r\n\r\nsecret";

#[test]
fn a_request_and_its_parts_print_no_header_and_no_body() {
    let printed = Mutex::new(Vec::new());
    let answers = Server::builder().answer(POST, |request| {
        let mut printed = printed.lock().unwrap();
        printed.push(format!("{request:?}"));
        printed.push(format!("{:?}", request.cancel_token()));
        request.body().read_exact(&mut [0; 2]).unwrap();
        printed.push(format!("{:?}", request.body()));
        "hello"
    });
    assert_eq!(answers.unwrap()[0].status(), 200);
    assert_eq!(
        printed.into_inner().unwrap(),
        [
            "Request { method: \"POST\", target: \"/a?b\", version: Http11, .. }",
            "CancelToken { is_cancelled: false, is_draining: false, .. }",
            "Body { len: Some(6), received: 2, .. }",
        ]
    );
}

#[test]
fn a_response_and_its_parts_print_no_body() {
    let response = Response::text("secret").with_header("A", "b");
    assert_eq!(
        format!("{response:?}"),
        "Response { status: StatusCode(200), content_type: \"text/plain; charset=utf-8\", headers: \"A: b\\r\\n\", .. }"
    );
    assert_eq!(
        format!("{:?}", response.body()),
        "ResponseBody { len: Some(6), .. }"
    );
    let early = Error::from(Response::text("secret").with_status(404));
    assert_eq!(
        format!("{early:?}"),
        "Early(EarlyResponse { status: StatusCode(404), failure: None, .. })"
    );
    let (sender, written) = mpsc::channel();
    let answers = Server::builder().answer("GET / HTTP/1.1\r\nHost: x\r\n\r\n", |_| {
        let sender = sender.clone();
        Response::stream(move |body| {
            body.write_all(b"secret")?;
            sender.send(format!("{body:?}")).unwrap();
            Ok(())
        })
    });
    assert_eq!(answers.unwrap()[0].text(), "secret");
    assert_eq!(written.recv().unwrap(), "BodyWriter { written: 6, .. }");
}

#[test]
fn an_upgraded_stream_and_its_lease_print_the_number_of_their_connection() {
    let (sender, printed) = mpsc::channel();
    let server = Server::bind("127.0.0.1:0").unwrap().spawn(move |_| {
        let sender = sender.clone();
        Response::upgrade("echo", move |stream| {
            let stream_text = format!("{stream:?}");
            let (_, _, lease) = stream.into_tcp().unwrap();
            sender.send((stream_text, format!("{lease:?}"))).unwrap();
        })
    });
    let server = server.unwrap();
    let mut client = Client::connect(server.local_addr());
    let offer = "Connection: upgrade\r\nUpgrade: echo\r\n";
    client.say(&format!("GET / HTTP/1.1\r\nHost: x\r\n{offer}\r\nsecret"));
    let (stream, lease) = printed.recv_timeout(SOON).unwrap();
    assert_eq!(stream, "Upgraded { id: ConnectionId(1), unread: 6, .. }");
    assert_eq!(lease, "Lease { id: ConnectionId(1), .. }");
}

#[test]
fn a_server_and_its_owners_print_the_address_and_the_settings() {
    let builder = Server::builder().max_connections(7);
    let text = format!("{builder:?}");
    assert!(text.starts_with("Builder { "), "{text}");
    assert!(text.contains(" max_connections: 7, "), "{text}");
    let server = builder.bind("127.0.0.1:0").unwrap();
    let addr = server.local_addr();
    assert_eq!(
        format!("{server:?}"),
        format!("Server {{ local_addr: {addr}, .. }}")
    );
    let running = server.spawn(|_| "hello").unwrap();
    running.destroy();
    assert_eq!(
        format!("{running:?}"),
        format!("Running {{ local_addr: {addr}, .. }}")
    );
    assert_eq!(
        format!("{:?}", running.handle()),
        format!("Handle {{ local_addr: {addr}, phase: Destroyed, .. }}")
    );
}

#[test]
fn a_builder_prints_the_documented_defaults() {
    let stack_size = if cfg!(target_pointer_width = "64") {
        2_097_152
    } else {
        524_288
    };
    let text = format!("{:?}", Server::builder());
    for setting in [
        "max_connections: 256",
        "idle_timeout: Some(75s)",
        &format!("stack_size: {stack_size}"),
    ] {
        assert!(text.contains(&format!("{setting},")), "{setting}: {text}");
    }
}
