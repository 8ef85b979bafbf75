//! `tiny_http PORT`, with four threads that answer requests, as in its own example.

use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::{env, io, thread};
use tiny_http::{Header, Response, Server};

fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let port = env::args().nth(1).unwrap_or_default();
    let listener = TcpListener::bind(format!("127.0.0.1:{port}"))?;
    // tiny_http does not set TCP_NODELAY. On Linux, its connections inherit the option from the listener.
    TcpStream::from(OwnedFd::from(listener.try_clone()?)).set_nodelay(true)?;
    let server = Server::from_listener(listener, None)?;
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let text = Header::from_bytes("Content-Type", "text/plain").unwrap();
                for mut request in server.incoming_requests() {
                    if cfg!(feature = "upload") {
                        let _ = io::copy(request.as_reader(), &mut io::sink());
                    }
                    let _ = request
                        .respond(Response::from_data("Hello world!").with_header(text.clone()));
                }
            });
        }
    });
    Ok(())
}
