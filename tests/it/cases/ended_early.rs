//! What a client leaves unfinished when it says that it has no more to say.

use super::Case;

#[rustfmt::skip] // one case, one line
pub(super) const CASES: &[Case] = &[
    (b"", "", "9112 §9.5: a client that says nothing is told nothing"),
    (b"\r\n", "", "9112 §2.2: an empty line begins nothing, nor does half of it"),
    (b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n\r\n", "200 GET /a 1.1", "9112 §2.2: nor after a request"),
    (b"G", "400 close", "9112 §8: a part of the method"),
    (b"GET / HTTP/1.1", "400 close", "9112 §8: a request line without its end"),
    (b"GET / HTTP/1.1\r", "400 close", "9112 §8: a request line without its last byte"),
    (b"GET / HTTP/1.1\r\n", "400 close", "9112 §8: a request line alone"),
    (b"GET / HTTP/1.0\r\n", "400 close", "9112 §8: in HTTP/1.0, where it lacks only the empty line"),
    (b"GET / HTTP/1.1\r\nHost: x", "400 close", "9112 §8: a field without its end"),
    (b"GET / HTTP/1.1\r\nHost: x\r\n", "400 close", "9112 §8: no empty line"),
    (b"GET / HTTP/1.1\r\nHost: x\r\n\r", "400 close", "9112 §8: half of it"),
    (b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nG", "200 GET /a 1.1 | 400 close", "9112 §8: a part of the next request"),
    (b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n", "200 GET /a 1.1 | 400 close", "9112 §8: a large part of it"),
    (b"HEAD / HTTP/1.1\r\n", "400 bodiless close", "9110 §9.3.2: no body, though it ended early"),
    (b"\r\nHEAD / HT", "400 bodiless close", "9110 §9.3.2: nor in the middle of the line, or behind an empty one"),
    (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n", "400 close", "9112 §6.3: no body"),
    (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhell", "400 close", "9112 §6.3: a byte is missing"),
    (b"POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\nhell", "400 close", "9112 §6.3: in HTTP/1.0, where the end of the connection does not end it"),
    (b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhell", "400 close", "9112 §6.3: nor where it is to end"),
    (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "400 close", "9112 §8: no chunk"),
    (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2", "400 close", "9112 §8: a part of a size, perhaps"),
    (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n", "400 close", "9112 §8: a size without its data"),
    (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nh", "400 close", "9112 §8: a part of the data"),
    (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi", "400 close", "9112 §8: no line end after the data"),
    (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", "400 close", "9112 §8: no last chunk"),
    (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0", "400 close", "9112 §8: a part of it"),
    (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n", "400 close", "9112 §7.1: no empty line"),
    (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r", "400 close", "9112 §7.1: half of it"),
    (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX: y\r\n", "400 close", "9112 §7.1: no empty line after a trailer"),
    (b"POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhell", "200 POST /unread 1.1 unread", "9112 §8: nobody has asked for the byte that is missing"),
    (b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n", "100 | 400 close", "9110 §10.1.1: a client that is told to continue, and does not"),
    (b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n", "100 | 400 close", "9110 §10.1.1: also in chunks"),
];
