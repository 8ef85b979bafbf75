//! Run `cargo run --example oauth_callback`, open the address that it prints, and see: the browser
//! has its page, the program has the code, and the server is gone. `-- 60
//! https://id.example/authorize` waits for 60 s, and asks there.

use hardstop::{Error, Request, Response, Server};
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::mpsc::{self, SyncSender};
use std::{env, io, io::ErrorKind, process::ExitCode, time::Duration};

/// What the browser shows in the end. It loads nothing.
const PAGE: &str = "<!doctype html><html lang=en><meta charset=utf-8><meta name=color-scheme content='light dark'>
<link rel=icon href=data:,><title>TEXT</title><body style='font: 1.25rem system-ui; margin: 3rem'><h1>TEXT</h1>
<p>You can close this page, and go on in the terminal.</html>
";

fn main() -> ExitCode {
    let seconds = env::args().nth(1).map_or(Ok(300), |text| text.parse());
    let seconds = seconds.map_err(|why| {
        io::Error::new(
            ErrorKind::InvalidInput,
            format!("the seconds to wait: {why}"),
        )
    });
    let endpoint = env::args().nth(2);
    let result =
        seconds.and_then(|seconds| authorize(endpoint.as_deref(), Duration::from_secs(seconds)));
    match &result {
        Ok(code) => println!("the code is {code}"),
        Err(error) => eprintln!("oauth_callback: {error}"),
    }
    ExitCode::from(result.map_or_else(
        |error| {
            if error.kind() == ErrorKind::PermissionDenied {
                1
            } else {
                2
            }
        },
        |_| 0,
    ))
}

/// Has the user asked, in a browser, and returns the code. Fails with `PermissionDenied` if the
/// answer was no, and with `TimedOut` if none came. The rest is the tool's: PKCE's challenge in the
/// address, and a token for the code.
fn authorize(endpoint: Option<&str>, timeout: Duration) -> io::Result<String> {
    let server = Server::bind("127.0.0.1:0")?; // RFC 8252 §8.3: not `localhost`, which may be something else
    let (addr, state, (tell, told)) = (server.local_addr(), unguessable(), mpsc::sync_channel(1));
    let back = format!(
        "response_type=code&redirect_uri=http%3A%2F%2F127.0.0.1%3A{}%2Fcallback",
        addr.port()
    );
    let demo = format!("http://{addr}/callback?code=demo&state={state}"); // where the browser would be sent next
    let ask = endpoint.map_or(demo, |at| {
        let joint = if at.contains('?') { '&' } else { '?' };
        format!("{at}{joint}{back}&client_id=example&state={state}")
    });
    println!("open {ask}\nwithin {timeout:?}");
    let running = server.spawn(move |req| answer(req, &addr.to_string(), &state, &tell))?;
    let answered = told.recv_timeout(timeout);
    running.handle().drain(); // closes the port; the page is sent to its end, and the server sees it arrive
    running.handle().close_idle(); // browsers open a second connection, in case: nobody need wait for what it may say
    running.shutdown(Duration::from_secs(1));
    let refused = |why| {
        io::Error::new(
            ErrorKind::PermissionDenied,
            format!("the answer is no: {why}"),
        )
    };
    let none = |_| {
        io::Error::new(
            ErrorKind::TimedOut,
            format!("there was no answer within {timeout:?}"),
        )
    };
    answered.map_err(none)?.map_err(refused)
}

type Answer = Result<String, String>;

fn answer(
    req: &Request<'_>,
    host: &str,
    state: &str,
    tell: &SyncSender<Answer>,
) -> Result<Response, Error> {
    let is_printable = |text: &String| text.bytes().all(|byte| (b' '..=b'~').contains(&byte)); // RFC 6749, appendix A
    let value = |name| {
        req.query_value(name)
            .filter(|value| !value.is_empty() && is_printable(value))
    };
    let error = |status: u16, why| Err(Error::new(status, why));
    let (answer, text) = match (value("code"), value("error")) {
        _ if req.header("Host") != Some(host) => return error(421, "this server has another name"), // DNS rebinding
        _ if (req.method(), req.path()) != ("GET", "/callback") => {
            return error(404, "there is no such page")
        }
        // Any page that the user has open may guess the port. What it sends is no answer: taken for
        // one, it would sign the user in as somebody else (RFC 6749 §10.12), and if it ended the
        // wait, it could prevent the real one.
        _ if value("state").as_deref() != Some(state) => {
            return error(400, "this is no answer to what was asked")
        }
        (_, Some(why)) => (Err(why), "Access was denied"),
        (Some(code), None) => (Ok(code), "Access was allowed"),
        (None, None) => return error(400, "there is neither a code nor an error"),
    };
    let _ = tell.try_send(answer); // if a browser sends it twice, the first one counts
    let page = Response::html(PAGE.replace("TEXT", text)).with_close();
    Ok(page
        .with_header("Cache-Control", "no-store")
        .with_header("Referrer-Policy", "no-referrer"))
}

/// 128 bits that nobody can guess. Std has the system's randomness only as keys for its hash maps;
/// a tool takes it from the crate for cryptography that it needs for PKCE.
fn unguessable() -> String {
    let half = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", half(), half())
}
