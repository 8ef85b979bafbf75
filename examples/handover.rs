//! Run `cargo run --example handover`, `curl 127.0.0.1:8080/`, `curl --unix-socket control.1 -X POST http://x/successor`,
//! and the first again: another process answers, and nobody was refused. It takes its commands at `control.2`:
//! `curl --unix-socket control.2 -X POST http://x/stop` ends it.

#[cfg(unix)]
use {
    hardstop::{Error, Response, Server},
    std::io::{self, BufRead, BufReader, Write},
    std::net::{TcpListener, TcpStream},
    std::os::unix::io::{AsFd, OwnedFd},
    std::process::{self, Command, Stdio},
    std::sync::atomic::{AtomicBool, Ordering::SeqCst},
    std::time::{Duration, Instant},
    std::{env, thread},
};

#[cfg(unix)]
fn main() -> io::Result<()> {
    /// Whether each response is its connection's last: its client comes back to whoever accepts then.
    static LEAVING: AtomicBool = AtomicBool::new(false);

    let program = env::current_exe()?; // asked for now: a newer program may take this file's place
    let generation = env::var("GENERATION").map_or(1_u32, |n| n.parse().unwrap_or(1));
    let me = format!("generation {generation}, process {}", process::id());
    let addr = env::args().nth(1).unwrap_or_else(|| String::from("127.0.0.1:8080"));
    let control = env::args().nth(2).unwrap_or_else(|| String::from("control"));
    let listener = inherited().map_or_else(|| TcpListener::bind(addr), Ok)?;
    let to_pass_on = listener.try_clone()?;

    // Commands come over a socket of their own. Over the port, any client could send them, and any page in a browser on
    // this machine. Each generation has one, as the predecessor needs its own until the successor serves.
    let control = Server::builder().socket_mode(0o600).bind_unix(format!("{control}.{generation}"))?;

    let name = me.clone();
    let running = Server::builder().listener(listener)?.spawn(move |_| {
        let response = Response::text(format!("{name}\n"));
        if LEAVING.load(SeqCst) {
            response.closing()
        } else {
            response
        }
    })?;
    let _ = writeln!(io::stdout(), "{me}, serves http://{}", running.local_addr());

    let handle = control.handle();
    control.run(|req| {
        let is_stop = match (req.method(), req.path()) {
            ("POST", "/stop") => true,
            ("POST", "/successor") => false,
            _ => return Err(Error::new(404, "there are `POST /successor` and `POST /stop`")),
        };
        if LEAVING.swap(true, SeqCst) {
            return Err(Error::new(409, format!("{me} is leaving already")));
        }
        let answer = if is_stop {
            format!("{me} stops\n")
        } else {
            let mut next = Command::new(&program);
            next.args(env::args_os().skip(1)).env("GENERATION", generation.saturating_add(1).to_string());
            successor(next, &to_pass_on).map_err(|why| {
                LEAVING.store(false, SeqCst); // it goes on, as if nothing had been
                Error::new(503, format!("{me} goes on: {why}"))
            })?
        };
        handle.drain(); // `run` returns when this answer has been sent
        Ok(answer)
    });

    let since = Instant::now();
    let has_old_ones = || running.handle().connections().iter().any(|old| old.opened < since);
    while has_old_ones() && since.elapsed() < Duration::from_secs(10) {
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
fn successor(mut next: Command, listener: &TcpListener) -> io::Result<String> {
    next.stdin(OwnedFd::from(listener.try_clone()?));
    let mut child = next.stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut line)?;
    }
    if line.ends_with('\n') {
        Ok(line)
    } else {
        let status = child.wait()?; // it has ended without that line
        Err(io::Error::new(io::ErrorKind::Other, status.to_string()))
    }
}

#[cfg(not(unix))]
fn main() {
    println!("This passes a listening socket on as stdin, which needs a Unix.");
}
