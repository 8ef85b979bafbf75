//! Run `cargo run --example dashboard`, open http://127.0.0.1:4001/ in a few tabs and press
//! "Destroy": every connection is cut and the program keeps running. Three seconds later it serves
//! again, and the pages reconnect. Press Enter to exit.

use hardstop::{
    ConnectionId, ConnectionInfo, ConnectionState, Error, Handle, Request, Response, Server,
};
use std::io::{self, Write};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::Duration;
use std::{env, process, thread};

/// How many buttons may wait for the one before them. Further ones get a 503.
const MAX_WAITING: usize = 8;

/// A button that was pressed, and the connection that carries its response.
struct Press {
    path: String,
    id: ConnectionId,
}

fn main() -> io::Result<()> {
    let addr = env::args().nth(1);
    let mut addr = addr.unwrap_or_else(|| String::from("127.0.0.1:4001"));
    thread::spawn(|| {
        if let Ok(size) = io::stdin().read_line(&mut String::new()) {
            if size == 0 {
                // `eprintln!` would panic if stderr has been closed.
                let _ = writeln!(
                    io::stderr(),
                    "stdin is at its end, so this stops; a terminal or a pipe would keep it running"
                );
            }
            process::exit(0);
        }
    });
    for generation in 1_u32.. {
        let server = Server::bind(&addr)?;
        let handle = server.handle();
        // If the port was 0, the next generation takes the port that the system chose.
        addr = server.local_addr().to_string();
        println!("listening on http://{addr}");
        // One thread carries out all buttons. With a thread for each, a client that pipelines its
        // requests could start thousands.
        let (presses, pressed) = mpsc::sync_channel(MAX_WAITING);
        let target = handle.clone();
        let presser = thread::spawn(move || carry_out(pressed, &target));
        server.run(move |req| answer(req, generation, &handle, &presses));
        // `run` has dropped the handler, and with it the sender, so that the thread ends.
        let _ = presser.join();
        println!(
            "generation {generation} is gone, with its threads and sockets; the program keeps running"
        );
        thread::sleep(Duration::from_secs(3));
    }
    Ok(())
}

/// Refuses requests that come from the pages of other sites. Any page that the user has open can
/// send requests to 127.0.0.1.
pub(crate) fn refuse_foreign_pages(req: &Request<'_>) -> Result<(), Error> {
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

fn answer(
    req: &Request<'_>,
    generation: u32,
    handle: &Handle,
    presses: &SyncSender<Press>,
) -> Result<Response, Error> {
    refuse_foreign_pages(req)?;
    match req.route() {
        ("GET", "/") => {
            let page = include_str!("dashboard.html")
                .replace("GENERATION", &generation.to_string())
                .replace("ROWS", &rows(handle));
            Ok(Response::html(page).with_header("X-Frame-Options", "DENY"))
        }
        ("GET", "/events") => Ok(events(req, generation, handle)),
        ("POST", path) => {
            let press = Press {
                path: path.to_owned(),
                id: req.connection_id(),
            };
            if presses.try_send(press).is_err() {
                return Err(Error::new(503, "too many buttons at once, try again"));
            }
            // Browsers without JavaScript show this page, which leads back to the dashboard.
            let page = "<meta http-equiv=refresh content='5; url=/'>Done.";
            Ok(Response::html(page))
        }
        _ => Err(Error::new(404, "there is no such page")),
    }
}

/// An event stream that sends the generation, the page's own connection and the table's rows.
fn events(req: &Request<'_>, generation: u32, handle: &Handle) -> Response {
    let id = req.connection_id();
    let token = req.cancel_token();
    let handle = handle.clone();
    let stream = Response::stream(move |body| {
        // The stream also ends when the server drains, so that a drain does not wait for open pages.
        while !token.wait_for_stop(Duration::from_millis(250)) {
            let rows = rows(&handle);
            write!(
                body,
                "retry: 500\ndata: {generation}\ndata: {id}\ndata: {rows}\n\n"
            )?;
            body.flush()?;
        }
        Ok(())
    });
    stream.with_header("Content-Type", "text/event-stream")
}

/// Carries out what the buttons say, one after the other, until the server is gone.
fn carry_out(presses: Receiver<Press>, handle: &Handle) {
    for press in presses {
        wait_for_response(handle, press.id);
        match press.path.as_str() {
            "/destroy" => {
                let cut = handle.destroy();
                // `println!` would panic if stdout has been closed.
                let _ = writeln!(io::stdout(), "destroyed: {cut} connections were cut");
            }
            "/drain" => handle.drain(),
            "/close-idle" => {
                handle.close_idle();
            }
            path => {
                for connection in handle.connections() {
                    if path == format!("/close/{}", connection.id) {
                        handle.close(connection.id);
                    }
                }
            }
        }
    }
}

/// Waits up to a second for a button's own response, because the action may cut the connection that
/// carries it.
fn wait_for_response(handle: &Handle, id: ConnectionId) {
    for _ in 0..100 {
        if !is_answering(handle, id) {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Returns whether the connection is open and has not sent its response yet.
fn is_answering(handle: &Handle, id: ConnectionId) -> bool {
    let connections = handle.connections();
    let connection = connections.iter().find(|connection| connection.id == id);
    connection.map_or(false, |it| it.state != ConnectionState::Idle)
}

/// Returns the table's rows as HTML.
fn rows(handle: &Handle) -> String {
    handle.connections().into_iter().map(row).collect()
}

fn row(connection: ConnectionInfo) -> String {
    let id = connection.id;
    let peer = match connection.peer {
        Some(peer) => peer.to_string(),
        None => String::new(),
    };
    let state = connection.state;
    let age = connection.opened.elapsed().as_secs();
    let requests = connection.requests;
    // The client chose method and path, so they must not be read as markup.
    let method = connection.method.unwrap_or_default();
    let path = connection.path.unwrap_or_default();
    let request = format!("{method} {path}");
    let request = request.replace('&', "&amp;").replace('<', "&lt;");
    let cells =
        format!("<th scope=row>{id}<td>{peer}<td>{state:?}<td>{age} s<td>{requests}<td>{request}");
    let button = format!("<button formaction=/close/{id}>Cut<span> {id}</span></button>");
    format!("<tr id=c{id}>{cells}<td>{button}")
}
