//! Run `cargo test --example fixture`: servers as fixtures for the tests of a client, each on a
//! port that the system chooses, and a handler that is tested without a port. Each server ends with
//! its test. `cargo run --example fixture` prints one exchange of each kind.

use hardstop::{Error, Request, Response, Server};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::time::Duration;

fn main() -> io::Result<()> {
    let label = Mutex::new(String::new());
    let server = Server::bind("127.0.0.1:0")?.spawn(move |req| thermometer(req, &label))?;
    let client = Client {
        addr: server.local_addr(),
        patience: Duration::from_secs(10),
    };
    client.set_label("attic")?;
    println!("with a port: {:?}", client.temperature());
    drop(server);
    println!("the same one, dropped: {:?}", client.temperature());

    let label = Mutex::new(String::from("cellar"));
    let request = "GET /label HTTP/1.1\r\nHost: x\r\n\r\n";
    let answers = Server::builder().answer(request, |req| thermometer(req, &label))?;
    println!("without a port: {:?}", answers[0]);
    println!("run the tests with `cargo test --example fixture`");
    Ok(())
}

/// The handler under test: a thermometer with a label that can be changed.
fn thermometer(req: &mut Request<'_>, label: &Mutex<String>) -> Result<Response, Error> {
    match req.route() {
        ("GET", "/now") => Ok(Response::text("21.5")),
        ("GET", "/label") => Ok(Response::text(label.lock().unwrap().clone())),
        ("POST", "/label") => {
            let text = req.body().read_to_text()?;
            *label.lock().unwrap() = text;
            Ok(Response::redirect("/label"))
        }
        _ => Err(Error::new(404, "no such page")),
    }
}

/// The client under test.
struct Client {
    addr: SocketAddr,
    patience: Duration,
}

struct Reply {
    status: String,
    body: String,
}

impl Client {
    /// Asks for the temperature, and once more if the thermometer is busy.
    fn temperature(&self) -> io::Result<f32> {
        let mut reply = self.request("GET /now", "")?;
        if reply.status == "503" {
            reply = self.request("GET /now", "")?;
        }
        match reply.body.parse() {
            Ok(degrees) if reply.status == "200" => Ok(degrees),
            _ => Err(ErrorKind::InvalidData.into()),
        }
    }

    fn set_label(&self, label: &str) -> io::Result<()> {
        let reply = self.request("POST /label", label)?;
        if reply.status != "303" {
            return Err(ErrorKind::InvalidData.into());
        }
        Ok(())
    }

    fn request(&self, line: &str, body: &str) -> io::Result<Reply> {
        let host = self.addr;
        let length = body.len();
        let fields = format!("Host: {host}\r\nContent-Length: {length}\r\nConnection: close");
        let request = format!("{line} HTTP/1.1\r\n{fields}\r\n\r\n{body}");
        let mut stream = TcpStream::connect(self.addr)?;
        stream.set_read_timeout(Some(self.patience))?;
        stream.write_all(request.as_bytes())?;
        let mut response = String::new();
        stream.read_to_string(&mut response)?;

        let not_http = || io::Error::new(ErrorKind::InvalidData, "this is not HTTP");
        let response = response.strip_prefix("HTTP/1.1 ").ok_or_else(not_http)?;
        let (head, body) = response.split_once("\r\n\r\n").ok_or_else(not_http)?;
        let (status, _) = head.split_once(' ').ok_or_else(not_http)?;
        let length = format!("Content-Length: {}", body.len());
        if !head.lines().any(|line| line == length) {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(Reply {
            status: status.to_owned(),
            body: body.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hardstop::{Running, StatusCode};
    use std::sync::Arc;

    fn client_of(server: &Running) -> Client {
        Client {
            addr: server.local_addr(),
            patience: Duration::from_secs(10),
        }
    }

    /// Gives these answers, one after the other, and records what it was asked.
    fn scripted(answers: Vec<Response>) -> io::Result<(Running, Arc<Mutex<Vec<String>>>)> {
        let script = Mutex::new(answers.into_iter());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&requests);
        let server = Server::bind("127.0.0.1:0")?.spawn(move |req| {
            let body = req.body().read_to_text()?;
            let request = format!("{} {}: {body}", req.method(), req.target());
            record.lock().unwrap().push(request);
            let next = script.lock().unwrap().next();
            next.ok_or_else(|| Error::new(500, "the script is at its end"))
        })?;
        Ok((server, requests))
    }

    /// Sends these bytes, whatever the client has asked, and ends the connection.
    fn raw(bytes: &'static [u8]) -> io::Result<Running> {
        let builder = Server::builder().transport(move |mut tcp, _| -> Result<TcpStream, _> {
            // An end before the request has been read would reset the connection.
            let _length = tcp.read(&mut [0; 1024])?;
            tcp.write_all(bytes)?;
            Err("the connection ends here".into())
        });
        builder.bind("127.0.0.1:0")?.spawn(|_| "is never called")
    }

    #[test]
    fn a_busy_thermometer_is_asked_once_more() -> io::Result<()> {
        let answers = vec![
            StatusCode::SERVICE_UNAVAILABLE.into(),
            Response::text("-3.5"),
        ];
        let (server, requests) = scripted(answers)?;
        assert_eq!(client_of(&server).temperature()?, -3.5);
        assert_eq!(*requests.lock().unwrap(), ["GET /now: "; 2]);
        Ok(()) // dropping the server destroys it, also if a test fails
    }

    #[test]
    fn a_label_is_sent_as_the_body() -> io::Result<()> {
        let (server, requests) = scripted(vec![Response::redirect("/label")])?;
        client_of(&server).set_label("attic")?;
        assert_eq!(*requests.lock().unwrap(), ["POST /label: attic"]);
        Ok(())
    }

    #[test]
    fn the_client_does_not_wait_for_ever() -> io::Result<()> {
        let server = Server::bind("127.0.0.1:0")?.spawn(|req| {
            // A `sleep` would go on when the test has ended. This ends with the server.
            req.cancel_token().wait_timeout(Duration::from_secs(3600));
            "21.5"
        })?;
        let mut client = client_of(&server);
        client.patience = Duration::from_millis(50);
        let error = client.temperature().unwrap_err().kind();
        assert!(matches!(error, ErrorKind::WouldBlock | ErrorKind::TimedOut));
        server.destroy();
        assert!(server.join(), "the handler has been woken, and has ended");
        Ok(())
    }

    #[test]
    fn half_a_body_is_an_error() -> io::Result<()> {
        let server = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n21")?;
        let error = client_of(&server).temperature().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        Ok(())
    }

    #[test]
    fn what_is_not_http_is_an_error() -> io::Result<()> {
        let server = raw(b"SSH-2.0-dropbear\r\n")?;
        let error = client_of(&server).temperature().unwrap_err();
        assert_eq!(error.to_string(), "this is not HTTP");
        Ok(())
    }

    #[test]
    fn the_label_can_be_changed() -> io::Result<()> {
        let label = Mutex::new(String::from("attic"));
        let requests = "POST /label HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\ncellar\
                        GET /label HTTP/1.1\r\nHost: x\r\n\r\n";
        let answers = Server::builder().answer(requests, |req| thermometer(req, &label))?;
        assert_eq!(answers[0].status(), StatusCode::SEE_OTHER);
        assert_eq!(answers[0].header("Location"), Some("/label"));
        assert_eq!(answers[1].text(), "cellar");

        let builder = Server::builder().max_body_bytes(5);
        let answers = builder.answer(requests, |req| thermometer(req, &label))?;
        assert_eq!(answers[0].status(), StatusCode::CONTENT_TOO_LARGE);
        assert_eq!(answers.len(), 1, "the connection has ended");
        Ok(())
    }
}
