//! Run `cargo run` here and open http://127.0.0.1:4003/ in a few tabs: each tab shows what is typed
//! in all of them. Press Enter in the terminal, and every tab shows `1001`, the server's good-bye.
//! Start it again, reload the tabs, and type `/quit`: the server is destroyed, and every tab shows
//! `1006`, a connection that was cut without a word. An optional argument: the address.

use hardstop::{Running, Server};
use hardstop_websocket::{answer, Room};
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

/// A client that has sent nothing for so long is asked whether it is still there. If it does not
/// answer within the same time, its connection ends.
const PING_EVERY: Duration = Duration::from_secs(5);

/// The time that clients have to answer the server's good-bye.
const GRACE: Duration = Duration::from_secs(3);

fn main() -> io::Result<()> {
    let addr = std::env::args().nth(1);
    let server = Server::bind(addr.as_deref().unwrap_or("127.0.0.1:4003"))?;
    let room = Arc::new(Room::new(server.handle(), PING_EVERY));
    let running = {
        let room = Arc::clone(&room);
        server.spawn(move |req| answer(req, &room))?
    };
    say(&format!("listening on http://{}", running.local_addr()));
    say("press Enter to say good-bye to all and stop, or type /quit to cut all at once");
    stop_with_stdin(&running, &room)?;
    running.join();
    say("the server is gone, with its threads and sockets; the program could go on");
    Ok(())
}

fn stop_with_stdin(running: &Running, room: &Room) -> io::Result<()> {
    let mut line = String::new();
    if io::stdin().read_line(&mut line)? == 0 {
        // `eprintln!` would panic if stderr has been closed.
        let _ = writeln!(
            io::stderr(),
            "stdin is at its end, so this stops; a terminal or a pipe would keep it running"
        );
    }
    if line.trim() == "/quit" {
        let cut = running.destroy();
        say(&format!("destroyed: {cut} connections were cut"));
        return Ok(());
    }
    // The room says good-bye first, because the library does not know the protocol. A client that
    // comes after that, until `shutdown` closes the port, gets the same good-bye.
    room.close();
    let outcome = running.shutdown(GRACE);
    say(&format!("{outcome:?}"));
    Ok(())
}

/// Prints a line. `println!` would panic if the program that reads stdout has ended.
fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}
