//! The settings of the builder, and what is bound.

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

/// `localhost` may stand for two addresses, and clients of the other one are refused.
#[test]
fn a_name_of_several_addresses_is_bound_at_the_first_that_is_free() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    let addrs = [
        taken.local_addr().unwrap(),
        free,
        "127.0.0.2:0".parse().unwrap(),
    ];
    let server = Server::bind(&addrs[..]).unwrap();
    let addr = server.local_addr();
    assert_eq!(addr.ip(), free.ip());
    assert_ne!(addr.port(), addrs[0].port());
    let other = SocketAddr::new(addrs[2].ip(), addr.port());
    assert!(TcpStream::connect(other).is_err());
}

/// Where the system lets a server on `[::]` take clients of IPv4.
#[cfg(target_os = "linux")]
#[test]
fn a_client_of_ipv4_has_a_mapped_address_on_an_ipv6_socket() {
    let only_ipv6 = std::fs::read_to_string("/proc/sys/net/ipv6/bindv6only");
    if only_ipv6.map_or(true, |value| value.trim() != "0") {
        println!("not tested: this system has no such sockets");
        return;
    }
    let server = Server::bind("[::]:0").unwrap();
    let port = server.local_addr().port();
    let running = server.spawn(|request| {
        use std::net::IpAddr;
        let ip = request.peer_addr().unwrap().ip();
        let canonical = match ip {
            IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(ip, IpAddr::V4),
            IpAddr::V4(_) => ip,
        };
        format!("{ip} {} {}", ip.is_loopback(), canonical.is_loopback())
    });
    let running = running.unwrap();
    for (addr, want) in [
        (
            SocketAddr::from(([127, 0, 0, 1], port)),
            "::ffff:127.0.0.1 false true",
        ),
        (
            SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port)),
            "::1 true true",
        ),
    ] {
        let mut client = Client::connect(addr);
        client.say("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(client.response().text(), want);
    }
    running.destroy();
}
