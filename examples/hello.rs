//! Run `cargo run --example hello`, then open http://127.0.0.1:8080/ or run `curl -i
//! 127.0.0.1:8080/there`. Press Ctrl-C to stop.

use hardstop::{Response, Server};

fn main() -> std::io::Result<()> {
    Server::bind("127.0.0.1:8080")?
        .run(|req| Response::text(format!("hello from {}\n", req.path())));
    Ok(())
}
