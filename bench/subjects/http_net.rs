//! `http-net PORT`. A line on its stdin has no effect, because its stop call waits for idle connections.

use http_net::blocking::{Server, ServerConfig};
use http_net::Response;
use std::{env, io, time::Duration};

fn main() -> io::Result<()> {
    let port = env::args().nth(1).unwrap_or_default();
    let config = ServerConfig::new()
        .with_max_connections(20_000)
        .with_read_timeout(Some(Duration::from_secs(75)))
        .with_max_requests_per_connection(None);
    let server = Server::bind(format!("127.0.0.1:{port}"))?.with_config(config);
    server.serve(|_, _| {
        Response::new(200)
            .header("content-type", "text/plain")
            .body(b"Hello world!".to_vec())
    })
}
