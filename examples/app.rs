//! Run `cargo run --example app` and open http://127.0.0.1:4005/: the admin page of a lamp. It asks
//! for the password that the program prints. Every request and every failure is logged on stderr.
//! Press Enter to stop.
//!
//! It shows what such pages need: a login with a cookie, forms, a redirect after each POST, a 405,
//! a JSON status, an upload that goes to a file, and a download that clients can resume.

use hardstop::{Error, Request, Response, Server};
use std::collections::hash_map::RandomState;
use std::env;
use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How large a firmware may be.
const MAX_FIRMWARE: u64 = 64 * 1024 * 1024;

/// How many may be logged in.
const MAX_SESSIONS: usize = 16;

/// What all requests share.
struct Lamp {
    password: String,
    /// The cookies of those who have logged in.
    sessions: Mutex<Vec<String>>,
    brightness: AtomicU8,
    firmware: PathBuf,
}

fn main() -> io::Result<()> {
    let addr = env::args().nth(1);
    let addr = addr.unwrap_or_else(|| String::from("127.0.0.1:4005"));
    // A name that nobody can guess, as other users may write to the directory of temporary files.
    let directory = env::temp_dir().join(format!("hardstop-lamp-{}", unguessable()));
    fs::create_dir(&directory)?;
    let lamp = Arc::new(Lamp {
        password: unguessable(),
        sessions: Mutex::new(Vec::new()),
        brightness: AtomicU8::new(50),
        firmware: directory.join("firmware.bin"),
    });
    fs::write(&lamp.firmware, "the first version\n")?;
    let server = Server::builder()
        .on_event(|event| eprintln!("{event}"))
        .bind(addr)?;
    println!("listening on http://{}", server.local_addr());
    println!("the password is {}", lamp.password);
    let shared = Arc::clone(&lamp);
    let running = server.spawn(move |req| shared.answer(req))?;
    if io::stdin().read_line(&mut String::new())? == 0 {
        eprintln!("stdin is at its end, so this stops; a terminal or a pipe would keep it running");
    }
    running.shutdown(Duration::from_secs(5));
    running.join(); // a handler that has been cut may still write to the directory
    fs::remove_dir_all(directory)
}

impl Lamp {
    fn answer(&self, req: &mut Request<'_>) -> Result<Response, Error> {
        refuse_foreign_pages(req)?;
        if req.path() == "/login" {
            return self.log_in(req);
        }
        // Everything else is for those who have logged in.
        let session = self.session(req)?;
        match req.route() {
            ("GET", "/") => Ok(self.page()),
            ("GET", "/status.json") => Ok(self.status()),
            ("POST", "/brightness") => self.set_brightness(req),
            ("GET", "/firmware") => self.send_firmware(req),
            ("PUT", "/firmware") => self.receive_firmware(req),
            ("POST", "/logout") => Ok(self.log_out(session)),
            (_, "/" | "/status.json") => Err(not_allowed("GET, HEAD")),
            (_, "/brightness" | "/logout") => Err(not_allowed("POST")),
            (_, "/firmware") => Err(not_allowed("GET, HEAD, PUT")),
            _ => Err(Error::new(404, "there is no such page")),
        }
    }

    fn log_in(&self, req: &mut Request<'_>) -> Result<Response, Error> {
        match req.route() {
            ("GET", _) => return Ok(page(include_str!("app_login.html"))),
            ("POST", _) => {}
            _ => return Err(not_allowed("GET, HEAD, POST")),
        }
        let form = req.body().read_form()?;
        if form.required("password")? != self.password {
            return Err(Error::new(403, "the password is wrong"));
        }
        let session = unguessable();
        // Scripts cannot read this cookie, and pages of other sites cannot send it.
        let cookie = format!("lamp_session={session}; HttpOnly; SameSite=Strict; Path=/");
        let mut sessions = self.sessions();
        if sessions.len() == MAX_SESSIONS {
            sessions.remove(0); // the oldest
        }
        sessions.push(session);
        Ok(Response::redirect("/").with_header("Set-Cookie", cookie))
    }

    fn log_out(&self, session: &str) -> Response {
        self.sessions().retain(|each| each != session);
        Response::redirect("/login").with_header("Set-Cookie", "lamp_session=; Max-Age=0; Path=/")
    }

    /// Returns the session of a request. Without one, a page leaves with `?`, to the login.
    fn session<'a>(&self, req: &Request<'a>) -> Result<&'a str, Error> {
        let sessions = self.sessions();
        // Another server on this host may have set a cookie of the same name.
        for cookie in req.cookies("lamp_session") {
            if sessions.iter().any(|session| session == cookie) {
                return Ok(cookie);
            }
        }
        if req.route().0 == "GET" {
            return Err(Response::redirect("/login").into());
        }
        // A script would follow a redirect, and take the login page for success.
        Err(Error::new(403, "log in first"))
    }

    fn sessions(&self) -> MutexGuard<'_, Vec<String>> {
        // Nothing panics while it holds the lock, so the list is whole.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn page(&self) -> Response {
        let brightness = self.brightness.load(SeqCst).to_string();
        page(&include_str!("app.html").replace("BRIGHTNESS", &brightness))
    }

    fn status(&self) -> Response {
        let brightness = self.brightness.load(SeqCst);
        Response::json(format!("{{\"brightness\": {brightness}}}\n"))
            .with_header("Cache-Control", "no-store")
    }

    fn set_brightness(&self, req: &mut Request<'_>) -> Result<Response, Error> {
        let form = req.body().read_form()?;
        self.brightness.store(form.parse("brightness")?, SeqCst);
        // The browser gets the page with GET, so that reloading it does not send the form again.
        Ok(Response::redirect("/"))
    }

    /// Sends the firmware, or the part that is missing in the client's copy.
    fn send_firmware(&self, req: &Request<'_>) -> Result<Response, Error> {
        let file = File::open(&self.firmware)?; // if it fails, the client gets a 500
        Ok(Response::file(file)?
            .with_header("Content-Disposition", "attachment; filename=\"lamp.bin\"")
            .with_header("Cache-Control", "private, no-cache")
            .conditional(req))
    }

    /// Receives a firmware into a new file, which replaces the old one once it is whole.
    fn receive_firmware(&self, req: &mut Request<'_>) -> Result<Response, Error> {
        // `curl -C - -T` sends the rest of a file. Whoever sends a condition wants it to be
        // checked.
        for name in [
            "Content-Range",
            "If-Match",
            "If-None-Match",
            "If-Unmodified-Since",
        ] {
            if req.header(name).is_some() {
                return Err(Error::new(
                    400,
                    format!("an upload with {name} is not supported"),
                ));
            }
        }
        let part = self
            .firmware
            .with_extension(req.connection_id().to_string());
        let received = self.receive_into(&part, req);
        if received.is_err() {
            let _ = fs::remove_file(&part); // the client learns why it was not received
        }
        received?;
        Ok(Response::new(204))
    }

    fn receive_into(&self, part: &Path, req: &mut Request<'_>) -> io::Result<()> {
        req.body().set_limit(MAX_FIRMWARE);
        // An error of the body keeps its status: 413 if it is too large, 408 if it comes too
        // slowly.
        io::copy(req.body(), &mut File::create(part)?)?;
        fs::rename(part, &self.firmware)
    }
}

/// Returns a page that is neither kept by a browser nor framed by another page.
fn page(html: &str) -> Response {
    Response::html(html.to_owned())
        .with_header("Cache-Control", "no-store")
        .with_header("X-Frame-Options", "DENY")
}

fn not_allowed(allowed: &str) -> Error {
    Error::new(405, format!("the methods here are {allowed}")).with_header("Allow", allowed)
}

/// Refuses requests that come from the pages of other sites. Any page that the user has open can
/// send requests to 127.0.0.1.
fn refuse_foreign_pages(req: &Request<'_>) -> Result<(), Error> {
    // DNS rebinding: a foreign page can point its own host name at this server and then read the
    // responses. The port is not compared, because `ssh -L` and `docker -p` change it.
    let host = req.header("Host").unwrap_or_default();
    let name = host
        .trim_end_matches(|c: char| c.is_ascii_digit())
        .strip_suffix(':')
        .unwrap_or(host);
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_local = ["localhost", "127.0.0.1", "[::1]"]
        .iter()
        .any(|local| local.eq_ignore_ascii_case(name));
    if !is_local {
        return Err(Error::new(421, "this server does not serve that host name"));
    }
    // A browser sends the page's origin (scheme, host and port) with every form, every WebSocket
    // and every cross-origin request of a script. It omits the origin only from a plain GET or
    // HEAD, which must not change anything.
    match req.header("Origin") {
        Some(origin) if origin.eq_ignore_ascii_case(&format!("http://{host}")) => Ok(()),
        None if matches!(req.method(), "GET" | "HEAD") => Ok(()),
        _ => Err(Error::new(
            403,
            "the request does not come from a page of this server",
        )),
    }
}

/// Returns 128 random bits as hexadecimal digits.
///
/// std has the system's randomness only as the keys of its hash maps. A program that has a
/// cryptography crate uses that.
fn unguessable() -> String {
    let first = RandomState::new().build_hasher().finish();
    let second = RandomState::new().build_hasher().finish();
    format!("{first:016x}{second:016x}")
}
