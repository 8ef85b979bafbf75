//! `axum-server PORT`, for its stop call. As with `hardstop`, a line on its stdin stops it.

use axum::{http::header, routing::get, Router};
use axum_server::{accept::NoDelayAcceptor, Handle};
use std::net::{Ipv4Addr, SocketAddr};
use std::{env, io, thread, time::Instant};

#[tokio::main]
async fn main() -> io::Result<()> {
    let port = env::args()
        .nth(1)
        .and_then(|port| port.parse().ok())
        .unwrap_or_default();
    let app = Router::new().route(
        "/hello",
        get(|| async { ([(header::CONTENT_TYPE, "text/plain")], "Hello world!") }),
    );
    let handle = Handle::new();
    let (stop, count) = (handle.clone(), handle.clone());
    let stopped = thread::spawn(move || {
        let _ = io::stdin().read_line(&mut String::new());
        let start = Instant::now();
        stop.shutdown();
        (start, start.elapsed())
    });
    let server =
        axum_server::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).acceptor(NoDelayAcceptor);
    server.handle(handle).serve(app.into_make_service()).await?;
    let (start, cut) = stopped.join().unwrap();
    while count.connection_count() > 0 {
        tokio::task::yield_now().await;
    }
    println!("{} {}", cut.as_micros(), start.elapsed().as_micros());
    Ok(())
}
