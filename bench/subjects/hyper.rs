//! `hyper PORT`, on tokio's default threads, one per core.

use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper::{header, server::conn::http1, service::service_fn, Request, Response};
use hyper_util::rt::TokioIo;
use std::{env, io};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> io::Result<()> {
    let port = env::args().nth(1).unwrap_or_default();
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let hello = service_fn(|request: Request<Incoming>| async {
            if cfg!(feature = "upload") && !request.body().is_end_stream() {
                request.into_body().collect().await?;
            }
            let body = Full::new(Bytes::from_static(b"Hello world!"));
            let mut response = Response::new(body);
            let text = header::HeaderValue::from_static("text/plain");
            response.headers_mut().insert(header::CONTENT_TYPE, text);
            Ok::<_, hyper::Error>(response)
        });
        // `pipeline_flush` is off by default. With it, hyper is fastest on pipelined requests.
        tokio::spawn(
            http1::Builder::new()
                .pipeline_flush(true)
                .serve_connection(TokioIo::new(stream), hello),
        );
    }
}
