//! The settings of the builder, and errors of binding.

use super::*;

#[test]
fn every_timeout_can_be_turned_off() {
    let builder = Server::builder().header_timeout(None).idle_timeout(None);
    let builder = builder
        .body_timeout(None)
        .write_timeout(None)
        .min_rate(None);
    let (server, _events) = observed(builder, count);
    let mut client = Client::connect(server.local_addr());
    for piece in [
        "POST / HT",
        "TP/1.1\r\nHost: x\r\nContent-Len",
        "gth: 4\r\n\r\nab",
    ] {
        client.say(piece);
    }
    client.say("cd");
    assert_eq!(client.response().text(), "4");
}

#[test]
fn an_invalid_setting_is_an_error_with_its_name() {
    let zero = Duration::ZERO;
    let new = Server::builder;
    let table: [(Builder, &str); 11] = [
        (new().max_connections(0), "max_connections is 0"),
        (new().header_timeout(zero), "header_timeout is zero"),
        (new().idle_timeout(zero), "idle_timeout is zero"),
        (new().body_timeout(zero), "body_timeout is zero"),
        (new().write_timeout(zero), "write_timeout is zero"),
        (new().min_rate(0), "min_rate is 0"),
        (new().max_head_bytes(0), "max_head_bytes is "),
        (new().max_headers(0), "max_headers is 0"),
        (new().stack_size(0), "stack_size is "),
        (new().socket_mode(0o600), "socket_mode is for bind_unix"),
        (new().socket_mode(0o1777), "socket_mode is "),
    ];
    for (builder, want) in table {
        let error = builder.bind("127.0.0.1:0").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{want}");
        assert!(error.to_string().starts_with(want), "{error}");
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let error = new().max_headers(0).bind_listener(listener).unwrap_err();
    assert!(error.to_string().starts_with("max_headers"), "{error}");
    let (server, _events) = observed(new().max_body_bytes(0), count);
    let mut client = Client::connect(server.local_addr());
    client.say("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(
        client.response().status,
        200,
        "no body at all can be wanted"
    );
}

#[test]
fn a_bind_error_names_the_address() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap();
    let error = Server::bind(addr).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    let text = format!("cannot listen on {addr}: address in use");
    assert_eq!(error.to_string(), text);
    let error = Server::bind(&[addr, addr][..]).unwrap_err();
    assert_eq!(error.to_string(), text);
    let error = Server::bind("127.0.0.1").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "no port");
    let text = "no address to listen on, such as `127.0.0.1:8080`: ";
    assert!(error.to_string().starts_with(text), "{error}");
    let error = Server::bind(&[][..]).unwrap_err();
    assert_eq!(error.to_string(), format!("{text}none was given"));
    // Documentation addresses (RFC 5737) belong to no machine.
    let error = Server::bind("192.0.2.1:80").unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("cannot listen on 192.0.2.1:80: "),
        "{error}"
    );
}
