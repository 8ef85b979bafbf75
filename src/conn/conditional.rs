//! Conditional and partial responses: what a handler's response becomes by the conditions and the
//! range of the request.

use super::super::proto::{self, Candidate, Selection, StatusCode, STRONG_AGE_SECONDS};
use super::file_body::FileBody;
use super::request::Request;
use super::response::Response;
use super::response_body::{Payload, ResponseBody};
use std::borrow::Cow;
use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The age of a modification at which the version of a file is certain.
const STRONG_AGE: Duration = Duration::from_secs(STRONG_AGE_SECONDS);

/// Headers that a 304 omits because the client has the body (RFC 9110 §15.4.5). Its type and its
/// length leave with a body only.
const CONTENT_FIELDS: [&str; 3] = [
    "content-disposition",
    "content-encoding",
    "content-language",
];

/// Headers that describe the content, its version or its freshness. A 412 and a 416 are sent
/// without them.
const VERSION_FIELDS: [&str; 8] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-location",
    "etag",
    "expires",
    "last-modified",
];

impl Response {
    /// Reduces this response to what the request still wants of it: nothing if the client has it
    /// already, or only a part of it, so that a download resumes where it broke off.
    ///
    /// Evaluates the conditions and the range of a `GET` or `HEAD` request, for a response with
    /// status 200 (RFC 9110 §13 and §14). With any other method or status, it changes nothing.
    ///
    /// | the request | the client gets |
    /// |---|---|
    /// | `If-Match` or `If-Unmodified-Since` names another version | 412, without a body |
    /// | `If-None-Match` or `If-Modified-Since` names this version | 304, without a body |
    /// | `Range` asks for a part, and `If-Range`, if any, names this version | 206, with the part |
    /// | such a part has no byte of the body | 416, without a body |
    /// | anything else | 200, with all of it |
    ///
    /// A part is a single range of bytes. It can be had of bytes in memory, texts included, and of
    /// a [`file`](Response::file) that has a length. All of the body is sent if a request asks for
    /// several ranges, if the body is a [`reader`](Response::reader) or a
    /// [`stream`](Response::stream), and if the response has an `Accept-Ranges` of its own.
    ///
    /// # Versions
    /// `ETag` and `Last-Modified` name the version of a response. A handler can set them itself.
    /// Otherwise:
    ///
    /// - A file gets both, from its modification time and its length. For two seconds after a
    ///   modification, the `ETag` is a weak one, because another modification may bear the same
    ///   time. `If-Range` needs a strong one. A time that is no later than one second into 1970
    ///   counts as none, and the file gets neither: some images of file systems have such a time
    ///   for each file. Where times do not tell versions apart, set an `ETag`, such as the version
    ///   of the firmware in quotes.
    /// - Bytes in memory get an `ETag` only. It is a hash of 64 bits, computed for each request,
    ///   which takes about a millisecond for each megabyte. It tells versions apart unless two
    ///   bodies are made to collide. It may change with the compiler.
    /// - Anything else gets neither.
    ///
    /// `curl -C -`, `wget -c` and `aria2c` send no condition with their range, so they join parts
    /// of two versions, or keep a part of the old one if the new one is shorter. Have them send
    /// `If-Match` with the `ETag`, or give each version its own path.
    ///
    /// An `ETag` is in double quotes, as in `.with_header("ETag", "\"1.4\"")` (RFC 9110 §8.8.3).
    /// One that is not would match nothing. The response then leaves as a 500, and
    /// [`Event::RequestFailed`](super::super::Event::RequestFailed) says why.
    ///
    /// A handler of `PUT` or `DELETE` has to evaluate `If-Match` and `If-None-Match` itself, before
    /// it changes anything (§13.2.1).
    ///
    /// # Order of calls
    /// Set the status, `ETag`, `Last-Modified` and `Accept-Ranges` before this call. So do with the
    /// headers that describe the content or say how long to keep it, such as `Content-Encoding` and
    /// `Cache-Control`: a 412 and a 416 leave them out, and a 304 has only those that a cache
    /// needs. Any header that is set after the call is sent, whatever the status. A status that is
    /// set after it replaces the one that was chosen, and does not bring back the body.
    ///
    /// ```
    /// use hardstop::{Error, Request, Response};
    /// use std::fs::File;
    ///
    /// // A download that can be resumed.
    /// fn firmware(request: &Request<'_>) -> Result<Response, Error> {
    ///     let image = Response::file(File::open("firmware.bin")?)?;
    ///     Ok(image.conditional(request))
    /// }
    ///
    /// // A picture that is sent once, and confirmed after a minute.
    /// fn logo(request: &Request<'_>) -> Response {
    ///     let logo = Response::bytes("image/svg+xml", &b"<svg/>"[..]);
    ///     logo.with_header("Cache-Control", "max-age=60").conditional(request)
    /// }
    /// ```
    #[doc(alias(
        "range",
        "resume",
        "download",
        "etag",
        "cache",
        "if-none-match",
        "if-modified-since",
        "last-modified",
        "206",
        "304",
        "412",
        "416"
    ))]
    pub fn conditional(mut self, request: &Request<'_>) -> Response {
        let method = request.method();
        if self.status != StatusCode::OK || !matches!(method, "GET" | "HEAD") {
            return self;
        }
        // A clock before 1970 gives 1970, as it does for `Date`.
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        self.add_validators(now);
        let etag = self.header_bytes("etag");
        if etag.map_or(false, |etag| !proto::is_entity_tag(etag)) {
            self.invalid = Some("the ETag of the response is not in double quotes");
            return self;
        }
        let length = self.divisible_length();
        if length.is_some() {
            self.push_field(b"Accept-Ranges", b"bytes");
        }
        let last_modified = self.header_bytes("last-modified");
        let candidate = Candidate {
            etag: self.header_bytes("etag"),
            last_modified: last_modified
                .and_then(|date| proto::parse_http_date(date, now.as_secs())),
            length,
            now: now.as_secs(),
        };
        let selection = proto::select(method, request.headers(), &candidate);
        self.reduce_to(selection, length.unwrap_or_default());
        self
    }

    /// Adds the validators that the handler has not set.
    fn add_validators(&mut self, now: Duration) {
        if self.header_bytes("etag").is_none() {
            if let Some(etag) = etag(&self.body.payload, now) {
                self.push_field(b"ETag", etag.as_bytes());
            }
        }
        if self.header_bytes("last-modified").is_none() {
            if let Some(date) = last_modified(&self.body.payload, now) {
                self.push_field(b"Last-Modified", date.as_bytes());
            }
        }
    }

    /// Returns the length of the body, if parts of it can be sent.
    fn divisible_length(&self) -> Option<u64> {
        if self.header_bytes("accept-ranges").is_some() {
            return None;
        }
        match &self.body.payload {
            Payload::Bytes(bytes) => u64::try_from(bytes.len()).ok(),
            Payload::File(file) => Some(file.length()),
            Payload::Stream { .. } => None,
        }
    }

    /// Makes the response the selected one. `total` is the length of the whole body.
    fn reduce_to(&mut self, selection: Selection, total: u64) {
        match selection {
            Selection::Whole => {}
            Selection::Part { first, length } => {
                self.status = StatusCode::PARTIAL_CONTENT;
                let last = first + length - 1; // a part has at least one byte
                let range = format!("bytes {first}-{last}/{total}");
                self.push_field(b"Content-Range", range.as_bytes());
                self.body.payload.keep(first, length);
            }
            Selection::NotModified => {
                self.become_empty(StatusCode::NOT_MODIFIED, &CONTENT_FIELDS);
            }
            Selection::PreconditionFailed => {
                self.become_empty(StatusCode::PRECONDITION_FAILED, &VERSION_FIELDS);
            }
            Selection::RangeNotSatisfiable => {
                self.become_empty(StatusCode::RANGE_NOT_SATISFIABLE, &VERSION_FIELDS);
                self.push_field(b"Content-Range", format!("bytes */{total}").as_bytes());
            }
        }
    }

    /// Removes the body, and the headers of these names.
    // The text of an error would be appended to what a client has of the file, if that client does
    // not look at the status.
    fn become_empty(&mut self, status: StatusCode, removed: &[&str]) {
        self.status = status;
        self.body = ResponseBody::empty();
        self.content_type = Cow::Borrowed(b"");
        self.retain_fields(|name| !removed.iter().any(|each| proto::eq_ignore_case(name, each)));
    }
}

impl Payload {
    /// Leaves only this part, which must be in it.
    fn keep(&mut self, first: u64, length: u64) {
        match self {
            Payload::Bytes(bytes) => {
                let start = usize::try_from(first).unwrap_or_default();
                let end = usize::try_from(first + length).unwrap_or_default();
                debug_assert!(start <= end && end <= bytes.len());
                let range = start..end;
                match bytes {
                    Cow::Borrowed(bytes) => *bytes = bytes.get(range).unwrap_or_default(),
                    Cow::Owned(bytes) => *bytes = bytes.get(range).unwrap_or_default().to_vec(),
                }
            }
            Payload::File(file) => file.keep(first, length),
            Payload::Stream { .. } => {}
        }
    }
}

/// Returns the entity tag of a body, if one can be made.
fn etag(payload: &Payload, now: Duration) -> Option<String> {
    match payload {
        Payload::Bytes(bytes) => {
            let mut hasher = DefaultHasher::new();
            hasher.write(bytes);
            let hash = hasher.finish();
            Some(format!("\"{hash:016x}\""))
        }
        Payload::File(file) => {
            let modified = modification_time(file)?;
            let nanoseconds = modified.as_nanos();
            let length = file.length();
            // RFC 9110 §8.8.1: a file that has just been modified may be modified again while its
            // modification time stays the same. So its tag is weak, and another one than later.
            let age = now.checked_sub(modified);
            if age.map_or(false, |age| age >= STRONG_AGE) {
                Some(format!("\"{nanoseconds:x}-{length:x}\""))
            } else {
                Some(format!("W/\"{nanoseconds:x}-{length:x}-new\""))
            }
        }
        Payload::Stream { .. } => None,
    }
}

/// Returns the date of a body, if it has one.
fn last_modified(payload: &Payload, now: Duration) -> Option<String> {
    match payload {
        Payload::File(file) => {
            let modified = modification_time(file)?;
            // RFC 9110 §8.8.2.1: the date is not in the future.
            let seconds = modified.as_secs().min(now.as_secs());
            Some(proto::imf_fixdate(seconds))
        }
        Payload::Bytes(_) | Payload::Stream { .. } => None,
    }
}

/// Returns how long after 1970 a file was last modified, if that is recorded.
fn modification_time(file: &FileBody) -> Option<Duration> {
    let since_1970 = file.modified()?.duration_since(UNIX_EPOCH).ok()?;
    // Some file systems record no time, and images that are to be reproducible have 0 or 1 as the
    // time of each file, whatever its version.
    if since_1970.as_secs() <= 1 {
        return None;
    }
    Some(since_1970)
}

#[cfg(test)]
mod tests;
