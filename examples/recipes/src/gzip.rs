//! Compressed responses, with flate2.

use flate2::{write::GzEncoder, Compression};
use hardstop::{Request, Response, Version};
use std::io::{self, Write};

/// Streams what a closure writes, compressed if the client takes gzip.
///
/// A flush sends what has been written so far, as server-sent events require.
pub fn compressed(
    req: &Request<'_>,
    content_type: &str,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
) -> Response {
    let response = if accepts_gzip(req) {
        let response = Response::stream(move |body| {
            let mut encoder = GzEncoder::new(body, Compression::fast());
            write(&mut encoder)?;
            encoder.finish()?;
            Ok(())
        });
        response.with_header("Content-Encoding", "gzip")
    } else {
        Response::stream(move |body| write(body))
    };
    // Caches keep one response for each value of that header (RFC 9110 §12.5.5).
    response
        .with_header("Vary", "Accept-Encoding")
        .with_header("Content-Type", content_type)
}

/// Returns whether the client takes gzip (RFC 9110 §12.5.3).
pub fn accepts_gzip(req: &Request<'_>) -> bool {
    // An encoder that is dropped after a failure still ends its data as if it were whole. A client
    // of HTTP/1.1 sees that the last chunk is missing. One of HTTP/1.0 could not tell.
    if req.version() != Version::Http11 {
        return false;
    }
    let mut by_name = None;
    let mut by_wildcard = false;
    for (name, value) in req.headers().iter() {
        if !name.eq_ignore_ascii_case("Accept-Encoding") {
            continue;
        }
        for element in String::from_utf8_lossy(value).split(',') {
            let mut parts = element.split(';').map(str::trim);
            let coding = parts.next().unwrap_or_default().to_ascii_lowercase();
            match coding.as_str() {
                "gzip" | "x-gzip" => by_name = Some(is_accepted(parts)),
                "*" => by_wildcard = is_accepted(parts),
                _ => {}
            }
        }
    }
    by_name.unwrap_or(by_wildcard)
}

/// Returns whether the weight among these parameters is above 0, which means "never".
fn is_accepted<'a>(mut parameters: impl Iterator<Item = &'a str>) -> bool {
    match parameters.find_map(|each| each.strip_prefix("q=").or(each.strip_prefix("Q="))) {
        Some(weight) => weight.parse().is_ok_and(|weight: f32| weight > 0.0),
        None => true,
    }
}
