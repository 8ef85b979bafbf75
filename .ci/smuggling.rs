//! The origin that `.ci/extra/proxy` puts behind proxies. It says which request each response
//! answers. Below `/read`, it reads the body first; everything else is answered at once. `/seen`
//! returns the requests since the last time: `METHOD TARGET VIA` on each line.

use hardstop::{Error, Request, Response, Server};
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

static SEEN: Mutex<String> = Mutex::new(String::new());

fn main() -> io::Result<()> {
    // An attacker that sends a part of a body is to be done with before the next one.
    let builder = Server::builder().body_timeout(Duration::from_secs(2));
    let server = builder.bind("127.0.0.1:0")?;
    println!("{}", server.local_addr());
    server.run(answer);
    Ok(())
}

fn answer(req: &mut Request<'_>) -> Result<Response, Error> {
    let via = req.header("Via").unwrap_or("-").to_string();
    let target = req.target().to_string();
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    if target == "/seen" {
        return Ok(Response::text(std::mem::take(&mut *seen)));
    }
    *seen += &format!("{} {target} {via}\n", req.method());
    drop(seen);
    if target.starts_with("/read") {
        io::copy(req.body(), &mut io::sink())?;
    }
    Ok(Response::text("ok")
        .with_header("X-Answers", target)
        .with_header("X-Head", head_length(req).to_string()))
}

/// Returns the length of the request's head, as a proxy writes it: `Name: value`, and no more
/// spaces.
fn head_length(req: &Request<'_>) -> usize {
    let line = req.method().len() + " ".len() + req.target().len() + " HTTP/1.1\r\n".len();
    let mut length = line + "\r\n".len();
    for (name, value) in req.headers().iter() {
        length += name.len() + ": ".len() + value.len() + "\r\n".len();
    }
    length
}
