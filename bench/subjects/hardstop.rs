//! `hardstop PORT`. A line on its stdin stops it. It then prints the microseconds until the call returned, and until
//! everything had ended.

use hardstop::{Error, Request, Server};
use std::io::{self, Read};
use std::{env, time::Instant};

fn main() -> io::Result<()> {
    let port = env::args().nth(1).unwrap_or_default();
    let builder = Server::builder().max_connections(20_000);
    let server = builder.bind(format!("127.0.0.1:{port}"))?.spawn(answer)?;
    io::stdin().read_line(&mut String::new())?;
    let start = Instant::now();
    server.destroy();
    let cut = start.elapsed();
    server.join();
    println!("{} {}", cut.as_micros(), start.elapsed().as_micros());
    Ok(())
}

/// Reads the body of an upload. Answers every request alike.
fn answer(request: &mut Request<'_>) -> Result<&'static str, Error> {
    if cfg!(feature = "upload") && request.method() == "POST" {
        // On the heap: on the stack, it would be a page for every connection.
        let mut piece = vec![0; 4096];
        while request.body().read(&mut piece)? > 0 {}
    }
    Ok("Hello world!")
}
