//! HTTP/1.1 as bytes and values: requests in, responses out.
//!
//! This layer is pure. It names no socket, no lock, no thread and no clock, and it reads and writes
//! nothing: a caller hands it the bytes that have arrived, and sends those that it makes. So all of
//! it can be tested and fuzzed with bytes alone, and it uses nothing outside this directory.
//!
//! | file | what is in it |
//! |---|---|
//! | `chars` | byte classes, tokens, lists |
//! | `line` | lines and field lines |
//! | `status`, `refusal` | status codes and versions; reasons for rejecting a request |
//! | `urlencoded`, `date` | percent-encoding and forms; dates |
//! | `target`, `headers` | request targets and authorities; header fields |
//! | `cookie` | the cookies in the header fields |
//! | `head` | the head of a request, made of all these |
//! | `body` | the length of a body, and the decoder of the chunked coding |
//! | `directives` | the directives of a head for its body and its connection |
//! | `range`, `conditional` | ranges of a body; the conditions of a request |
//! | `encode` | the head of a response, and the chunked coding |
//! | `received` | a response as a client reads it, for tests of handlers |

// Numbers come from outside here: no arithmetic may overflow, and no cast may lose anything.
#![cfg_attr(
    not(test),
    warn(clippy::arithmetic_side_effects, clippy::as_conversions)
)]

mod body;
mod chars;
mod conditional;
mod cookie;
mod date;
mod directives;
mod encode;
mod head;
mod headers;
mod line;
mod range;
mod received;
mod refusal;
mod status;
mod target;
pub(crate) mod urlencoded;

pub(crate) use self::body::{BodyDecoder, BodyLength, BodyState};
pub(crate) use self::chars::{eq_ignore_case, is_control, is_token, list_elements, trim_ows};
pub(crate) use self::conditional::{
    is_entity_tag, select, Candidate, Selection, STRONG_AGE_SECONDS,
};
pub(crate) use self::cookie::cookies;
pub(crate) use self::date::{imf_fixdate, parse_http_date};
pub(crate) use self::directives::{directives, Directives, EmptyHost};
pub(crate) use self::encode::{chunk_size_line, CHUNK_END, LAST_CHUNK};
pub(crate) use self::encode::{BodyFraming, ConnectionField, ResponseHead};
pub(crate) use self::head::{Head, HeadLimits};
pub(crate) use self::line::without_empty_line;
pub(crate) use self::received::{Asked, Received};
pub(crate) use self::refusal::Refusal;
pub(crate) use self::urlencoded::{has_more_pairs_than, pairs};

pub use self::date::http_date;
pub use self::headers::Headers;
pub use self::status::{StatusCode, Version};
