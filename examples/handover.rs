//! Run `cargo run --example handover`, `curl 127.0.0.1:8080/`, `curl -X POST 127.0.0.1:8080/successor`, and the first
//! again: another process answers, and nobody was refused. `curl -X POST 127.0.0.1:8080/stop` ends it.

#[cfg(unix)]
use {
    hardstop::{Response, Server},
    std::error::Error,
    std::io::{self, BufRead, BufReader, Write},
    std::net::{TcpListener, TcpStream},
    std::os::unix::io::{AsFd, OwnedFd},
    std::process::{self, Command, Stdio},
    std::sync::atomic::{AtomicBool, Ordering::SeqCst},
    std::time::{Duration, Instant},
    std::{env, sync::mpsc, thread},
};

#[cfg(unix)]
fn main() -> io::Result<()> {
    /// Whether each response is its connection's last: its client comes back to whoever accepts then.
    static LEAVING: AtomicBool = AtomicBool::new(false);

    let program = env::current_exe()?; // asked for now: a newer program may take this file's place
    let generation = env::var("GENERATION").map_or(1_u32, |n| n.parse().unwrap_or(1));
    let me = format!("generation {generation}, process {}", process::id());
    let addr = env::args().nth(1);
    let bind = || TcpListener::bind(addr.as_deref().unwrap_or("127.0.0.1:8080"));
    let listener = inherited().map_or_else(bind, Ok)?;
    let (to_pass_on, name) = (listener.try_clone()?, me.clone());

    let (leave, told) = mpsc::sync_channel(1);
    let running = Server::builder().listener(listener)?.spawn(move |req| {
        let error = |status: u16, why| hardstop::Error::new(status, format!("{name} {why}"));
        let leaves = |text| {
            let _ = leave.send(()); // `main` does the rest, as a handler cannot wait for the end
            text
        };
        let answer = match (req.method(), req.path()) {
            ("POST", "/successor" | "/stop") if LEAVING.swap(true, SeqCst) => {
                Err(error(409, String::from("is leaving already")))
            }
            ("POST", "/stop") => Ok(leaves(format!("{name} stops\n"))),
            ("POST", "/successor") => {
                let mut next = Command::new(&program);
                next.env("GENERATION", generation.saturating_add(1).to_string());
                successor(next, &to_pass_on).map(leaves).map_err(|why| {
                    LEAVING.store(false, SeqCst); // it goes on, as if nothing had been
                    error(503, format!("goes on: {why}"))
                })
            }
            _ => Ok(format!("{name}\n")),
        };
        match LEAVING.load(SeqCst) {
            true => Response::from(answer).closing(),
            false => Response::from(answer),
        }
    })?;
    let _ = writeln!(io::stdout(), "{me}, serves http://{}", running.local_addr());

    let _ = told.recv();
    let (handle, since) = (running.handle(), Instant::now());
    let old_ones = || handle.connections().iter().any(|old| old.opened < since);
    while old_ones() && since.elapsed() < Duration::from_secs(10) {
        thread::sleep(Duration::from_millis(10)); // they have one more response, which says that it is the last
    }
    running.shutdown(Duration::from_secs(10));
    Ok(())
}

/// Stdin, if it is a socket that listens: the predecessor's, or systemd's.
#[cfg(unix)]
fn inherited() -> Option<TcpListener> {
    let stdin = TcpStream::from(io::stdin().as_fd().try_clone_to_owned().ok()?);
    let listens = stdin.peer_addr().is_err() && stdin.local_addr().is_ok();
    listens.then(|| OwnedFd::from(stdin).into())
}

/// Starts it with the listener as its stdin, and waits for its first line, which says that it serves.
#[cfg(unix)]
fn successor(mut next: Command, listener: &TcpListener) -> Result<String, Box<dyn Error>> {
    next.stdin(OwnedFd::from(listener.try_clone()?));
    let mut child = next.stdout(Stdio::piped()).spawn()?;
    let (stdout, mut line) = (child.stdout.take(), String::new());
    match stdout.map(|pipe| BufReader::new(pipe).read_line(&mut line)) {
        _ if !line.ends_with('\n') => Err(child.wait()?.to_string().into()), // it has ended
        _ => Ok(line),
    }
}

#[cfg(not(unix))]
fn main() {
    println!("This passes a listening socket on as stdin, which needs a Unix.");
}
