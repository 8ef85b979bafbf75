//! Errors as responses: their headers, their text, and what is reported of them.

use super::*;

type Make = fn() -> Error;

/// Regression: a 503 of the handler's own had the library's `Retry-After: 1`, so that clients came
/// back every second instead of waiting longer each time.
#[test]
fn an_error_has_the_headers_that_its_maker_gives() {
    // A response, a header's name and its values.
    type Row = (
        fn() -> Response,
        &'static str,
        &'static [&'static str],
        &'static str,
    );
    let table: [Row; 8] = [
        (
            || Error::new(503, "no database").into(),
            "Retry-After",
            &[],
            "none",
        ),
        (
            || with_two(Error::new(405, "only GET")).into(),
            "Allow",
            &["GET", "HEAD"],
            "two of one name",
        ),
        (
            || Error::from(io::Error::from(with_two(Error::new(405, "")))).into(),
            "Allow",
            &["GET", "HEAD"],
            "through a reader's error",
        ),
        (
            || with_two(Error::from(io::Error::from(ErrorKind::Other))).into(),
            "Allow",
            &["GET", "HEAD"],
            "of an error that has no text for the client",
        ),
        (
            || with_two(Response::redirect("/login").into()).into(),
            "Allow",
            &["GET", "HEAD"],
            "of an early answer",
        ),
        (
            || Response::from(Error::new(503, "")).with_header("Retry-After", "soon"),
            "Retry-After",
            &["soon"],
            "as a header of the response",
        ),
        (
            || {
                Error::new(400, "")
                    .with_header("content-type", "a/b")
                    .into()
            },
            "Content-Type",
            &["a/b"],
            "the content type is replaced",
        ),
        (
            || Error::new(400, "").with_header("Date", "never").into(),
            "never",
            &[],
            "the library's own headers are left out",
        ),
    ];
    for (make, name, want, why) in table {
        let status = make().status().as_u16();
        let server = always(make);
        let mut client = Client::connect(server.local_addr());
        client.say(&request("GET", "1.1").repeat(2));
        for _ in 0..2 {
            let answer = client.response();
            assert_eq!(answer.status, status, "{why}");
            let fields = answer.head.lines().filter_map(|line| line.split_once(": "));
            let values = fields.filter(|(each, _)| each.eq_ignore_ascii_case(name));
            let values: Vec<&str> = values.map(|(_, value)| value).collect();
            assert_eq!(values, want, "{why}");
        }
    }
}

fn with_two(error: Error) -> Error {
    error
        .with_header("Allow", "GET")
        .with_header("Allow", "HEAD")
}

#[test]
fn an_invalid_header_of_an_error_gets_its_client_a_500() {
    let (server, events) = observed(Server::builder(), |_| {
        Err::<Response, Error>(Error::new(401, "who").with_header("X", "a\r\nEvil: yes"))
    });
    let mut client = Client::connect(server.local_addr());
    client.say(GET);
    let answer = client.response();
    assert_eq!(answer.status, 500);
    assert!(!answer.head.contains("Evil"), "{}", answer.head);
    assert_eq!(events.take_failure(), "who");
    let why = "a field value in the response has a control byte: encode it";
    assert_eq!(events.take_failure(), why);
}

#[test]
fn an_error_is_displayed_by_its_reason_or_its_status() {
    let table: [(Make, u16, &str); 14] = [
        (|| Error::new(404, "no such device"), 404, "no such device"),
        (|| Error::new(404, ""), 404, "404 Not Found"),
        (|| Error::new(502, ""), 502, "502 Bad Gateway"),
        (|| Error::new(599, ""), 599, "599"),
        (|| Error::Cut, 503, "the connection has been cut"),
        (
            || Error::Cut.with_header("X", "y"),
            503,
            "the connection has been cut",
        ),
        (|| Error::from(disk()), 500, "the disk is gone"),
        (|| Error::internal(disk()), 500, "the disk is gone"),
        (|| Error::internal("odd"), 500, "odd"),
        (|| Error::internal(format!("odd: {}", 1)), 500, "odd: 1"),
        (
            || Error::new(405, "only GET").with_header("Allow", "GET"),
            405,
            "only GET",
        ),
        (
            || Error::from(disk()).with_header("X", "y"),
            500,
            "the disk is gone",
        ),
        (|| Response::redirect("/").into(), 303, "303 See Other"),
        (
            || Response::text("no").with_status(404).into(),
            404,
            "404 Not Found",
        ),
    ];
    for (make, status, want) in table {
        assert_eq!(make().status(), status, "{want}");
        assert_eq!(make().to_string(), want);
        assert_eq!(io::Error::from(make()).to_string(), want);
        let back = Error::from(io::Error::from(make()));
        assert_eq!(
            (back.status().as_u16(), back.to_string().as_str()),
            (status, want)
        );
        assert_eq!(Response::from(make()).status(), status, "{want}");
    }
}

fn disk() -> io::Error {
    io::Error::new(ErrorKind::NotFound, "the disk is gone")
}

#[test]
fn the_status_of_an_error_is_that_which_its_client_gets() {
    let moved = Response::from(Error::new(404, "a")).with_status(410);
    let table = [
        (Error::new(404, "a"), 404),
        (Error::internal("odd"), 500),
        (Error::Cut, 503),
        (Error::new(405, "a").with_header("Allow", "GET"), 405),
        (moved.into(), 410),
        (Response::redirect("/").into(), 303),
    ];
    for (error, status) in table {
        assert_eq!(error.status(), status, "{error:?}");
    }
}

#[test]
fn an_error_comes_out_of_an_io_error_as_it_was() {
    let trip = |error: Error| Error::from(io::Error::from(error));
    assert!(matches!(trip(Error::new(404, "a")), Error::Refused { .. }));
    assert!(matches!(trip(Error::Cut), Error::Cut));
    // It has no answer that could have a header.
    assert!(matches!(Error::Cut.with_header("X", "y"), Error::Cut));
    assert!(
        matches!(trip(Error::from(disk())), Error::Io(error) if error.kind() == ErrorKind::NotFound)
    );
    assert!(matches!(trip(Error::internal("odd")), Error::Io(_)));
    assert!(matches!(trip(Response::new(204).into()), Error::Early(_)));
    let nested = io::Error::new(ErrorKind::Other, Error::Io(disk()));
    assert!(matches!(Error::from(nested), Error::Io(error) if error.kind() == ErrorKind::NotFound));
    let kinds = [
        (Error::new(408, ""), ErrorKind::TimedOut),
        (Error::new(413, ""), ErrorKind::InvalidData),
        (Error::Cut, ErrorKind::ConnectionAborted),
        (Error::from(disk()), ErrorKind::NotFound),
        (Error::internal("odd"), ErrorKind::Other),
        (Response::new(204).into(), ErrorKind::Other),
    ];
    for (error, kind) in kinds {
        assert_eq!(io::Error::from(error).kind(), kind);
    }
}

/// The text of an error is that of the error in it, so its source is the next one.
#[test]
fn the_source_of_an_error_is_that_of_the_error_in_it() {
    #[derive(Debug)]
    struct Outer(io::Error);
    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("outer")
        }
    }
    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
    let table = [
        (Error::internal(Outer(disk())), Some("the disk is gone")),
        (
            Error::from(io::Error::new(ErrorKind::Other, Outer(disk()))),
            Some("the disk is gone"),
        ),
        (
            Error::internal(Outer(disk())).with_header("A", "b"),
            Some("the disk is gone"),
        ),
        (Error::from(disk()), None),
        (Error::new(404, "a"), None),
        (Error::Cut, None),
        (Response::new(204).into(), None),
    ];
    for (error, want) in table {
        let source = std::error::Error::source(&error).map(ToString::to_string);
        assert_eq!(source.as_deref(), want, "{error:?}");
    }
}

#[test]
fn an_error_can_be_sent_and_shared_whatever_is_in_it() {
    fn assert_shareable<T: std::error::Error + Send + Sync + 'static>() {}
    assert_shareable::<Error>();
}

/// An error type without `std::error::Error`, as `anyhow::Error` is.
struct Anything(Box<dyn std::error::Error + Send + Sync>);

impl From<Anything> for Box<dyn std::error::Error + Send + Sync> {
    fn from(error: Anything) -> Self {
        error.0
    }
}

#[test]
fn an_internal_error_is_reported_and_its_client_gets_a_bare_500() {
    let (server, events) = observed(Server::builder(), |req| {
        Err::<Response, Error>(match req.path() {
            "/str" => Error::internal("secret"),
            "/string" => Error::internal(String::from("secret")),
            "/io" => Error::internal(io::Error::new(ErrorKind::Other, "secret")),
            // It is a 500 whatever the error is.
            "/own" => Error::internal(Error::new(404, "secret")),
            "/own-io" => io::Error::from(Error::internal(Error::new(404, "secret"))).into(),
            "/header" => Error::internal("secret").with_header("X", "y"),
            "/any" => Error::internal(Anything("secret".into())),
            _ => Error::from(io::Error::new(ErrorKind::Other, "secret")),
        })
    });
    let mut client = Client::connect(server.local_addr());
    for path in [
        "/str",
        "/string",
        "/io",
        "/own",
        "/own-io",
        "/header",
        "/any",
        "/question-mark",
    ] {
        client.say(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let answer = client.response();
        assert_eq!(answer.status, 500, "{path}");
        assert_eq!(answer.text(), "500 Internal Server Error\n", "{path}");
        assert!(!answer.head.contains("secret"), "{path}");
        assert_eq!(events.take_failure(), "secret", "{path}");
    }
}

/// An error type of a program.
enum Own {
    Missing,
    Disk(io::Error),
}

impl From<Own> for Error {
    fn from(error: Own) -> Error {
        match error {
            Own::Missing => Error::new(404, "missing"),
            Own::Disk(error) => error.into(),
        }
    }
}

#[test]
fn an_error_of_ones_own_is_converted_by_question_mark() {
    let server = serve(|req| -> Result<Response, Error> {
        let found = match req.path() {
            "/missing" => Err(Own::Missing),
            "/disk" => Err(Own::Disk(disk())),
            _ => Ok("found"),
        };
        Ok(Response::text(found?))
    });
    let mut client = Client::connect(server.local_addr());
    for (path, status) in [("/", 200), ("/missing", 404), ("/disk", 500)] {
        client.say(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert_eq!(client.response().status, status, "{path}");
    }
}
