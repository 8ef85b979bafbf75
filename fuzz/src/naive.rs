//! The grammar of RFC 9110, 9112 and 3986 in its plainest form. The targets compare the library with it.
//!
//! It parses complete messages only, and gives no reason when it rejects one.

use std::net::Ipv6Addr;

pub(crate) struct Head<'a> {
    pub(crate) method: &'a str,
    pub(crate) target: &'a str,
    pub(crate) path: String,
    pub(crate) segments: Vec<String>,
    pub(crate) query: Option<&'a str>,
    /// The digit after `HTTP/1.`. Every digit but 0 counts as 1.
    pub(crate) minor: u8,
    pub(crate) fields: Vec<(&'a str, &'a [u8])>,
    authority: Option<&'a str>,
}

pub(crate) struct Terms {
    /// `None` if the body is chunked.
    pub(crate) length: Option<u64>,
    pub(crate) keep_alive: bool,
    pub(crate) asks_keep_alive: bool,
    pub(crate) expects_continue: bool,
}

/// Parses the head at the start of the bytes. Returns it with its length.
pub(crate) fn head(bytes: &[u8], max_bytes: usize, max_fields: usize) -> Option<(Head<'_>, usize)> {
    let start = bytes.len() - without_empty_line(bytes).len();
    let end = start + find(&bytes[start..], b"\r\n\r\n")?;
    if end + 4 > max_bytes {
        return None;
    }
    let mut lines = Vec::new();
    let mut rest = &bytes[start..end];
    while let Some(at) = find(rest, b"\r\n") {
        lines.push(&rest[..at]);
        rest = &rest[at + 2..];
    }
    lines.push(rest);
    if lines.len() > max_fields + 1 || lines.concat().iter().any(control) {
        return None;
    }
    let mut head = request_line(std::str::from_utf8(lines[0]).ok()?)?;
    for line in &lines[1..] {
        head.fields.push(field(line)?);
    }
    Some((head, end + 4))
}

/// RFC 9112 §2.2: one empty line in front of a request is ignored, and may end with LF alone.
pub(crate) fn without_empty_line(bytes: &[u8]) -> &[u8] {
    let after_crlf = bytes.strip_prefix(b"\r\n");
    after_crlf.or(bytes.strip_prefix(b"\n")).unwrap_or(bytes)
}

/// Returns whether more bytes could complete a head: every complete line is valid, and so is the start of the next one.
pub(crate) fn may_become_head(bytes: &[u8], max_bytes: usize, max_fields: usize) -> bool {
    let last = bytes.windows(2).rposition(|it| it == b"\r\n");
    let lone_line_end = usize::from(bytes.starts_with(b"\n"));
    let (whole, next) = bytes.split_at(last.map_or(lone_line_end, |at| at + 2));
    let next = next.strip_suffix(b"\r").unwrap_or(next);
    let completed = [whole, b"\r\n"].concat();
    let is_good = match whole {
        b"" | b"\r\n" | b"\n" => true,
        _ => head(&completed, usize::MAX, max_fields).is_some_and(|it| it.1 == completed.len()),
    };
    is_good && bytes.len() < max_bytes && !next.iter().any(control)
}

fn request_line(line: &str) -> Option<Head<'_>> {
    let words: Vec<&str> = line.split(' ').collect();
    let &[method, target, version] = words.as_slice() else {
        return None;
    };
    let minor = match version.as_bytes() {
        b"HTTP/1.0" => 0,
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'..=b'9'] => 1,
        _ => return None,
    };
    let lower = target.to_ascii_lowercase();
    let (mut authority, mut local) = (None, target);
    // RFC 9110 §7.4: an `https` target is for another server.
    if lower.starts_with("http://") {
        let rest = &target["http://".len()..];
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        if !is_authority(&rest[..end]) {
            return None;
        }
        (authority, local) = (Some(&rest[..end]), &rest[end..]);
    } else if !target.starts_with('/') && (method, target) != ("OPTIONS", "*") {
        return None;
    }
    let (path, query) = match local.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (local, None),
    };
    let decoded = percent_decoded(path.as_bytes());
    let is_valid = is_token(method.as_bytes())
        && method != "CONNECT"
        && !decoded.iter().any(u8::is_ascii_control)
        && made_of(path, "-._~!$&'()*+,;=:@/[]|^")
        && !query.is_some_and(|it| it.contains(['#', ' ']) || it.contains(char::is_control));
    let decoded = String::from_utf8_lossy(&decoded).into_owned();
    let encoded = match path {
        "" if method == "OPTIONS" && query.is_none() => "*",
        "" => "/",
        path => path,
    };
    // What stands in front of the first slash is nothing, or the star.
    let segments = encoded.split('/').skip(1);
    let segments =
        segments.map(|it| String::from_utf8_lossy(&percent_decoded(it.as_bytes())).into_owned());
    is_valid.then(|| Head {
        method,
        target,
        path: match decoded.as_str() {
            "" if method == "OPTIONS" && query.is_none() => "*".into(),
            "" => "/".into(),
            _ => decoded,
        },
        segments: segments.collect(),
        query,
        minor,
        fields: Vec::new(),
        authority,
    })
}

/// Parses a field line of a head or of trailers, without its line ending.
fn field(line: &[u8]) -> Option<(&str, &[u8])> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let name = std::str::from_utf8(&line[..colon]).ok()?;
    is_token(name.as_bytes()).then(|| (name, trim(&line[colon + 1..])))
}

/// Removes spaces and tabs at both ends.
fn trim(mut text: &[u8]) -> &[u8] {
    while matches!(text.first(), Some(b' ' | b'\t')) {
        text = &text[1..];
    }
    while matches!(text.last(), Some(b' ' | b'\t')) {
        text = &text[..text.len() - 1];
    }
    text
}

/// Returns what the fields say about the body and the connection, or `None` if they contradict each other. Over a Unix
/// socket, the `Host` may be empty.
pub(crate) fn terms(head: &Head<'_>, is_unix: bool) -> Option<Terms> {
    let all = |name: &str| {
        let fields = head.fields.iter();
        let values = fields.filter(|field| field.0.eq_ignore_ascii_case(name));
        values.map(|field| field.1).collect::<Vec<_>>()
    };
    let once = |name| match *all(name) {
        [] => Some(None),
        [value] => Some(Some(value)),
        _ => None,
    };
    let _ = (once("content-type")?, once("authorization")?);
    match (once("host")?, head.authority) {
        (None, _) if head.minor == 1 => return None,
        (None, _) => {}
        (Some(host), named) => {
            let host = std::str::from_utf8(host).ok()?;
            let differs = named.is_some_and(|named| normalized(named) != normalized(host));
            let is_empty = is_unix && host.is_empty();
            if differs || !(is_authority(host) || is_empty) {
                return None;
            }
        }
    }
    let length = match (once("transfer-encoding")?, once("content-length")?) {
        (None, None) => Some(0),
        (None, Some([b'0', _, ..])) => return None, // some parsers read it as octal
        (None, Some(value)) => Some(number(value)?),
        (Some(coding), None) if head.minor == 1 && coding.eq_ignore_ascii_case(b"chunked") => None,
        _ => return None,
    };
    let expects = match head.minor {
        0 => Vec::new(),
        _ => all("expect").join(&b","[..]),
    };
    let mut expects: Vec<_> = expects.split(|&it| it == b',').map(trim).collect();
    expects.retain(|element| !element.is_empty());
    if !expects
        .iter()
        .all(|it| it.eq_ignore_ascii_case(b"100-continue"))
    {
        return None;
    }
    let options = all("connection").join(&b","[..]).to_ascii_lowercase();
    let options: Vec<&[u8]> = options.split(|&byte| byte == b',').map(trim).collect();
    let said = |option: &[u8]| options.contains(&option);
    Some(Terms {
        length,
        asks_keep_alive: said(b"keep-alive"),
        keep_alive: (head.minor == 1 || said(b"keep-alive")) && !said(b"close"),
        expects_continue: !expects.is_empty() && length != Some(0),
    })
}

fn number(digits: &[u8]) -> Option<u64> {
    let mut number: u64 = 0;
    for digit in digits {
        let digit = char::from(*digit).to_digit(10)?;
        number = number.checked_mul(10)?.checked_add(digit.into())?;
    }
    (!digits.is_empty()).then_some(number)
}

/// RFC 9110 §4.2.3: writes an authority in lower case, with the default port of http if it has no port or an empty one.
fn normalized(authority: &str) -> String {
    let lower = authority.to_ascii_lowercase();
    let has_port = |text: &str| text.rsplit(']').next().unwrap().contains(':');
    match lower.strip_suffix(':') {
        Some(host) => format!("{host}:80"),
        None if has_port(&lower) => lower,
        None => lower + ":80",
    }
}

/// Matches `host [ ":" port ]`. The port may be empty, and brackets enclose an IPv6 address.
fn is_authority(text: &str) -> bool {
    let (host, port) = match text.rfind(':').filter(|&at| !text[at..].contains(']')) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, ""),
    };
    let is_port = port.is_empty() || number(port.as_bytes()).is_some_and(|port| port < 65536);
    let ip = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    is_port
        && !host.is_empty()
        && ip.map_or(made_of(host, "-._~!$&'()*+,;="), |ip| {
            ip.parse::<Ipv6Addr>().is_ok()
        })
}

/// Returns whether a text consists of letters, digits, these other characters and complete percent-encodings.
fn made_of(text: &str, others: &str) -> bool {
    let mut parts = text.split('%');
    let is_plain = |part: &str| {
        let mut chars = part.chars();
        chars.all(|char| char.is_ascii_alphanumeric() || others.contains(char))
    };
    let is_hex = |part: &str| part.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    parts.next().is_some_and(is_plain) && parts.all(|part| is_hex(part) && is_plain(part))
}

/// Decodes every complete percent-encoding and keeps everything else.
pub(crate) fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let (mut decoded, mut at) = (Vec::new(), 0);
    while at < text.len() {
        let digits = text.get(at + 1..at + 3).unwrap_or_default();
        let digits = std::str::from_utf8(digits).unwrap_or_default();
        let is_hex = digits.len() == 2 && digits.bytes().all(|it| it.is_ascii_hexdigit());
        if text[at] == b'%' && is_hex {
            decoded.push(u8::from_str_radix(digits, 16).unwrap());
            at += 3;
        } else {
            decoded.push(text[at]);
            at += 1;
        }
    }
    decoded
}

/// How a chunked body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It is complete after this number of bytes.
    Whole(usize),
    /// It is incomplete.
    Early,
    /// It is malformed.
    Refused,
}

/// Returns the data of a chunked body up to its end, with the kind of its end.
pub(crate) fn chunked(bytes: &[u8]) -> (Vec<u8>, End) {
    let mut data = Vec::new();
    let end = chunks(bytes, &mut data);
    (data, end.map_or_else(|end| end, End::Whole))
}

fn chunks(bytes: &[u8], data: &mut Vec<u8>) -> Result<usize, End> {
    let (mut at, mut extra) = (0, 0);
    loop {
        let line = line(&bytes[at..], extra)?;
        let digits = line.iter().take_while(|it| it.is_ascii_hexdigit()).count();
        let (size, extensions) = line.split_at(digits);
        if digits == 0 || digits > 16 || !are_extensions(extensions) {
            return Err(End::Refused);
        }
        let size = std::str::from_utf8(size).unwrap();
        let size = u64::from_str_radix(size, 16).unwrap();
        at += line.len() + 2;
        extra += extensions.len();
        if size == 0 {
            break;
        }
        let due = usize::try_from(size).unwrap_or(usize::MAX);
        let Some(chunk) = due.checked_add(at).and_then(|end| bytes.get(at..end)) else {
            data.extend_from_slice(&bytes[at..]);
            return Err(End::Early);
        };
        data.extend_from_slice(chunk);
        at += due;
        match bytes.get(at..at + 2).unwrap_or(&bytes[at..]) {
            b"\r\n" => at += 2,
            b"" | b"\r" => return Err(End::Early),
            _ => return Err(End::Refused),
        }
    }
    loop {
        let line = line(&bytes[at..], extra)?;
        at += line.len() + 2;
        extra += line.len();
        if line.is_empty() {
            return Ok(at);
        }
        field(line).ok_or(End::Refused)?;
    }
}

/// Returns the first line, if it and the `extra` bytes so far do not exceed 4 KiB.
fn line(bytes: &[u8], extra: usize) -> Result<&[u8], End> {
    let length = bytes.iter().position(control).unwrap_or(bytes.len());
    if extra + length > 4096 {
        return Err(End::Refused);
    }
    match &bytes[length..] {
        [] | [b'\r'] => Err(End::Early),
        [b'\r', b'\n', ..] => Ok(&bytes[..length]),
        _ => Err(End::Refused),
    }
}

/// RFC 9112 §7.1.1: `*( BWS ";" BWS token [ BWS "=" BWS ( token / quoted-string ) ] )`, one byte at a time.
fn are_extensions(text: &[u8]) -> bool {
    #[derive(Clone, Copy)]
    enum At {
        Start,
        Spaces,
        Semicolon,
        Name,
        AfterName,
        Equals,
        Value,
        Quoted,
        Escape,
        End,
    }
    let mut at = At::Start;
    for &byte in text {
        let (space, token) = (b" \t".contains(&byte), is_token(&[byte]));
        at = match (at, byte) {
            (At::Start | At::Spaces | At::End | At::AfterName | At::Name | At::Value, b';') => {
                At::Semicolon
            }
            (At::Start | At::End | At::Spaces | At::Value, _) if space => At::Spaces,
            (At::Semicolon, _) if space => At::Semicolon,
            (At::Semicolon | At::Name, _) if token => At::Name,
            (At::Name | At::AfterName, b'=') => At::Equals,
            (At::Name | At::AfterName, _) if space => At::AfterName,
            (At::Equals, _) if space => At::Equals,
            (At::Equals, b'"') => At::Quoted,
            (At::Equals | At::Value, _) if token => At::Value,
            (At::Quoted, b'\\') => At::Escape,
            (At::Quoted, b'"') => At::End,
            (At::Quoted | At::Escape, _) => At::Quoted,
            _ => return false,
        };
    }
    matches!(at, At::Start | At::Name | At::Value | At::End)
}

pub(crate) fn is_token(text: &[u8]) -> bool {
    let is_one = |byte: &u8| byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(byte);
    !text.is_empty() && text.iter().all(is_one)
}

/// Returns whether a byte is forbidden in every line: a control character other than the tab.
pub(crate) fn control(byte: &u8) -> bool {
    byte.is_ascii_control() && *byte != b'\t'
}

pub(crate) fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|it| it == wanted)
}
