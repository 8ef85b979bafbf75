//! Errors as responses: their `Retry-After` and their text.

use super::*;

/// Regression: a 503 of the handler's own had the library's `Retry-After: 1`, so that clients came
/// back every second instead of waiting longer each time.
#[test]
fn an_error_has_the_retry_after_that_its_maker_gives() {
    type Make = fn() -> Response;
    let table: [(Make, Option<&str>, &str); 6] = [
        (|| Error::new(503, "no database").into(), None, "none"),
        (
            || Error::new(503, "busy").with_retry_after(120).into(),
            Some("120"),
            "the one that was given",
        ),
        (
            || Error::new(429, "slow down").with_retry_after(0).into(),
            Some("0"),
            "of another status, and now",
        ),
        (
            || Error::from(io::Error::from(Error::new(503, "").with_retry_after(9))).into(),
            Some("9"),
            "through a reader's error",
        ),
        (
            || {
                Error::from(io::Error::from(ErrorKind::Other))
                    .with_retry_after(9)
                    .into()
            },
            None,
            "of an error that is no answer",
        ),
        (
            || Response::from(Error::new(503, "")).with_header("Retry-After", "soon"),
            Some("soon"),
            "as a header of the response",
        ),
    ];
    for (make, want, why) in table {
        let server = always(make);
        let mut client = Client::connect(server.local_addr());
        client.say(&request("GET", "1.1"));
        let answer = client.response();
        assert_eq!(answer.header("Retry-After").as_deref(), want, "{why}");
        let count = answer.head.matches("Retry-After").count();
        assert_eq!(count, usize::from(want.is_some()), "{why}");
    }
}

#[test]
fn an_error_is_displayed_by_its_reason_or_its_status() {
    let table = [
        (Error::new(404, "no such device"), "no such device"),
        (Error::new(404, ""), "404 Not Found"),
        (Error::new(502, ""), "502 Bad Gateway"),
        (Error::new(599, ""), "599"),
    ];
    for (error, want) in table {
        assert_eq!(error.to_string(), want);
        assert_eq!(io::Error::from(error).to_string(), want);
    }
}
