//! `khttp PORT`: a thread per connection. `khttp PORT epoll`: its event loop with its thread pool.

use khttp::{ConnectionSetupAction, Headers, Method, Server};
use std::{env, io};

fn main() -> io::Result<()> {
    let port = env::args().nth(1).unwrap_or_default();
    let mut app = Server::builder(format!("127.0.0.1:{port}"))?;
    app.route(Method::Get, "/hello", |_, response| {
        let mut headers = Headers::new();
        headers.add(Headers::CONTENT_TYPE, b"text/plain");
        response.ok(&headers, "Hello world!")
    });
    if cfg!(feature = "upload") {
        app.route(Method::Post, "/hello", |mut context, response| {
            io::copy(context.body(), &mut io::sink())?;
            let mut headers = Headers::new();
            headers.add(Headers::CONTENT_TYPE, b"text/plain");
            response.ok(&headers, "Hello world!")
        });
    }
    app.connection_setup_hook(|accepted| match accepted {
        Ok((stream, _)) if stream.set_nodelay(true).is_ok() => {
            ConnectionSetupAction::Proceed(stream)
        }
        _ => ConnectionSetupAction::Drop,
    });
    match env::args().nth(2) {
        Some(_) => app.build().serve_epoll(),
        None => app.build().serve_threaded(),
    }
}
