//! Run `cargo run --bin recipes` here, and open http://127.0.0.1:8080/ to upload files with a form.
//! `curl --compressed -N 127.0.0.1:8080/ticks` gets a compressed event each second, and `curl
//! --json '{"numbers":[1,2]}' 127.0.0.1:8080/sum` gets their sum. An address may follow. Press
//! Ctrl-C to stop.

use hardstop::{Error, Request, Response, Server};
use hardstop_recipes::gzip::compressed;
use hardstop_recipes::json::{json, read_json};
use hardstop_recipes::multipart::receive_upload;
use serde::{Deserialize, Serialize};
use std::io;
use std::time::Duration;

const FORM: &str = "<!DOCTYPE html><title>Upload</title>\
    <form method=post action=/upload enctype=multipart/form-data>\
    <input name=note> <input type=file name=file multiple> <button>Upload</button></form>";

#[derive(Deserialize)]
struct Numbers {
    numbers: Vec<f64>,
}

#[derive(Serialize)]
struct Sum {
    sum: f64,
}

fn handle(req: &mut Request<'_>) -> Result<Response, Error> {
    match (req.method(), req.path()) {
        ("GET" | "HEAD", "/") => Ok(Response::html(FORM)),
        ("POST", "/upload") => upload(req),
        ("GET" | "HEAD", "/ticks") => Ok(ticks(req)),
        ("POST", "/sum") => sum(req),
        _ => Err(Error::new(404, "no such page")),
    }
}

fn upload(req: &mut Request<'_>) -> Result<Response, Error> {
    let upload = receive_upload(req, &std::env::temp_dir())?;
    let mut report = String::new();
    for (field, text) in &upload.texts {
        report += &format!("{field}: {text}\n");
    }
    for file in &upload.files {
        // `std::fs::rename(&file.path, ..)` would keep it.
        report += &format!("{}: {:?}, {} bytes\n", file.field, file.name, file.bytes);
    }
    Ok(Response::text(report))
}

fn ticks(req: &Request<'_>) -> Response {
    let token = req.cancel_token();
    compressed(req, "text/event-stream", move |body| {
        while !token.wait_for_stop(Duration::from_secs(1)) {
            body.write_all(b"data: tick\n\n")?;
            body.flush()?; // compressed so far, and sent
        }
        Ok(())
    })
}

fn sum(req: &mut Request<'_>) -> Result<Response, Error> {
    let Numbers { numbers } = read_json(req)?;
    json(&Sum {
        sum: numbers.iter().sum(),
    })
}

fn main() -> io::Result<()> {
    let addr = std::env::args().nth(1);
    let server = Server::bind(addr.as_deref().unwrap_or("127.0.0.1:8080"))?;
    println!("listening on http://{}", server.local_addr());
    server.run(handle);
    Ok(())
}
