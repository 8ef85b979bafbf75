//! Requests over a limit. The server of these tests allows 256 bytes for a head, 8 headers, 32
//! bytes for a body.

use super::Case;

/// 64 bytes.
macro_rules! a64 {
    () => {
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    };
}

/// 32 bytes.
macro_rules! a32 {
    () => {
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    };
}

macro_rules! bytes {
    ($($part:expr),*) => {
        concat!($($part),*).as_bytes()
    };
}

#[rustfmt::skip] // one case, one line
pub(super) const CASES: &[Case] = &[
    // A head of more than 256 bytes
    (bytes!("GET /", a64!(), a64!(), a64!(), a32!(), "aaaaa HTTP/1.1\r\nHost: x\r\n\r\n"), "200 GET /a*229 1.1", "9112 §3: a head of exactly 256 bytes"),
    (bytes!("GET /", a64!(), a64!(), a64!(), a32!(), "aaaaaa HTTP/1.1\r\nHost: x\r\n\r\n"), "431 close", "6585 §5: one more"),
    (bytes!("GET /", a64!(), a64!(), a64!(), a32!(), "aaaaaaaaaaaaaaaa HTTP/1.1\r\nHost: x\r\n\r\n"), "431 close", "6585 §5: a request line that just fits, without its fields"),
    (bytes!("GET /", a64!(), a64!(), a64!(), a32!(), "aaaaaaaaaaaaaaaaa HTTP/1.1\r\nHost: x\r\n\r\n"), "414 close", "9112 §3: a request line that does not fit"),
    (bytes!("GET /", a64!(), a64!(), a64!(), a64!()), "414 close", "9112 §3: a target without an end"),
    (bytes!("GET /?", a64!(), a64!(), a64!(), a64!()), "414 close", "9112 §3: a query without an end"),
    (bytes!(a64!(), a64!(), a64!(), a64!()), "400 close", "9112 §3: a method without an end; it is not the target that is too long"),
    (bytes!("GET / ", a64!(), a64!(), a64!(), a64!()), "414 close", "9112 §3: a version without an end"),
    (bytes!("\r\nGET /", a64!(), a64!(), a64!(), a32!(), "aaa HTTP/1.1\r\nHost: x\r\n\r\n"), "200 GET /a*227 1.1", "9112 §2.2: an empty line in front is two of the 256 bytes"),
    (bytes!("\r\nGET /", a64!(), a64!(), a64!(), a32!(), "aaaa HTTP/1.1\r\nHost: x\r\n\r\n"), "431 close", "9112 §2.2: and counts"),
    (bytes!("\nGET /", a64!(), a64!(), a64!(), a32!(), "aaaa HTTP/1.1\r\nHost: x\r\n\r\n"), "200 GET /a*228 1.1", "9112 §2.2: one that ends with LF alone is one of them"),
    (bytes!("\nGET /", a64!(), a64!(), a64!(), a32!(), "aaaaa HTTP/1.1\r\nHost: x\r\n\r\n"), "431 close", "9112 §2.2: and counts"),
    (bytes!("GET / HTTP/1.1\r\nHost: x\r\nX: ", a64!(), a64!(), a64!(), a32!(), "\r\n\r\n"), "200 GET / 1.1 X=a*224", "9110 §5.4: a value that just fits"),
    (bytes!("GET / HTTP/1.1\r\nHost: x\r\nX: ", a64!(), a64!(), a64!(), a32!(), "a\r\n\r\n"), "431 close", "6585 §5: a value that is too long"),
    (bytes!("GET / HTTP/1.1\r\nHost: x\r\nX: ", a64!(), a64!(), a64!(), a64!()), "431 close", "6585 §5: a value without an end"),
    (bytes!("GET / HTTP/1.1\r\nHost: x\r\n", a64!(), a64!(), a64!(), a64!()), "431 close", "6585 §5: a name without an end"),
    (bytes!("GET / HTTP/1.1\r\nHost: x\r\nA: ", a64!(), "\r\nB: ", a64!(), "\r\nC: ", a64!(), "\r\nD: ", a32!(), "\r\n\r\n"), "431 close", "6585 §5: fields that are too long together"),
    (bytes!("GET /", a64!(), a64!(), a64!(), " HTTP/1.1\r\nHost: x\r\n\r\nGET /", a64!(), a64!(), a64!(), " HTTP/1.1\r\nHost: x\r\n\r\n"), "200 GET /a*192 1.1 | 200 GET /a*192 1.1", "9112 §9.3: each request has the whole limit"),
    (bytes!("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /", a64!(), a64!(), a64!(), a64!()), "200 GET / 1.1 | 414 close", "9112 §9.3: and no more"),
    (bytes!("HEAD / HTTP/1.1\r\nHost: x\r\nX: ", a64!(), a64!(), a64!(), a64!()), "431 bodiless close", "9110 §9.3.2: no body in the answer to HEAD"),
    // More than 8 fields
    (b"GET / HTTP/1.1\r\nHost: x\r\nA:\r\nB:\r\nC:\r\nD:\r\nE:\r\nF:\r\nG:\r\n\r\n", "200 GET / 1.1 A= B= C= D= E= F= G=", "9110 §5.4: exactly 8 fields"),
    (b"GET / HTTP/1.1\r\nHost: x\r\nA:\r\nB:\r\nC:\r\nD:\r\nE:\r\nF:\r\nG:\r\nH:\r\n\r\n", "431 close", "6585 §5: one more"),
    (b"GET / HTTP/1.1\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nHost: x\r\n\r\n", "431 close", "6585 §5: of the same name"),
    (b"GET / HTTP/1.1\r\nHost: x\r\nA:\r\nB:\r\nC:\r\nD:\r\nE:\r\nF:\r\nG:\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nA:\r\n\r\n", "200 GET / 1.1 A= B= C= D= E= F= G= | 200 GET / 1.1 A=", "9112 §9.3: each request has the whole limit"),
    // A body of more than 32 bytes
    (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 32\r\n\r\n01234567890123456789012345678901", "200 POST / 1.1 body(32)=01234567890123456789012345678901", "9110 §15.5.14: a body of exactly 32 bytes"),
    (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 33\r\n\r\n012345678901234567890123456789012", "413 close", "9110 §15.5.14: one more"),
    (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 33\r\n\r\n", "413 close", "9110 §15.5.14: before any of it has come"),
    (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4294967296\r\n\r\n", "413 close", "9110 §8.6: beyond 32 bits, where it must not wrap"),
    (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9223372036854775808\r\n\r\n", "413 close", "9110 §8.6: negative, if it has a sign"),
    (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551615\r\n\r\n", "413 close", "9110 §8.6: the largest that can be told"),
    (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n0123456789abcdef\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n", "200 POST / 1.1 body(32)=0123456789abcdef0123456789abcdef", "9110 §15.5.14: two chunks, 32 bytes together"),
    (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n0123456789abcdef\r\n11\r\n0123456789abcdefg\r\n0\r\n\r\n", "413 close", "9110 §15.5.14: one more"),
    (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n21\r\n", "413 close", "9110 §15.5.14: in one chunk, before any of it has come"),
    (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\nffffffffffffffff\r\n", "413 close", "9112 §7.1: a sum that does not fit into 64 bits"),
    (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 55\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\nGET /c HTTP/1.1\r\nHost: x\r\n\r\n", "413 close", "9112 §9.3: a body that was refused is not taken for requests"),
];
