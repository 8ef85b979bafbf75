//! The second program of README.md, and what it does.

use hardstop::{Error, Request, Response, Server};
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};

fn main() -> std::io::Result<()> {
    let brightness = AtomicU8::new(50); // shared state: a handler may borrow
    Server::builder()
        .on_event(|event| eprintln!("{event}"))
        .bind("127.0.0.1:8080")?
        .run(|req| lamp(req, &brightness));
    Ok(())
}

fn lamp(req: &mut Request<'_>, brightness: &AtomicU8) -> Result<Response, Error> {
    match req.route() {
        // HEAD is answered as GET, without the body.
        ("GET", "/lamp") => Ok(Response::text(format!("{}\n", brightness.load(SeqCst)))),
        ("POST", "/lamp") => {
            let form = req.body().read_form()?; // if it cannot be read: 400, 408, 413 or 415
            brightness.store(form.parse("brightness")?, SeqCst); // if it is not 0 to 255: 400
            Ok(Response::redirect("/lamp"))
        }
        (_, "/lamp") => {
            let error = Error::new(405, "the lamp is read and set");
            Err(error.with_header("Allow", "GET, HEAD, POST"))
        }
        _ => Err(Error::new(404, "there is no such page")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lamp_of_the_readme_is_read_and_set() {
        let brightness = AtomicU8::new(50);
        let form = "Content-Type: application/x-www-form-urlencoded\r\n";
        let table = [
            ("GET /lamp", "", "", 200, "50\n"),
            ("POST /lamp", form, "brightness=70", 303, ""),
            ("GET /lamp", "", "", 200, "70\n"),
            ("HEAD /lamp", "", "", 200, ""),
            (
                "POST /lamp",
                form,
                "brightness=256",
                400,
                "400 Bad Request: the field \"brightness\" is not valid\n",
            ),
            (
                "POST /lamp",
                form,
                "",
                400,
                "400 Bad Request: the field \"brightness\" is missing\n",
            ),
            (
                "POST /lamp",
                "",
                "brightness=1",
                415,
                "415 Unsupported Media Type: the content type is not that of a form\n",
            ),
            (
                "PUT /lamp",
                "",
                "",
                405,
                "405 Method Not Allowed: the lamp is read and set\n",
            ),
            (
                "GET /",
                "",
                "",
                404,
                "404 Not Found: there is no such page\n",
            ),
        ];
        for (line, fields, body, status, text) in table {
            let length = body.len();
            let request = format!(
                "{line} HTTP/1.1\r\nHost: lamp\r\n{fields}Content-Length: {length}\r\n\r\n{body}"
            );
            let answers = Server::builder()
                .answer(request, |req| lamp(req, &brightness))
                .unwrap();
            assert_eq!(answers[0].status(), status, "{line} {body}");
            assert_eq!(answers[0].text(), text, "{line} {body}");
            if status == 405 {
                assert_eq!(answers[0].header("Allow"), Some("GET, HEAD, POST"));
            }
        }
        assert_eq!(brightness.load(SeqCst), 70);
    }
}
