//! Early answers: responses that leave a handler by `?`.

use super::*;
use crate::support::recorder::Recorder;
use hardstop::Request;

/// A function that a handler calls.
fn user(req: &Request<'_>) -> Result<String, Error> {
    let user = req
        .header("User")
        .ok_or_else(|| Response::redirect("/login"))?;
    if user == "mallory" {
        return Err(Error::new(401, "go away").with_header("WWW-Authenticate", "Basic"));
    }
    Ok(String::from(user))
}

/// One that calls the other, and whose error is a response.
fn admin(req: &Request<'_>) -> Result<String, Response> {
    let user = user(req)?;
    if user != "admin" {
        return Err(Response::html("<p>no").with_status(403));
    }
    Ok(user)
}

fn pages(req: &mut Request<'_>) -> Result<Response, Error> {
    let early = match req.path() {
        "/user" => return Ok(Response::text(user(req)?)),
        "/admin" => return Ok(Response::text(admin(req)?)),
        "/bytes" => Response::text("abc")
            .with_status(429)
            .with_header("Retry-After", "9"),
        "/reader" => Response::reader(&b"abc"[..], 3),
        "/stream" => Response::stream(|out| out.write_all(b"abc")),
        "/none" => Response::new(204),
        "/close" => Response::text("abc").with_close(),
        "/kept" => Response::from(Error::new(405, "only GET")).with_header("Allow", "GET"),
        "/trip" => Error::from(io::Error::from(Error::from(Response::text("abc")))).into(),
        "/twice" => Error::from(Response::from(Error::from(Response::text("abc")))).into(),
        "/invalid" => Response::text("abc").with_status(99),
        "/upgrade" => Response::upgrade("echo", |mut stream| {
            let mut bytes = [0; 4];
            stream.read_exact(&mut bytes).unwrap();
            stream.write_all(&bytes).unwrap();
        }),
        _ => return Ok(Response::text("fine")),
    };
    Err(early.into())
}

fn served() -> (Running, Recorder) {
    observed(Server::builder(), pages)
}

#[test]
fn an_early_answer_leaves_by_question_mark_as_it_was_made() {
    // The path, the fields of the request, the response, and what is reported as a failure.
    type Row = (
        &'static str,
        &'static str,
        u16,
        &'static [(&'static str, &'static str)],
        &'static str,
        Option<&'static str>,
    );
    let table: [Row; 14] = [
        ("/user", "User: alice\r\n", 200, &[], "alice", None),
        ("/user", "", 303, &[("Location", "/login")], "", None),
        (
            "/user",
            "User: mallory\r\n",
            401,
            &[("WWW-Authenticate", "Basic")],
            "401 Unauthorized: go away\n",
            Some("go away"),
        ),
        ("/admin", "User: admin\r\n", 200, &[], "admin", None),
        ("/admin", "", 303, &[("Location", "/login")], "", None),
        (
            "/admin",
            "User: alice\r\n",
            403,
            &[("Content-Type", "text/html; charset=utf-8")],
            "<p>no",
            None,
        ),
        ("/bytes", "", 429, &[("Retry-After", "9")], "abc", None),
        ("/reader", "", 200, &[("Content-Length", "3")], "abc", None),
        (
            "/stream",
            "",
            200,
            &[("Transfer-Encoding", "chunked")],
            "abc",
            None,
        ),
        ("/none", "", 204, &[], "", None),
        (
            "/kept",
            "",
            405,
            &[("Allow", "GET")],
            "405 Method Not Allowed: only GET\n",
            Some("only GET"),
        ),
        ("/trip", "", 200, &[("Content-Length", "3")], "abc", None),
        ("/twice", "", 200, &[("Content-Length", "3")], "abc", None),
        (
            "/invalid",
            "",
            500,
            &[],
            "500 Internal Server Error\n",
            Some("the status code is not from 200 to 599"),
        ),
    ];
    for (path, fields, status, headers, body, failure) in table {
        let (server, events) = served();
        let mut client = Client::connect(server.local_addr());
        client.say(&format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\n{fields}\r\n{GET}"
        ));
        let answer = client.response();
        assert_eq!(answer.status, status, "{path} {fields}");
        assert_eq!(answer.text(), body, "{path} {fields}");
        for (name, value) in headers {
            assert_eq!(answer.header(name).as_deref(), Some(*value), "{path}");
        }
        assert_eq!(client.response().text(), "fine", "{path}: it goes on");
        drop(client);
        let facts = events.take_connection();
        let failures = facts.iter().filter_map(|fact| match fact {
            Fact::RequestFailed(_, error) => Some(error.as_str()),
            _ => None,
        });
        let want: Vec<&str> = failure.into_iter().collect();
        assert_eq!(failures.collect::<Vec<_>>(), want, "{path} {fields}");
    }
}

#[test]
fn an_early_answer_may_end_the_connection_or_upgrade_it() {
    let (server, events) = served();
    let mut client = Client::connect(server.local_addr());
    client.say("GET /close HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(
        client.response().header("Connection").as_deref(),
        Some("close")
    );
    client.expect_end();
    let mut client = Client::connect(server.local_addr());
    let offer = "Connection: upgrade\r\nUpgrade: echo\r\n";
    client.say(&format!(
        "GET /upgrade HTTP/1.1\r\nHost: x\r\n{offer}\r\nping"
    ));
    assert_eq!(client.head_response().status, 101);
    assert_eq!(client.take(4), b"ping");
    client.expect_end();
    drop(client);
    let ended = |fact: &Fact| matches!(fact, Fact::Closed(2, ..));
    events.wait_for(ended);
    let failed = |fact: &Fact| matches!(fact, Fact::RequestFailed(..));
    assert!(!events.so_far().iter().any(failed), "{:?}", events.so_far());
}

/// A closure that has not sent anything yet may answer early as well. Its answer has no body that
/// could fail in turn, or there might be no end of it.
#[test]
fn a_streams_early_answer_replaces_it_if_its_body_is_bytes() {
    type Make = fn() -> Response;
    fn endless() -> Response {
        Response::stream(|_| Err(Error::from(endless()).into()))
    }
    let not_bytes = Some("the early answer of a response's body is not bytes");
    let bare = "500 Internal Server Error\n";
    let table: [(Make, u16, &str, Option<&str>); 6] = [
        (|| Response::redirect("/login"), 303, "", None),
        (|| Response::text("abc").with_status(404), 404, "abc", None),
        (
            || Response::from(Error::new(410, "gone")).with_header("X", "y"),
            410,
            "410 Gone: gone\n",
            Some("gone"),
        ),
        (endless, 500, bare, not_bytes),
        (|| Response::reader(&b"abc"[..], 3), 500, bare, not_bytes),
        (|| Response::upgrade("echo", drop), 500, bare, not_bytes),
    ];
    for (make, status, body, failure) in table {
        let (server, events) = observed(Server::builder(), move |req| match req.path() {
            "/fine" => Response::text("fine"),
            _ => Response::stream(move |_| Err(Error::from(make()).into())),
        });
        let mut client = Client::connect(server.local_addr());
        let offer = "Connection: upgrade\r\nUpgrade: echo\r\n";
        client.say(&format!("GET / HTTP/1.1\r\nHost: x\r\n{offer}\r\n"));
        client.say("GET /fine HTTP/1.1\r\nHost: x\r\n\r\n");
        let answer = client.response();
        assert_eq!(answer.status, status);
        assert_eq!(answer.text(), body);
        assert_eq!(client.response().text(), "fine");
        drop(client);
        let facts = events.take_connection();
        let failed = facts.iter().filter_map(|fact| match fact {
            Fact::RequestFailed(_, error) => Some(error.as_str()),
            _ => None,
        });
        let want: Vec<&str> = failure.into_iter().collect();
        assert_eq!(failed.collect::<Vec<_>>(), want, "{status}");
    }
}

#[test]
fn a_streams_early_answer_may_end_the_connection() {
    let (server, events) = observed(Server::builder(), |_| {
        let answer = Response::text("bye").with_close();
        Response::stream(|_| Err(Error::from(answer).into()))
    });
    let said = dialogue(server.local_addr(), format!("{GET}{GET}"));
    assert_eq!(statuses(&said), [200], "{said}");
    assert!(said.contains("\r\nConnection: close\r\n"), "{said}");
    assert!(said.ends_with("\r\n\r\nbye"), "{said}");
    assert_eq!(events.take_reason(), CloseReason::Completed);
}

/// Then the response is cut short, whatever the error is, and that is a failure.
#[test]
fn an_early_answer_after_a_part_has_left_is_reported_as_a_failure() {
    let (server, events) = observed(Server::builder(), |_| {
        Response::stream(|out| {
            out.write_all(b"abc")?;
            out.flush()?;
            Err(Error::from(Response::redirect("/login")).into())
        })
    });
    let said = dialogue(server.local_addr(), request("GET", "1.1"));
    assert!(said.ends_with("3\r\nabc\r\n"), "{said}");
    assert_eq!(events.take_failure(), "303 See Other");
    assert_eq!(events.take_reason(), CloseReason::ResponseFailed);
}
