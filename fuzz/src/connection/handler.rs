//! The handler. The first part of the path selects how it reads the body, the second how it answers.

use crate::hardstop::{Error, Request, Response, Version};
use crate::naive::{self, End};
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::io::{Cursor, ErrorKind, Read, Write};
use std::sync::Mutex;

pub(super) const MAX_BODY_BYTES: u64 = 64;

/// The request that a handler saw, and the expected status code of its response.
#[derive(Debug, PartialEq)]
pub(super) struct Call {
    pub(super) method: String,
    target: String,
    path: String,
    query: Option<String>,
    pub(super) minor: u8,
    fields: Vec<(String, Vec<u8>)>,
    body: Body,
    pub(super) status: u16,
}

#[derive(Debug, PartialEq, Hash)]
enum Body {
    All(Vec<u8>),
    /// The bytes that were read, and the number that was requested.
    Some(Vec<u8>, usize),
    Failed(u16, String),
    /// The body was complete, but `read_to_text` or `read_form` rejected it.
    Unfit(u16),
    Unread,
}

pub(super) fn handle(request: &mut Request<'_>, calls: &Mutex<Vec<Call>>) -> Response {
    let path = String::from(request.path());
    let mut parts = path.split('/').skip(1);
    let (reads, answers) = (parts.next(), parts.next());
    let body = read(request, reads.unwrap_or_default());
    let fields = request.headers().iter();
    let mut call = Call {
        method: request.method().into(),
        target: request.target().into(),
        path: path.clone(),
        query: request.query().map(String::from),
        minor: u8::from(request.version() == Version::Http11),
        fields: fields.map(|it| (it.0.into(), it.1.into())).collect(),
        body: body.unwrap_or_else(|error| Body::failed(&error)),
        status: 0,
    };
    let response = match &call.body {
        Body::Failed(status, why) if answers != Some("anyway") => {
            Error::new(*status, why.clone()).into()
        }
        body => answer(body, answers.unwrap_or_default()),
    };
    // A response that cannot be sent, or that fails before anything has left, is replaced by a 500. A body is not made
    // for HEAD, so it cannot fail.
    let is_bad = matches!(answers, Some("bad" | "100")) && !call.failed();
    let fails = matches!(answers, Some("unsent" | "short")) && !call.failed();
    call.status = if is_bad || (fails && call.method != "HEAD") {
        500
    } else {
        response.status().as_u16()
    };
    calls.lock().unwrap().push(call);
    response
}

fn read(request: &mut Request<'_>, how: &str) -> Result<Body, Error> {
    let body = request.body();
    let unfit = |error: Error| match error.to_string().as_str() {
        "the body is not valid UTF-8" | "the content type is not that of a form" => {
            Ok(Body::Unfit(error.status().as_u16()))
        }
        _ => Err(error),
    };
    match (how, how.parse::<u8>()) {
        ("all", _) => Ok(Body::All(body.read_to_vec()?)),
        ("huge", _) => {
            body.set_limit(u64::MAX);
            Ok(Body::All(body.read_to_vec()?))
        }
        // With room for more than the body, of which some is read past its end and kept.
        ("ahead", _) => {
            let mut piece = vec![0; 20_000];
            let mut all = Vec::new();
            loop {
                match body.read(&mut piece)? {
                    0 => return Ok(Body::All(all)),
                    n => all.extend_from_slice(&piece[..n]),
                }
            }
        }
        ("text", _) => body
            .read_to_text()
            .map_or_else(unfit, |text| Ok(Body::All(text.into()))),
        ("form", _) => body.read_form().map_or_else(unfit, |_| Ok(Body::Unread)),
        (_, Ok(wanted)) => {
            let mut some = Vec::new();
            body.take(wanted.into()).read_to_end(&mut some)?;
            Ok(Body::Some(some, wanted.into()))
        }
        _ => Ok(Body::Unread),
    }
}

fn answer(body: &Body, how: &str) -> Response {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    let text = format!("{:016x}", hasher.finish());
    match how {
        "bytes" => Response::bytes("a/b", text.into_bytes()),
        "stream" => Response::stream(move |writer| {
            writer.write_all(&text.as_bytes()[..3])?;
            writer.flush()?;
            writer.write_all(&text.as_bytes()[3..])
        }),
        "fails" => Response::stream(move |writer| {
            writer.write_all(text.as_bytes())?;
            writer.flush()?;
            Err(ErrorKind::Other.into())
        }),
        "unsent" => Response::stream(move |writer| {
            writer.write_all(text.as_bytes())?;
            Err(ErrorKind::Other.into())
        }),
        "reader" => Response::reader(Cursor::new(text), None),
        "sized" => Response::reader(Cursor::new(text), 16),
        "short" => Response::reader(Cursor::new(text), 17),
        "long" => Response::reader(Cursor::new(text), 15),
        "large" => Response::text(text.repeat(2000)),
        "pieces" => Response::reader(Cursor::new(text.repeat(5000)), None),
        "upgrade" => Response::text(text)
            .with_status(426)
            .with_header("Upgrade", "h2c"),
        "close" => Response::text(text).with_close(),
        "error" => Error::new(404, text).into(),
        "bad" => Response::text(text).with_header("A", "b\r\nc: d"),
        "100" | "204" | "205" | "304" | "599" => {
            Response::text(text).with_status(how.parse::<u16>().unwrap())
        }
        _ => Response::text(text).with_header("A", "\x09 b\u{e4}"),
    }
}

impl Body {
    fn failed(error: &Error) -> Body {
        Body::Failed(error.status().as_u16(), error.to_string())
    }
}

impl Call {
    /// Returns whether reading the body failed. The connection then ends.
    pub(super) fn failed(&self) -> bool {
        matches!(self.body, Body::Failed(..))
    }

    pub(super) fn expects_continue(&self) -> bool {
        let mut fields = self.fields.iter();
        fields.any(|(name, _)| name.eq_ignore_ascii_case("expect"))
    }

    /// Compares the call with the request that was sent.
    pub(super) fn check(&self, head: &naive::Head<'_>, body: &[u8], end: End) {
        assert_eq!(self.method, head.method);
        assert_eq!(self.target, head.target);
        assert_eq!(self.path, head.path);
        assert_eq!(self.query.as_deref(), head.query);
        assert_eq!(self.minor, head.minor);
        let fields = self.fields.iter().map(|it| (it.0.as_str(), &it.1[..]));
        assert!(fields.eq(head.fields.iter().copied()), "{self:?}");
        let is_whole = matches!(end, End::Whole(_));
        let is_large = body.len() as u64 > MAX_BODY_BYTES;
        match &self.body {
            Body::All(all) => {
                assert!(is_whole && all == body, "{self:?}");
                assert!(!is_large || self.path.starts_with("/huge"), "{self:?}");
            }
            Body::Some(some, wanted) => {
                assert!(body.starts_with(some), "{self:?}");
                assert!(
                    some.len() == *wanted || (is_whole && some == body),
                    "{self:?}"
                );
            }
            Body::Failed(413, _) => assert!(!is_whole || is_large, "{self:?}"),
            Body::Failed(400, _) => assert!(!is_whole, "{self:?}"),
            Body::Unfit(400) => assert!(is_whole && std::str::from_utf8(body).is_err()),
            Body::Unfit(415) | Body::Unread => {}
            other => panic!("{other:?}"),
        }
    }
}
