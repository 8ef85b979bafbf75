//! Run `cargo run --example oauth_callback` and open the address that it prints: the browser gets
//! its page, the program gets the code, and the server is gone. `-- 60
//! https://id.example/authorize` waits for 60 s, and uses that identity provider.

use hardstop::{Error, Request, Response, Server};
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::mpsc::{self, SyncSender};
use std::{env, io, io::ErrorKind, process::ExitCode, time::Duration};

/// The page that the browser shows at the end. It loads no other resource.
const PAGE: &str = "<!doctype html><html lang=en><meta charset=utf-8><meta name=color-scheme content='light dark'>
<link rel=icon href=data:,><title>TEXT</title><body style='font: 1.25rem system-ui; margin: 3rem'><h1>TEXT</h1>
<p>You can close this page and return to the terminal.</html>
";

fn main() -> ExitCode {
    match run() {
        Ok(code) => {
            println!("the code is {code}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("oauth_callback: {error}");
            if error.kind() == ErrorKind::PermissionDenied {
                ExitCode::from(1)
            } else {
                ExitCode::from(2)
            }
        }
    }
}

fn run() -> io::Result<String> {
    let seconds = match env::args().nth(1) {
        None => 300,
        Some(text) => text.parse().map_err(|why| {
            let message = format!("invalid number of seconds: {why}");
            io::Error::new(ErrorKind::InvalidInput, message)
        })?,
    };
    let endpoint = env::args().nth(2);
    authorize(endpoint.as_deref(), Duration::from_secs(seconds))
}

/// Asks the user for access, in a browser, and returns the code. Fails with `PermissionDenied` if
/// access was denied, and with `TimedOut` if no answer came.
///
/// A real tool adds the PKCE challenge to the address and exchanges the code for a token.
fn authorize(endpoint: Option<&str>, timeout: Duration) -> io::Result<String> {
    // RFC 8252 §8.3: not `localhost`, which may resolve to another address.
    let server = Server::bind("127.0.0.1:0")?;
    let addr = server.local_addr();
    let state = unguessable();
    let (sender, answers) = mpsc::sync_channel(1);
    let address = match endpoint {
        Some(endpoint) => {
            let joint = if endpoint.contains('?') { '&' } else { '?' };
            let port = addr.port();
            let back = format!("http%3A%2F%2F127.0.0.1%3A{port}%2Fcallback");
            let query = format!("response_type=code&redirect_uri={back}&client_id=example");
            format!("{endpoint}{joint}{query}&state={state}")
        }
        // The demo skips the identity provider: this is where it would redirect the browser.
        None => format!("http://{addr}/callback?code=demo&state={state}"),
    };
    println!("open {address}\nwithin {timeout:?}");
    let host = addr.to_string();
    let running = server.spawn(move |req| answer(req, &host, &state, &sender))?;
    let answer = answers.recv_timeout(timeout);
    // Close the port, and let the response with the page be sent to its end.
    running.drain();
    // Browsers open a spare connection in advance. Do not wait for a request on it.
    running.close_idle();
    running.shutdown(Duration::from_secs(1));
    match answer {
        Ok(Answer::Code(code)) => Ok(code),
        Ok(Answer::Denied(why)) => {
            let message = format!("access was denied: {why}");
            Err(io::Error::new(ErrorKind::PermissionDenied, message))
        }
        Err(_) => {
            let message = format!("there was no answer within {timeout:?}");
            Err(io::Error::new(ErrorKind::TimedOut, message))
        }
    }
}

/// The answer of the identity provider.
enum Answer {
    Code(String),
    Denied(String),
}

fn answer(
    req: &Request<'_>,
    host: &str,
    state: &str,
    answers: &SyncSender<Answer>,
) -> Result<Response, Error> {
    // DNS rebinding: a foreign page can point its own host name at this server.
    if req.header("Host") != Some(host) {
        return Err(Error::new(421, "this server does not serve that host name"));
    }
    if req.method() != "GET" || req.path() != "/callback" {
        return Err(Error::new(404, "there is no such page"));
    }
    // Any page that the user has open can guess the port. Its request must not count as an answer:
    // it could log the user in to another account (RFC 6749 §10.12), or end the wait before the
    // real answer comes.
    if value(req, "state").as_deref() != Some(state) {
        return Err(Error::new(400, "the state is not the expected one"));
    }
    let answer = if let Some(why) = value(req, "error") {
        Answer::Denied(why)
    } else if let Some(code) = value(req, "code") {
        Answer::Code(code)
    } else {
        return Err(Error::new(400, "there is neither a code nor an error"));
    };
    let text = match answer {
        Answer::Code(_) => "Access was allowed",
        Answer::Denied(_) => "Access was denied",
    };
    // If a browser sends the answer twice, the first one counts.
    let _ = answers.try_send(answer);
    Ok(Response::html(PAGE.replace("TEXT", text))
        .with_close()
        .with_header("Cache-Control", "no-store")
        .with_header("Referrer-Policy", "no-referrer"))
}

/// Returns a value of the query, if it is not empty and printable (RFC 6749, appendix A).
fn value(req: &Request<'_>, name: &str) -> Option<String> {
    let value = req.query_value(name)?;
    let is_printable = value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if value.is_empty() || !is_printable {
        return None;
    }
    Some(value)
}

/// Returns 128 random bits as hexadecimal digits.
///
/// std has the system's randomness only as the keys of its hash maps. A real tool uses the
/// cryptography crate that it needs for PKCE.
fn unguessable() -> String {
    let first = RandomState::new().build_hasher().finish();
    let second = RandomState::new().build_hasher().finish();
    format!("{first:016x}{second:016x}")
}
