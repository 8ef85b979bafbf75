//! The server that `.ci/extra/small` measures: with the settings of the recipe for small machines in the guide's page on
//! platforms. `/panic` panics.

use hardstop::{Request, Response, Server};
use std::time::Duration;

fn answer(req: &mut Request<'_>) -> Response {
    assert_ne!(req.path(), "/panic");
    Response::text(format!("hello from {}\n", req.path()))
}

fn main() -> std::io::Result<()> {
    let server = Server::builder()
        .max_connections(50)
        .stack_size(128 * 1024)
        .max_head_bytes(4 * 1024)
        .max_headers(32)
        .max_body_bytes(16 * 1024)
        .max_form_fields(50)
        .idle_timeout(Duration::from_secs(20))
        .bind("127.0.0.1:0")?;
    println!("{}", server.local_addr());
    server.run(answer);
    Ok(())
}
