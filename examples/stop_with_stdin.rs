//! Run `cargo run --example stop_with_stdin`, then `curl 127.0.0.1:8080/slow`, and press Ctrl-D
//! meanwhile (on Windows, Ctrl-Z and Enter): no new client gets in, that answer still comes, then
//! the program ends. With the line `destroy` it does not wait. A program that starts it with a pipe
//! as its stdin takes it along, however that one ends.

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
            req.cancel_token().wait_timeout(Duration::from_secs(3)); // ends early if the connection is cut
        }
        Response::text(format!("hello from process {}\n", process::id()))
    });
    let _ = stdin.join(); // it has stopped the server, and tells how that went
    Ok(())
}

/// Waits for the end of stdin. A pipe ends when the last process that could write to it does,
/// killed or not. Not for a program that is started without a stdin, such as a service: `/dev/null`
/// ends at once.
fn stop_with_stdin(handle: &Handle) {
    for line in io::stdin().lines() {
        match line.as_deref() {
            Ok("destroy") => {
                return say(&format!("destroyed, {} connections cut", handle.destroy()))
            }
            Ok(_) => {}
            Err(_) => break, // as good as the end
        }
    }
    say(&format!("{:?}", handle.shutdown(Duration::from_secs(10))));
}

/// As `println!`, which would panic when the program that reads this is gone.
fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}
