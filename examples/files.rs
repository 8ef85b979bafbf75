//! Run `cargo run --example files -- DIR` and open http://127.0.0.1:4002/: it serves the files in
//! DIR, or in the current directory, with conditional requests and ranges. Another address may
//! follow DIR. Press Enter to stop. To use it in your own program, copy everything but `main`.
//!
//! It does not serve hidden files, symbolic links, special files, names that are not UTF-8, names
//! that Windows would interpret, such as `a:b` and `GIT~1`, and names with invisible characters,
//! which some file systems ignore. Each part of a path is checked by name before it is used,
//! because std has no other way. A user who can rename files in DIR can therefore win a race: the
//! server may then serve another of your files, or wait for a pipe. Do not serve a directory that
//! other users can write to.

use hardstop::{Error, Request, Response, Server, StatusCode};
use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

fn main() -> io::Result<()> {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let dir = args.next().unwrap_or_else(|| PathBuf::from("."));
    let root = readable_dir(&dir)
        .map_err(|why| io::Error::new(why.kind(), format!("{}: {why}", dir.display())))?;
    let addr = match args.next() {
        Some(addr) => addr.to_string_lossy().into_owned(),
        None => String::from("127.0.0.1:4002"),
    };
    let server = Server::bind(&addr)?;
    let addr = server.local_addr();
    let running = server.spawn(move |req| answer(&root, addr, req))?;
    println!("listening on http://{addr}");
    if io::stdin().read_line(&mut String::new())? == 0 {
        eprintln!("stdin is at its end, so this stops; a terminal or a pipe would keep it running");
    }
    running.shutdown(Duration::from_secs(1));
    Ok(())
}

/// Returns the canonical path of a directory. Fails if it is not a directory or cannot be read.
fn readable_dir(dir: &Path) -> io::Result<PathBuf> {
    let root = fs::canonicalize(dir)?;
    fs::read_dir(&root)?;
    Ok(root)
}

fn answer(root: &Path, addr: SocketAddr, req: &Request<'_>) -> Result<Response, Error> {
    if !is_own_name(req.header("Host").unwrap_or_default(), addr) {
        return Err(Error::new(421, "this server does not serve that host name"));
    }
    if !matches!(req.method(), "GET" | "HEAD") {
        return Ok(Response::from(StatusCode::METHOD_NOT_ALLOWED).with_header("Allow", "GET, HEAD"));
    }
    let path = without_dots(req.path());
    let (place, metadata) = find(root, &path)?;
    let ends_with_slash = path.ends_with('/');
    let response = if metadata.is_dir() && ends_with_slash {
        match find(root, &format!("{path}index.html")) {
            Ok((index, metadata)) if metadata.is_file() => send(req, &index)?,
            _ => list(&place, &path)?,
        }
    } else if metadata.is_dir() {
        // `find` accepts no empty part, so the location begins with a single slash. With two
        // slashes, it would name another host.
        Response::redirect(encode(&path) + "/").with_status(307)
    } else if ends_with_slash {
        return Err(missing());
    } else {
        send(req, &place)?
    };
    // A browser must revalidate every time and must not run a text as a script. It must not load a
    // file into a foreign page either: as a script or a style sheet, the file would reveal content.
    Ok(response
        .with_header("Cache-Control", "no-cache")
        .with_header("X-Content-Type-Options", "nosniff")
        .with_header("Cross-Origin-Resource-Policy", "same-origin"))
}

/// Returns whether `Host` names this server. DNS rebinding: a foreign page can point its own host
/// name at this server and then read the responses, but it cannot use one of these names. The port
/// is not compared, because `ssh -L` and `docker -p` change it.
fn is_own_name(host: &str, addr: SocketAddr) -> bool {
    let name = host
        .trim_end_matches(|c: char| c.is_ascii_digit())
        .strip_suffix(':')
        .unwrap_or(host);
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let ip = name.trim_matches(|c| c == '[' || c == ']');
    match ip.parse::<IpAddr>() {
        Ok(ip) => ip.is_loopback() || !addr.ip().is_loopback(),
        Err(_) => false,
    }
}

/// Removes the parts of a decoded path that are exactly `.`, which means "here" (RFC 3986 §5.2.4):
/// `/./a` becomes `/a`, and `/a/.` becomes `/a/`. Browsers do so by themselves. apt does not: it
/// requests `/./Packages`.
fn without_dots(path: &str) -> String {
    let mut parts: Vec<&str> = path.split('/').collect();
    if parts.last() == Some(&".") {
        parts.push("");
    }
    parts.retain(|part| *part != ".");
    parts.join("/")
}

/// Finds the file or directory that a decoded path names.
fn find(root: &Path, path: &str) -> Result<(PathBuf, Metadata), Error> {
    let mut place = root.to_path_buf();
    let mut metadata = fs::symlink_metadata(root)?;
    let path = path.strip_suffix('/').unwrap_or(path);
    if !path.is_empty() && !path.starts_with('/') {
        return Err(missing());
    }
    for part in path.split('/').skip(1) {
        if !is_plain(part) || !metadata.is_dir() {
            return Err(missing());
        }
        place.push(part);
        metadata = fs::symlink_metadata(&place).map_err(|_| missing())?;
        // Opening a pipe could block forever.
        if !metadata.is_dir() && !metadata.is_file() {
            return Err(missing());
        }
    }
    Ok((place, metadata))
}

/// Returns whether files of this name are served. Hidden names, such as `..`, are not. Neither are
/// names that may open a file of another name: Windows has paths, drives and streams (`:`), short
/// names, devices, and endings that it removes, and some file systems ignore invisible characters.
fn is_plain(name: &str) -> bool {
    // ZFS can be set to treat the three other characters as dots.
    !name.is_empty()
        && !name.starts_with(['.', '\u{2024}', '\u{fe52}', '\u{ff0e}'])
        && !name.ends_with(['.', ' ', '~'])
        && !name.contains(|c: char| c.is_control() || is_invisible(c) || "/\\:".contains(c))
        && !is_short_name(name)
        && !is_device(name)
}

/// Returns whether a character is invisible: Unicode's `Default_Ignorable_Code_Point`. For Linux,
/// in directories that ignore case, `<U+00AD>.env` is `.env`. HFS+ ignores some of these as well.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fff8}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Returns whether Windows may have given this name to a file as its second, short name: `GIT~1` is
/// `.git`. Such a name has eight characters at most, and an ending of three. Versions of packages,
/// such as `hello_2.0~rc1.deb`, are longer.
fn is_short_name(name: &str) -> bool {
    let (stem, ending) = name.split_once('.').unwrap_or((name, ""));
    stem.contains('~') && stem.chars().count() <= 8 && ending.chars().count() <= 3
}

/// Returns whether Windows opens a device under this name, such as `con`, `NUL.txt` and `com1`.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default();
    let stem = stem.trim_end().to_ascii_lowercase();
    let number = stem
        .strip_prefix("com")
        .or_else(|| stem.strip_prefix("lpt"));
    match number {
        Some(number) => number.chars().count() == 1 && "0123456789¹²³".contains(number),
        None => matches!(
            stem.as_str(),
            "con" | "prn" | "aux" | "nul" | "conin$" | "conout$"
        ),
    }
}

fn missing() -> Error {
    Error::new(404, "there is no such file, or it is not served")
}

/// Sends a file, or the part of it that the request asks for, or the result of its conditions.
fn send(req: &Request<'_>, place: &Path) -> Result<Response, Error> {
    let file = File::open(place).map_err(|_| missing())?;
    let response = Response::file(file)?.with_header("Content-Type", content_type(place));
    Ok(response.conditional(req))
}

/// A page with links to the files and directories in a directory. It is sent while it is written.
fn list(place: &Path, path: &str) -> Result<Response, Error> {
    let mut names = Vec::new();
    for entry in fs::read_dir(place).map_err(|_| missing())? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let name = match entry.file_name().into_string() {
            Ok(name) if is_plain(&name) => name,
            _ => continue,
        };
        if kind.is_dir() {
            names.push(name + "/");
        } else if kind.is_file() {
            names.push(name);
        }
    }
    names.sort_unstable();
    let title = escape(path);
    let page = Response::stream(move |page| {
        writeln!(
            page,
            "<!doctype html><meta charset=\"utf-8\"><title>{title}</title>\n<h1>{title}</h1>\n<ul>"
        )?;
        for name in &names {
            let link = encode(name);
            let text = escape(name);
            writeln!(page, "<li><a href=\"{link}\">{text}</a>")?;
        }
        Ok(())
    });
    Ok(page.with_header("Content-Type", "text/html; charset=utf-8"))
}

/// Percent-encodes a path.
fn encode(path: &str) -> String {
    let mut encoded = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded += &format!("%{byte:02X}");
        }
    }
    encoded
}

/// Escapes a text for HTML.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

fn content_type(place: &Path) -> &'static str {
    let extension = place.extension().unwrap_or_default().to_string_lossy();
    match extension.to_ascii_lowercase().as_str() {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "txt" | "md" => "text/plain; charset=utf-8",
        "json" => "application/json",
        "pdf" => "application/pdf",
        "wasm" => "application/wasm",
        "woff2" => "font/woff2",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "mp4" => "video/mp4",
        "mp3" => "audio/mpeg",
        "wav" => "audio/wav",
        _ => "application/octet-stream",
    }
}
