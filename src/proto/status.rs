//! The version of a message, and the status code of a response.

use std::fmt;

/// The version that a request was made in. Responses always say `HTTP/1.1` (RFC 9110 §6.2).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Version {
    /// `HTTP/1.0`
    Http10,
    /// `HTTP/1.1`, or a later 1.x, which is served as 1.1.
    #[default]
    Http11,
}

/// A response's status code, with a constant for each that is registered with IANA.
///
/// It can be made from any number, and compares with one. The ones that can be sent are listed at
/// [`Response::with_status`](super::super::Response::with_status).
///
/// ```
/// let response = hardstop::Response::redirect("/login");
/// assert_eq!(response.status(), 303);
/// assert!(response.status() == hardstop::StatusCode::SEE_OTHER);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatusCode(u16);

impl StatusCode {
    /// Returns the number.
    pub fn as_u16(self) -> u16 {
        self.0
    }

    /// Returns the reason phrase. It is empty for a number that is not registered.
    pub fn reason(self) -> &'static str {
        let line = self.status_line().unwrap_or_default();
        line.get("HTTP/1.1 200 ".len()..).unwrap_or_default()
    }
}

impl From<u16> for StatusCode {
    fn from(code: u16) -> StatusCode {
        StatusCode(code)
    }
}

impl PartialEq<u16> for StatusCode {
    fn eq(&self, code: &u16) -> bool {
        self.0 == *code
    }
}

impl PartialEq<StatusCode> for u16 {
    fn eq(&self, status: &StatusCode) -> bool {
        *self == status.0
    }
}

/// Prints the number, and the reason phrase if there is one: `404 Not Found`, or `599`.
impl fmt::Display for StatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status_line() {
            Some(line) => f.write_str(line.get("HTTP/1.1 ".len()..).unwrap_or_default()),
            None => write!(f, "{}", self.0),
        }
    }
}

/// Defines a constant for each status code, and their texts.
macro_rules! status_codes {
    ($($code:literal $name:ident $reason:literal,)+) => {
        impl StatusCode {
            $(
                #[doc = concat!("`", stringify!($code), " ", $reason, "`")]
                pub const $name: StatusCode = StatusCode($code);
            )+

            /// Returns the status line without its CRLF: `HTTP/1.1 404 Not Found`. `None` for a
            /// number that is not registered.
            pub(super) fn status_line(self) -> Option<&'static str> {
                match self.0 {
                    $($code => Some(concat!("HTTP/1.1 ", $code, " ", $reason)),)+
                    _ => None,
                }
            }
        }
    };
}

// The HTTP Status Code Registry (RFC 9110 §16.2) of 2025-09-15. It calls 306 and 418 unused. Its
// 104 is temporary, and left out.
status_codes! {
    100 CONTINUE "Continue",
    101 SWITCHING_PROTOCOLS "Switching Protocols",
    102 PROCESSING "Processing",
    103 EARLY_HINTS "Early Hints",
    200 OK "OK",
    201 CREATED "Created",
    202 ACCEPTED "Accepted",
    203 NON_AUTHORITATIVE_INFORMATION "Non-Authoritative Information",
    204 NO_CONTENT "No Content",
    205 RESET_CONTENT "Reset Content",
    206 PARTIAL_CONTENT "Partial Content",
    207 MULTI_STATUS "Multi-Status",
    208 ALREADY_REPORTED "Already Reported",
    226 IM_USED "IM Used",
    300 MULTIPLE_CHOICES "Multiple Choices",
    301 MOVED_PERMANENTLY "Moved Permanently",
    302 FOUND "Found",
    303 SEE_OTHER "See Other",
    304 NOT_MODIFIED "Not Modified",
    305 USE_PROXY "Use Proxy",
    307 TEMPORARY_REDIRECT "Temporary Redirect",
    308 PERMANENT_REDIRECT "Permanent Redirect",
    400 BAD_REQUEST "Bad Request",
    401 UNAUTHORIZED "Unauthorized",
    402 PAYMENT_REQUIRED "Payment Required",
    403 FORBIDDEN "Forbidden",
    404 NOT_FOUND "Not Found",
    405 METHOD_NOT_ALLOWED "Method Not Allowed",
    406 NOT_ACCEPTABLE "Not Acceptable",
    407 PROXY_AUTHENTICATION_REQUIRED "Proxy Authentication Required",
    408 REQUEST_TIMEOUT "Request Timeout",
    409 CONFLICT "Conflict",
    410 GONE "Gone",
    411 LENGTH_REQUIRED "Length Required",
    412 PRECONDITION_FAILED "Precondition Failed",
    413 CONTENT_TOO_LARGE "Content Too Large",
    414 URI_TOO_LONG "URI Too Long",
    415 UNSUPPORTED_MEDIA_TYPE "Unsupported Media Type",
    416 RANGE_NOT_SATISFIABLE "Range Not Satisfiable",
    417 EXPECTATION_FAILED "Expectation Failed",
    421 MISDIRECTED_REQUEST "Misdirected Request",
    422 UNPROCESSABLE_CONTENT "Unprocessable Content",
    423 LOCKED "Locked",
    424 FAILED_DEPENDENCY "Failed Dependency",
    425 TOO_EARLY "Too Early",
    426 UPGRADE_REQUIRED "Upgrade Required",
    428 PRECONDITION_REQUIRED "Precondition Required",
    429 TOO_MANY_REQUESTS "Too Many Requests",
    431 HEADER_FIELDS_TOO_LARGE "Request Header Fields Too Large",
    451 UNAVAILABLE_FOR_LEGAL_REASONS "Unavailable For Legal Reasons",
    500 INTERNAL_SERVER_ERROR "Internal Server Error",
    501 NOT_IMPLEMENTED "Not Implemented",
    502 BAD_GATEWAY "Bad Gateway",
    503 SERVICE_UNAVAILABLE "Service Unavailable",
    504 GATEWAY_TIMEOUT "Gateway Timeout",
    505 HTTP_VERSION_NOT_SUPPORTED "HTTP Version Not Supported",
    506 VARIANT_ALSO_NEGOTIATES "Variant Also Negotiates",
    507 INSUFFICIENT_STORAGE "Insufficient Storage",
    508 LOOP_DETECTED "Loop Detected",
    510 NOT_EXTENDED "Not Extended",
    511 NETWORK_AUTHENTICATION_REQUIRED "Network Authentication Required",
}

#[cfg(test)]
mod tests;
