//! Run `cargo run --example dashboard`, open http://127.0.0.1:4001/ in a few tabs, and press "Destroy": every connection
//! is cut, the program goes on, three seconds later it serves again, and the pages come back. Enter here ends it.

use hardstop::{ConnectionId, ConnectionInfo, ConnectionState, Error, Handle, Request, Response, Server};
use std::{env, io, io::Write, process, thread, time::Duration};

fn main() -> io::Result<()> {
    let mut addr = env::args().nth(1).unwrap_or_else(|| String::from("127.0.0.1:4001"));
    thread::spawn(|| io::stdin().read_line(&mut String::new()).map(|_| process::exit(0)));
    for generation in 1_u32.. {
        let server = Server::bind(&addr)?;
        let handle = server.handle();
        addr = server.local_addr().to_string(); // if it was port 0, the next one takes the same
        println!("listening on http://{addr}");
        server.run(|req| answer(req, generation, &handle));
        println!("generation {generation} is gone, with its threads and sockets; the program goes on");
        thread::sleep(Duration::from_secs(3));
    }
    Ok(())
}

/// Refuses what a foreign page asks for: any page that the user has open can send requests to 127.0.0.1.
pub(crate) fn refuse_foreign_pages(req: &Request<'_>) -> Result<(), Error> {
    // DNS rebinding: a foreign page can have its own name lead here, and then read the answers. The port is
    // not compared, because through `ssh -L` or `docker -p` the browser asks for another one.
    let host = req.header("Host").unwrap_or_default();
    let name = host.trim_end_matches(|c: char| c.is_ascii_digit()).strip_suffix(':').unwrap_or(host);
    let name = name.strip_suffix('.').unwrap_or(name);
    if !["localhost", "127.0.0.1", "[::1]"].iter().any(|local| local.eq_ignore_ascii_case(name)) {
        return Err(Error::new(421, "this server has another name"));
    }
    // A browser names its page's origin (scheme, host and port) with each form, each WebSocket, and each script's
    // request to another origin. It leaves it out only of a plain GET or HEAD, which must not change anything.
    match req.header("Origin") {
        Some(origin) if origin.eq_ignore_ascii_case(&format!("http://{host}")) => Ok(()),
        None if matches!(req.method(), "GET" | "HEAD") => Ok(()),
        _ => Err(Error::new(403, "this is not from a page of this server")),
    }
}

fn answer(req: &Request<'_>, generation: u32, handle: &Handle) -> Result<Response, Error> {
    refuse_foreign_pages(req)?;
    let (me, token, handle, path) = (req.connection_id(), req.cancel_token(), handle.clone(), req.path().to_owned());
    Ok(match (req.method(), req.path()) {
        ("GET" | "HEAD", "/") => {
            let page = include_str!("dashboard.html").replace("GENERATION", &generation.to_string());
            Response::html(page.replace("ROWS", &rows(&handle))).with_header("X-Frame-Options", "DENY")
        }
        ("GET", "/events") => Response::stream(move |body| {
            while !token.wait_stop_timeout(Duration::from_millis(250)) {
                write!(body, "retry: 500\ndata: {generation}\ndata: {me}\ndata: {}\n\n", rows(&handle))?;
                body.flush()?;
            }
            Ok(()) // a drain need not wait for an open page
        })
        .with_header("Content-Type", "text/event-stream"),
        ("POST", _) => {
            thread::spawn(move || press(&path, &handle, me));
            Response::html("<meta http-equiv=refresh content='5; url=/'>Done.") // for those without JavaScript
        }
        _ => return Err(Error::new(404, "there is no such page")),
    })
}

/// Does what a button says, once the answer is there (but within a second): afterwards there may be no connection for it.
fn press(path: &str, handle: &Handle, by: ConnectionId) {
    let answers = || handle.connections().iter().any(|it| it.id == by && it.state != ConnectionState::Idle);
    (0..100).take_while(|_| answers()).for_each(|_| thread::sleep(Duration::from_millis(10)));
    match path {
        "/destroy" => drop(writeln!(io::stdout().lock(), "destroyed: {} connections were cut", handle.destroy())),
        "/drain" => handle.drain(),
        "/close-idle" => drop(handle.close_idle()),
        _ => drop(handle.connections().iter().any(|it| path == format!("/close/{}", it.id) && handle.close(it.id))),
    }
}

/// The table's rows. What clients have chosen in them is method and path: that must not become markup.
fn rows(handle: &Handle) -> String {
    let row = |it: ConnectionInfo| {
        let (id, state, age, requests) = (it.id, it.state, it.opened.elapsed().as_secs(), it.requests);
        let peer = it.peer.map_or(String::new(), |peer| peer.to_string());
        let asks = it.method.unwrap_or_default() + " " + &it.path.unwrap_or_default();
        let asks = asks.replace('&', "&amp;").replace('<', "&lt;");
        let cells = format!("<th scope=row>{id}<td>{peer}<td>{state:?}<td>{age} s<td>{requests}<td>{asks}");
        format!("<tr id=c{id}>{cells}<td><button formaction=/close/{id}>Cut<span> {id}</span></button>")
    };
    handle.connections().into_iter().map(row).collect()
}
