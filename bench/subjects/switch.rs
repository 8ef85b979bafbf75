//! `switch ROUNDS threads`: two threads send a byte to and fro through a pair of sockets, so that each round takes two
//! sleeps. `switch ROUNDS alone`: one thread makes the same system calls, and never sleeps.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::{env, thread};

fn main() -> io::Result<()> {
    let mut arguments = env::args().skip(1);
    let rounds: u64 = arguments
        .next()
        .and_then(|text| text.parse().ok())
        .unwrap_or_default();
    let with_threads = arguments.next().as_deref() == Some("threads");
    let (mut here, mut there) = UnixStream::pair()?;
    if !with_threads {
        for _ in 0..rounds {
            pass_on(&mut here, &mut there)?;
        }
        return Ok(());
    }
    thread::spawn(move || while echo(&mut there).is_ok() {});
    for _ in 0..rounds {
        here.write_all(b"x")?;
        here.read_exact(&mut [0])?;
    }
    Ok(())
}

fn echo(stream: &mut UnixStream) -> io::Result<()> {
    stream.read_exact(&mut [0])?;
    stream.write_all(b"x")
}

fn pass_on(here: &mut UnixStream, there: &mut UnixStream) -> io::Result<()> {
    here.write_all(b"x")?;
    echo(there)?;
    here.read_exact(&mut [0])
}
