//! Run `cargo run --bin hello -- cert.pem` here, then `curl --cacert cert.pem
//! https://localhost:8443/there`. It writes its certificate, new with every start, to that file,
//! and serves until you end it. A port may follow.

use hardstop::{Response, Server};
use hardstop_https::{SelfSigned, Tls};
use std::io;

fn main() -> io::Result<()> {
    let mut args = std::env::args().skip(1);
    let (file, port) = (args.next(), args.next());
    let port = port.map_or(Ok(8443), |port| port.parse::<u16>());
    let port = port.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;

    let SelfSigned {
        config,
        pem,
        sha256,
    } = SelfSigned::new()?;
    if let Some(file) = file {
        std::fs::write(file, pem)?;
    }
    let server = Server::builder()
        .transport(move |tcp, _id| Ok(Tls::new(&config, tcp)?))
        .bind(("127.0.0.1", port))?;
    println!("listening on https://{}", server.local_addr());
    println!("certificate {sha256}");
    server.run(|req| Response::text(format!("hello from {}\n", req.path())));
    Ok(())
}
