//! Run `cargo run --bin hello -- cert.pem` here, then `curl --cacert cert.pem
//! https://localhost:8443/there`. It writes its certificate, which is created at every start, to
//! that file. A port may follow. Press Ctrl-C to stop.

use hardstop::{Response, Server};
use hardstop_https::{SelfSigned, Tls};
use std::io;

fn main() -> io::Result<()> {
    let mut args = std::env::args().skip(1);
    let file = args.next();
    let port: u16 = match args.next() {
        None => 8443,
        Some(port) => port
            .parse()
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?,
    };

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
