//! An ordinary client, ureq.

use crate::support::server::serve;
use crate::support::SOON;
use hardstop::{Error, Response, Server};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::sync::mpsc::{channel, Receiver};
use std::sync::Mutex;
use std::time::Duration;
use ureq::{Agent, SendBody};

/// An agent that pools its connections, and returns responses of every status.
fn agent() -> Agent {
    let config = Agent::config_builder().http_status_as_error(false);
    config.timeout_global(Some(SOON)).build().into()
}

fn get(agent: &Agent, url: &str) -> String {
    let mut answer = agent.get(url).call().unwrap();
    answer.body_mut().read_to_string().unwrap()
}

#[test]
fn a_pooling_client_keeps_its_connection() {
    let server = serve(|req| {
        let id = req.connection_id();
        let length = req.body().read_to_vec()?.len();
        Ok::<_, Error>(format!("{id} {length}"))
    });
    let url = format!("http://{}/", server.local_addr());
    let agent = agent();
    for _ in 0..10 {
        assert_eq!(get(&agent, &url), "1 0");
        let mut answer = agent.post(&url).send("hello").unwrap();
        assert_eq!(answer.body_mut().read_to_string().unwrap(), "1 5");
        assert_eq!(agent.head(&url).call().unwrap().status(), 200);
    }
    let another = Agent::new_with_defaults();
    assert_eq!(get(&another, &url), "2 0");
}

#[test]
fn a_pooling_client_continues_with_the_next_server_on_its_port() {
    let server = Server::bind("127.0.0.1:0").unwrap();
    let addr = server.local_addr();
    let url = format!("http://{addr}/");
    let agent = agent();
    let mut server = server.spawn(|_| "0").unwrap();
    for n in 0..5 {
        assert_eq!(get(&agent, &url), n.to_string());
        assert_eq!(server.destroy(), 1, "the pooled connection");
        agent.get(&url).call().unwrap_err();
        let next = Server::bind(addr).unwrap();
        server = next.spawn(move |_| (n + 1).to_string()).unwrap();
    }
}

#[test]
fn a_client_that_sends_too_much_gets_the_413() {
    let server = serve(|req| {
        req.body().read_to_vec()?;
        Ok::<_, Error>("")
    });
    let url = format!("http://{}/", server.local_addr());
    let body = vec![b'a'; 4 << 20];
    let seen = |n: usize| {
        let answer = match n % 2 {
            0 => agent().post(&url).send(&body[..]),
            _ => agent()
                .post(&url)
                .send(SendBody::from_reader(&mut &body[..])), // in chunks
        };
        match answer {
            Ok(answer) => answer.status().to_string(),
            Err(error) => error.to_string(),
        }
    };
    let seen: Vec<String> = (0..30).map(seen).collect();
    let lost: Vec<&String> = seen
        .iter()
        .filter(|seen| !seen.starts_with("413"))
        .collect();
    assert!(lost.is_empty(), "{} of 30: {lost:?}", lost.len());
}

#[test]
fn a_client_gets_the_response_of_a_handler_that_reads_nothing() {
    let server = serve(|_| hardstop::StatusCode::FORBIDDEN);
    let url = format!("http://{}/", server.local_addr());
    for size in [0, 1, 60_000, 200_000] {
        let body = vec![b'a'; size];
        let answer = agent().post(&url).send(&body[..]).unwrap();
        assert_eq!(answer.status(), 403, "{size} bytes");
    }
}

/// A reader of what is sent to it.
struct Pieces(Receiver<Vec<u8>>);

impl Read for Pieces {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let piece = self.0.recv_timeout(SOON).unwrap_or_default(); // the sender is gone: the end
        buf[..piece.len()].copy_from_slice(&piece);
        Ok(piece.len())
    }
}

#[test]
fn a_body_streams_up() {
    let (next, pieces) = channel();
    let next = Mutex::new(Some(next));
    let server = serve(move |req| {
        let next = next.lock().unwrap().take().unwrap();
        assert_eq!(req.body().len(), None, "it comes in chunks");
        for n in 0..5 {
            // The client gets the next piece to send only after the previous one has arrived.
            next.send(vec![b'0' + n; 1000]).unwrap();
            let mut piece = [0; 1000];
            req.body().read_exact(&mut piece)?;
            assert_eq!(piece, [b'0' + n; 1000]);
        }
        drop(next);
        Ok::<_, Error>(req.body().read_to_vec()?.len().to_string())
    });
    let url = format!("http://{}/", server.local_addr());
    let body = SendBody::from_owned_reader(Pieces(pieces));
    let mut answer = agent().post(&url).send(body).unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(
        answer.body_mut().read_to_string().unwrap(),
        "0",
        "nothing is left"
    );
}

#[test]
fn a_body_streams_down() {
    let (go, gate) = channel::<()>();
    let gate = Mutex::new(Some(gate));
    let server = serve(move |_| {
        let gate = gate.lock().unwrap().take().unwrap();
        Response::stream(move |writer| {
            for n in 0..5 {
                writeln!(writer, "{n}")?;
                writer.flush()?;
                gate.recv_timeout(SOON).expect("the client has not seen it");
            }
            Ok(())
        })
    });
    let answer = agent()
        .get(format!("http://{}/", server.local_addr()))
        .call()
        .unwrap();
    let mut lines = BufReader::new(answer.into_body().into_reader()).lines();
    for n in 0..5 {
        assert_eq!(lines.next().unwrap().unwrap(), n.to_string());
        go.send(()).unwrap();
    }
    assert!(lines.next().is_none());
}

#[test]
fn large_bodies_go_up_and_down() {
    let server = serve(|req| {
        req.body().set_limit(u64::MAX);
        let bytes = req.body().read_to_vec()?;
        Ok::<_, Error>(Response::reader(io::Cursor::new(bytes), None))
    });
    let url = format!("http://{}/", server.local_addr());
    let body: Vec<u8> = (0..2_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let mut answer = agent().post(&url).send(&body[..]).unwrap();
    assert!(answer.body_mut().read_to_vec().unwrap() == body);
}

#[test]
fn forms_and_queries_arrive_as_sent() {
    let server = serve(|req| {
        let query = req.query_value("q & a");
        Ok::<_, Error>(format!("{query:?} {:?}", req.body().read_form()?))
    });
    let request = agent().post(format!("http://{}/", server.local_addr()));
    let request = request.query("q & a", "caf\u{e9} + 1=2");
    let mut answer = request.send_form([("a b", "1&2"), ("\u{e9}", "")]).unwrap();
    let want = "Some(\"caf\u{e9} + 1=2\") [(\"a b\", \"1&2\"), (\"\u{e9}\", \"\")]";
    assert_eq!(answer.body_mut().read_to_string().unwrap(), want);
}

#[test]
fn a_client_that_gives_up_does_not_affect_the_next() {
    let server = serve(|req| {
        if req.path() == "/slow" {
            req.cancel_token().wait_timeout(SOON * 6);
        }
        ""
    });
    let url = format!("http://{}/", server.local_addr());
    let slow = format!("{url}slow");
    let request = agent().get(&slow).config();
    let request = request.timeout_global(Some(Duration::from_millis(100)));
    let error = request.build().call().unwrap_err();
    assert!(matches!(error, ureq::Error::Timeout(_)), "{error}");
    assert_eq!(get(&agent(), &url), "");
}
