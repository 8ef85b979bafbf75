//! Run `cargo run --example files -- DIR`, then open http://127.0.0.1:4002/: the files in DIR, or here, with conditional
//! requests and ranges. Another address may follow DIR. Enter ends it. Copy what follows `main`.
//!
//! Not served: hidden files, symbolic links, what is no file or directory, and names that are no UTF-8 or that Windows
//! would read as something else, such as `a:b` and `a~`. Each part of a path is looked at before it is used, which std
//! can do by name only. So whoever may rename things in DIR can win a race and have another file of yours served, or a
//! pipe be waited for: serve no directory in which somebody else may write.

use hardstop::{http_date, Error, Request, Response, Server, StatusCode};
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn main() -> io::Result<()> {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let dir = args.next().unwrap_or_else(|| PathBuf::from("."));
    let root = fs::canonicalize(&dir).and_then(|root| fs::read_dir(&root).map(|_| root)); // not a file, say
    let root = root.map_err(|why| io::Error::new(why.kind(), format!("{}: {why}", dir.display())))?;
    let server = Server::bind(&*args.next().as_deref().map_or("127.0.0.1:4002".into(), Path::to_string_lossy))?;
    let addr = server.local_addr();
    let running = server.spawn(move |req| answer(&root, addr, req))?;
    println!("listening on http://{addr}");
    io::stdin().read_line(&mut String::new())?;
    running.shutdown(Duration::from_secs(1));
    Ok(())
}

fn answer(root: &Path, addr: SocketAddr, req: &Request<'_>) -> Result<Response, Error> {
    if !is_meant(req.header("Host").unwrap_or_default(), addr) {
        return Err(Error::new(421, "this server has another name"));
    } else if !matches!(req.method(), "GET" | "HEAD") {
        return Ok(Response::from(StatusCode::METHOD_NOT_ALLOWED).with_header("Allow", "GET, HEAD"));
    }
    let (place, metadata) = find(root, req.path())?;
    let response = match (metadata.is_dir(), req.path().ends_with('/')) {
        (false, false) => send(req, &place)?,
        (false, true) => return Err(missing()),
        // It begins with one slash, as no part of the path is empty: with two, it would name another host.
        (true, false) => Response::redirect(encode(req.path()) + "/").with_status(307),
        (true, true) => match find(root, &format!("{}index.html", req.path())) {
            Ok((index, metadata)) if metadata.is_file() => send(req, &index)?,
            _ => list(&place, req.path())?,
        },
    };
    // A browser must ask again each time, must not take a text for a script, and must not give a foreign page any of
    // it: as a script or a style sheet, that page could make out what is in it.
    let response = response.with_header("Cache-Control", "no-cache").with_header("X-Content-Type-Options", "nosniff");
    Ok(response.with_header("Cross-Origin-Resource-Policy", "same-origin"))
}

/// Whether a browser that sends this `Host` means this server. A foreign page can have its own name lead here (DNS
/// rebinding) and then read the answers, but its name is none of these. The port is not compared, because through
/// `ssh -L` or `docker -p` the browser asks for another one.
fn is_meant(host: &str, addr: SocketAddr) -> bool {
    let name = host.trim_end_matches(|c: char| c.is_ascii_digit()).strip_suffix(':').unwrap_or(host);
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    match name.trim_matches(|c| c == '[' || c == ']').parse::<IpAddr>() {
        Ok(ip) => ip.is_loopback() || !addr.ip().is_loopback(),
        Err(_) => false,
    }
}

/// The file or directory that a decoded path names.
fn find(root: &Path, path: &str) -> Result<(PathBuf, Metadata), Error> {
    let (mut place, mut metadata) = (root.to_path_buf(), fs::symlink_metadata(root)?);
    let parts = path.strip_suffix('/').unwrap_or(path);
    for part in parts.split('/').skip(1) {
        place.push(Some(part).filter(|part| is_plain(part) && metadata.is_dir()).ok_or_else(missing)?);
        metadata = fs::symlink_metadata(&place).map_err(|_| missing())?;
        if !metadata.is_dir() && !metadata.is_file() {
            return Err(missing()); // opening a pipe could wait for ever
        }
    }
    Ok((place, metadata))
}

/// Whether a name is served: not if it is hidden (as `..` is), nor if Windows takes it for something else: for a path, a
/// drive or a stream (`:`), the short name of a hidden file (`~`), a device, or a name without its end.
fn is_plain(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_lowercase();
    let port = stem.strip_prefix("com").or_else(|| stem.strip_prefix("lpt"));
    let is_device = matches!(stem.as_str(), "con" | "prn" | "aux" | "nul" | "conin$" | "conout$")
        || port.map_or(false, |n| n.chars().count() == 1 && "0123456789¹²³".contains(n));
    let is_odd = |char: char| char.is_control() || "/\\:~".contains(char);
    !name.is_empty() && !name.starts_with('.') && !name.ends_with(['.', ' ']) && !name.contains(is_odd) && !is_device
}

fn missing() -> Error {
    Error::new(404, "there is no such file, or it is not served")
}

/// The file, or what the request's conditions make of it.
fn send(req: &Request<'_>, place: &Path) -> Result<Response, Error> {
    let mut file = File::open(place).map_err(|_| missing())?;
    let metadata = file.metadata()?;
    let (length, modified, now) = (metadata.len(), metadata.modified()?, SystemTime::now());
    let date = http_date(modified.min(now)); // RFC 9110 §8.8.2.1: not in the future

    // RFC 9110 §8.8.1: what has just changed may change again while its clock shows the same time.
    let is_strong = now.duration_since(modified).map_or(false, |age| age >= Duration::from_secs(2));
    let (weak, new) = if is_strong { ("", "") } else { ("W/", "-new") };
    let version =
        format!("\"{:x}-{length:x}{new}\"", modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos());

    // RFC 9110 §13.2.2: tags decide, and the date where there are none. What is no date is ignored.
    let has = |tags: &str| tags.split(',').any(|tag| tag.trim().trim_start_matches("W/") == version);
    let is_same = |tags, than, is_sure| match (req.header(tags), req.header(than)) {
        (Some(tags), _) => Some(tags == "*" || is_sure && has(tags)),
        (None, than) => than.and_then(|than| Some(order(&date)? <= order(than)?)),
    };
    let is_wrong = is_same("If-Match", "If-Unmodified-Since", is_strong) == Some(false);
    let is_known = is_same("If-None-Match", "If-Modified-Since", true) == Some(true);
    let is_whole = req.header("If-Range").map_or(false, |range| !is_strong || (range != version && range != date));
    let asked = req.header("Range").filter(|_| req.method() == "GET" && !is_whole);
    let asked = asked.and_then(|range| part(range, length));
    let Range { start, end } = asked.clone().unwrap_or(0..length);
    let response = if is_wrong {
        Response::from(StatusCode::PRECONDITION_FAILED)
    } else if is_known {
        Response::new(304)
    } else if start >= end && asked.is_some() {
        Response::from(StatusCode::RANGE_NOT_SATISFIABLE).with_header("Content-Range", format!("bytes */{length}"))
    } else {
        file.seek(SeekFrom::Start(start))?;
        let (size, range) = (end.saturating_sub(start), format!("bytes {start}-{}/{length}", end.saturating_sub(1)));
        let response = Response::reader(file.take(size), size).with_header("Content-Type", content_type(place));
        match asked {
            None => response,
            Some(_) => response.with_status(206).with_header("Content-Range", range),
        }
    };
    let response = response.with_header("ETag", format!("{weak}{version}")).with_header("Last-Modified", date);
    Ok(response.with_header("Accept-Ranges", "bytes"))
}

/// What a `Range` asks for (RFC 9110 §14.1.2), empty if the file has none of it. `None` is the whole file: for other
/// units, several ranges, what is malformed, and an empty file.
fn part(range: &str, length: u64) -> Option<Range<u64>> {
    let (unit, range) = range.split_once('=')?;
    let is_number = |digits: &&str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = |digits| Some(digits).filter(is_number).map(|digits| digits.parse().unwrap_or(u64::MAX));
    let part = match range.split_once('-')? {
        ("", last) => length.saturating_sub(number(last)?)..length,
        (first, "") => number(first)?..length,
        (first, last) if number(first)? > number(last)? => return None,
        (first, last) => number(first)?..number(last)?.saturating_add(1).min(length),
    };
    (unit.eq_ignore_ascii_case("bytes") && length > 0).then_some(part)
}

/// A page with links to what is in a directory, sent while it is made.
fn list(place: &Path, path: &str) -> Result<Response, Error> {
    let mut names = Vec::new();
    for entry in fs::read_dir(place).map_err(|_| missing())? {
        let entry = entry?;
        let (kind, name) = (entry.file_type()?, entry.file_name().into_string());
        match name.ok().filter(|name| is_plain(name)) {
            Some(name) if kind.is_dir() => names.push(name + "/"),
            Some(name) if kind.is_file() => names.push(name),
            _ => {}
        }
    }
    names.sort_unstable();
    let title = escape(path);
    let page = Response::stream(move |page| {
        writeln!(page, "<!doctype html><meta charset=\"utf-8\"><title>{title}</title>\n<h1>{title}</h1>\n<ul>")?;
        let mut link = |name: &str| writeln!(page, "<li><a href=\"{}\">{}</a>", encode(name), escape(name));
        names.iter().try_for_each(|name| link(name))
    });
    Ok(page.with_header("Content-Type", "text/html; charset=utf-8"))
}

fn encode(path: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/".contains(&byte);
    let encode = |byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    path.bytes().map(encode).collect()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn content_type(place: &Path) -> &'static str {
    let extension = place.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let types = TYPES.split(", ").filter_map(|each| each.split_once(' '));
    types.filter(|(name, _)| *name == extension).map(|(_, it)| it).next().unwrap_or("application/octet-stream")
}

const TYPES: &str = "html text/html; charset=utf-8, css text/css; charset=utf-8, js text/javascript; charset=utf-8, \
    txt text/plain; charset=utf-8, md text/plain; charset=utf-8, json application/json, pdf application/pdf, \
    mjs text/javascript; charset=utf-8, wasm application/wasm, woff2 font/woff2, svg image/svg+xml, png image/png, \
    jpg image/jpeg, jpeg image/jpeg, gif image/gif, webp image/webp, ico image/x-icon, mp4 video/mp4";

/// What orders dates as `http_date` makes them; `None` for anything else, also for the two forms that went out of use by 1995.
fn order(date: &str) -> Option<(&str, usize, &str, &str)> {
    let is = |byte: u8, form| byte.is_ascii_digit() && form == b'0' || byte.is_ascii_alphabetic() && form == b'a';
    let fits = |(byte, form)| byte == form || is(byte, form);
    let has_form = date.len() == 29 && date.bytes().zip(*b"aaa, 00 aaa 0000 00:00:00 GMT").all(fits);
    let month = "JanFebMarAprMayJunJulAugSepOctNovDec".find(date.get(8..11)?).filter(|at| at % 3 == 0)?;
    has_form.then(|| Some((date.get(12..16)?, month, date.get(5..7)?, date.get(17..25)?)))?
}
