//! Run `cargo run --bin proxy -- 127.0.0.1:3000` here: it listens on http://127.0.0.1:8080/ and
//! forwards each request to the server at that address. An address to listen on may follow. Enter
//! destroys the proxy with everything that it forwards.

use hardstop::Server;
use hardstop_recipes::proxy::Proxy;
use std::io;
use std::time::Duration;

fn main() -> io::Result<()> {
    let mut args = std::env::args().skip(1);
    let upstream = args.next().unwrap_or_default().parse();
    let upstream = upstream.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let listen = args.next().unwrap_or(String::from("127.0.0.1:8080"));

    let proxy = Proxy::new(upstream, Duration::from_secs(60));
    let forwarder = proxy.clone();
    let server = Server::bind(&*listen)?.spawn(move |req| forwarder.forward(req))?;
    println!("listening on http://{}", server.local_addr());

    io::stdin().read_line(&mut String::new())?;
    server.destroy(); // cuts every client
    proxy.stop(); // and every exchange with the upstream server
    server.join();
    Ok(())
}
