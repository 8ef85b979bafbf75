//! Run `cargo run --example handover`, `curl 127.0.0.1:8080/`, `curl --unix-socket control.1 -X
//! POST http://x/successor`, and the first `curl` again: another process answers, and no client was
//! refused. The new process takes its commands at `control.2`. Stop it with `curl --unix-socket
//! control.2 -X POST http://x/stop`.

#[cfg(unix)]
use {
    hardstop::{Error, Response, Running, Server},
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
    /// Set when this process is leaving. Each response then closes its connection, so the client
    /// reconnects to the process that accepts by then.
    static LEAVING: AtomicBool = AtomicBool::new(false);

    // Read the path now, because a newer program may replace the file later.
    let program = env::current_exe()?;
    let generation = env::var("GENERATION").unwrap_or_default();
    let generation: u32 = generation.parse().unwrap_or(1);
    let me = format!("generation {generation}, process {}", process::id());
    let addr = env::args().nth(1);
    let addr = addr.unwrap_or_else(|| String::from("127.0.0.1:8080"));
    let control = env::args().nth(2);
    let control = control.unwrap_or_else(|| String::from("control"));
    let listener = match inherited() {
        Some(listener) => listener,
        None => TcpListener::bind(addr)?,
    };
    let to_pass_on = listener.try_clone()?;

    // Commands have a socket of their own. Over the port, any client could send them, including any
    // page in a browser on this machine. Each generation has its own control socket, because the
    // predecessor needs one until the successor serves.
    let control = Server::builder()
        .socket_mode(0o600)
        .bind_unix(format!("{control}.{generation}"))?;

    let name = me.clone();
    let running = Server::builder().bind_listener(listener)?.spawn(move |_| {
        let response = Response::text(format!("{name}\n"));
        if LEAVING.load(SeqCst) {
            response.with_close()
        } else {
            response
        }
    })?;
    let _ = writeln!(io::stdout(), "{me}, serves http://{}", running.local_addr());

    let handle = control.handle();
    control.run(|req| {
        let is_stop = match req.route() {
            ("POST", "/stop") => true,
            ("POST", "/successor") => false,
            _ => {
                return Err(Error::new(
                    404,
                    "there are `POST /successor` and `POST /stop`",
                ))
            }
        };
        if LEAVING.swap(true, SeqCst) {
            return Err(Error::new(409, format!("{me} is already leaving")));
        }
        let answer = if is_stop {
            format!("{me} stops\n")
        } else {
            let mut next = Command::new(&program);
            next.args(env::args_os().skip(1))
                .env("GENERATION", generation.saturating_add(1).to_string());
            match successor(next, &to_pass_on) {
                Ok(line) => line,
                Err(why) => {
                    LEAVING.store(false, SeqCst);
                    return Err(Error::new(503, format!("{me} keeps serving: {why}")));
                }
            }
        };
        // `run` returns once this response has been sent.
        handle.drain();
        Ok(answer)
    });

    // Give each client that is connected now one more response, which closes its connection.
    let since = Instant::now();
    while has_connections_since_before(since, &running) && since.elapsed() < Duration::from_secs(10)
    {
        thread::sleep(Duration::from_millis(10));
    }
    running.shutdown(Duration::from_secs(10));
    Ok(())
}

#[cfg(unix)]
fn has_connections_since_before(instant: Instant, server: &Running) -> bool {
    let connections = server.connections();
    connections.iter().any(|it| it.opened < instant)
}

/// Returns stdin if it is a listening socket, passed on by the predecessor or by systemd.
#[cfg(unix)]
fn inherited() -> Option<TcpListener> {
    let stdin = TcpStream::from(io::stdin().as_fd().try_clone_to_owned().ok()?);
    let listens = stdin.peer_addr().is_err() && stdin.local_addr().is_ok();
    listens.then(|| OwnedFd::from(stdin).into())
}

/// Starts the successor with the listener as its stdin. Returns its first line, which it prints
/// once it serves.
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
        // The successor closed its stdout without printing the line.
        let status = child.wait()?;
        Err(io::Error::new(io::ErrorKind::Other, status.to_string()))
    }
}

#[cfg(not(unix))]
fn main() {
    println!("This example passes a listening socket on as stdin, which requires Unix.");
}
