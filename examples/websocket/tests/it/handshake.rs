//! The opening handshake, and whom it refuses.

use super::*;

/// The handshake of RFC 6455 §1.2.
pub(crate) fn request(addr: SocketAddr) -> String {
    format!(
        "GET /chat HTTP/1.1\r\nHost: {addr}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
}

#[test]
fn the_handshake_of_the_rfc_is_completed() {
    let chat = Chat::open();
    let mut client = Client::connect(chat.addr());
    // What browsers offer beside it is neither accepted nor refused.
    let offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";
    let request = request(chat.addr());
    client.say(&format!("{}{offer}", &request[..request.len() - 2]));
    let answer = client.head_response();
    assert_eq!(answer.status, 101);
    let fields = [
        ("Upgrade", Some("websocket")),
        ("Connection", Some("upgrade")),
        ("Sec-WebSocket-Accept", Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")),
        ("Sec-WebSocket-Extensions", None),
        ("Sec-WebSocket-Protocol", None),
    ];
    for (name, value) in fields {
        assert_eq!(answer.header(name).as_deref(), value, "{name}");
    }
}

#[test]
fn a_handshake_that_is_none_is_refused() {
    let table = [
        ("Version: 13", "Version: 8", 426, "an older version"),
        ("Version: 13", "Version: 13, 8", 426, "not a number"),
        ("Sec-WebSocket-Version: 13\r\n", "", 426, "no version"),
        ("Upgrade: websocket\r\n", "", 426, "a plain request"),
        (
            "Upgrade: websocket",
            "Upgrade: h2c",
            400,
            "another protocol",
        ),
        (
            "Connection: Upgrade\r\n",
            "",
            400,
            "RFC 9110 §7.8: an upgrade that is not meant for this server",
        ),
        (
            "HTTP/1.1",
            "HTTP/1.0",
            400,
            "RFC 9110 §7.8: HTTP/1.0 has no upgrade",
        ),
        ("dGhl", "////", 101, "its 16 bytes may be any"),
        ("dGhl", "dGh", 400, "a key that is too short"),
        ("dGhl", "dGhlIHNh", 400, "a key that is too long"),
        ("dGhl", "dGh-", 400, "a key in another alphabet"),
        ("Q==", "Q0=", 400, "a key of 17 bytes"),
        ("Q==", "Q00", 400, "a key of 18 bytes"),
        ("Q==", "Q=", 400, "a key that is not filled up"),
        (
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            "",
            400,
            "no key",
        ),
        ("GET", "POST", 403, "a POST without an origin"),
        ("GET", "HEAD", 404, "RFC 6455 §4.1: only GET"),
        ("/chat", "/chat/", 404, "another path"),
    ];
    let chat = Chat::open();
    for (part, other, status, why) in table {
        let request = request(chat.addr());
        let changed = request.replacen(part, other, 1);
        assert_ne!(changed, request, "{why}: the part was not found");
        let mut client = Client::connect(chat.addr());
        client.say(&changed);
        let answer = client.head_response();
        assert_eq!(answer.status, status, "{why}: {changed}");
        if status == 426 {
            // RFC 9110 §15.5.22 wants the one, RFC 6455 §4.4 the other.
            assert_eq!(
                answer.header("Upgrade").as_deref(),
                Some("websocket"),
                "{why}"
            );
            let version = answer.header("Sec-WebSocket-Version");
            assert_eq!(version.as_deref(), Some("13"), "{why}");
        }
    }
}

#[test]
fn a_foreign_page_gets_neither_the_chat_nor_the_page() {
    let table = [
        ("ADDR", Some("http://ADDR"), None, "the page itself"),
        ("ADDR", None, None, "a client that is not a browser"),
        (
            "localhost:PORT",
            Some("http://localhost:PORT"),
            None,
            "by name",
        ),
        (
            "localhost:8022",
            Some("http://localhost:8022"),
            None,
            "through a forwarded port",
        ),
        (
            "ADDR",
            Some("http://evil.example"),
            Some(403),
            "a page from elsewhere",
        ),
        (
            "ADDR",
            Some("http://127.0.0.1:1"),
            Some(403),
            "a page of another program",
        ),
        (
            "ADDR",
            Some("http://localhost:PORT"),
            Some(403),
            "not the name that is asked for",
        ),
        ("ADDR", Some("https://ADDR"), Some(403), "another scheme"),
        (
            "ADDR",
            Some("null"),
            Some(403),
            "a page from a file, of data, or in a sandbox",
        ),
        ("ADDR", Some(""), Some(403), "none"),
        (
            "evil.example:PORT",
            Some("http://evil.example:PORT"),
            Some(421),
            "a name that leads here",
        ),
        (
            "evil.example",
            None,
            Some(421),
            "the same, without an origin",
        ),
    ];
    let chat = Chat::open();
    let addr = chat.addr();
    let fill = |text: &str| {
        let text = text.replace("ADDR", &addr.to_string());
        text.replace("PORT", &addr.port().to_string())
    };
    for (host, origin, refused, why) in table {
        let mut fields = fill(host);
        if let Some(origin) = origin {
            fields.push_str(&format!("\r\nOrigin: {}", fill(origin)));
        }
        let mut client = Client::connect(addr);
        client.say(&request(addr).replacen(&addr.to_string(), &fields, 1));
        let status = client.head_response().status;
        assert_eq!(status, refused.unwrap_or(101), "{why}: {fields}");

        let mut client = Client::connect(addr);
        client.say(&format!("GET / HTTP/1.1\r\nHost: {fields}\r\n\r\n"));
        let answer = client.response();
        assert_eq!(answer.status, refused.unwrap_or(200), "{why}: {fields}");
        assert_eq!(
            answer.text().contains("new WebSocket"),
            refused.is_none(),
            "{why}"
        );
    }
}
