//! Run `cargo run --example stop_with_stdin`, then `curl 127.0.0.1:8080/slow`, and press Ctrl-D
//! before curl gets its response (on Windows, Ctrl-Z and Enter): new clients are refused, curl
//! still gets its response, and the program exits. The line `destroy` exits at once. A program that
//! starts this one with a pipe as its stdin stops it when it ends, however it ends.

use hardstop::{Handle, Response, Server};
use std::io::{self, Write};
use std::{process, thread, time::Duration};

fn main() -> io::Result<()> {
    let addr = std::env::args().nth(1);
    let server = Server::bind(addr.as_deref().unwrap_or("127.0.0.1:8080"))?;
    say(&format!("listening on http://{}", server.local_addr()));
    let handle = server.handle();
    let stdin = thread::Builder::new().spawn(move || stop_with_stdin(&handle))?;
    server.run(|req| {
        if req.path() == "/slow" {
            // The wait ends early if the connection is cut.
            req.cancel_token().wait_timeout(Duration::from_secs(3));
        }
        Response::text(format!("hello from process {}\n", process::id()))
    });
    // That thread has stopped the server. Wait until it has printed the outcome.
    let _ = stdin.join();
    Ok(())
}

/// Stops the server at the end of stdin. A pipe ends with the last process that can write to it,
/// even if that process is killed. This does not suit a program that is started without a stdin,
/// such as a service: `/dev/null` is at its end immediately.
fn stop_with_stdin(handle: &Handle) {
    for line in io::stdin().lines() {
        match line.as_deref() {
            Ok("destroy") => {
                let cut = handle.destroy();
                say(&format!("destroyed, {cut} connections cut"));
                return;
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    // `eprintln!` would panic if stderr has been closed.
    let _ = writeln!(io::stderr(), "stdin is at its end, so the server drains");
    let outcome = handle.shutdown(Duration::from_secs(10));
    say(&format!("{outcome:?}"));
}

/// Prints a line. `println!` would panic if the program that reads stdout has ended.
fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}
