use super::super::super::config::Config;
use super::super::super::event::{CloseReason, ConnectionId};
use super::super::super::lifecycle::Entry;
use super::super::super::proto::{BodyLength, Directives};
use super::super::stream::Stream;
use super::super::transport::Transport;
use super::{Body, Exchange};
use std::io::{self, ErrorKind};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// A client that sends nothing. Every read ends by its timeout, at once.
struct Silent;

impl Transport for Silent {
    fn receive(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(ErrorKind::WouldBlock.into())
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn set_read_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn set_write_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn shut_down(&mut self, _: Shutdown) {}

    fn into_tcp(self: Box<Self>) -> Result<TcpStream, Box<dyn Transport>> {
        Err(self)
    }
}

/// A rest without a deadline would be waited for, again and again, without a pause.
#[test]
fn a_rest_is_given_up_when_its_credit_is_spent() {
    let config = Config {
        body_timeout: None,
        ..Config::default()
    };
    let entry = Entry::new(ConnectionId(1), None, false, Arc::default());
    let mut stream = Stream::new(Box::new(Silent), &config, &Arc::new(entry));
    let directives = Directives {
        body: BodyLength::Known(5),
        ..Directives::default()
    };
    let mut exchange = Exchange::new(directives, &config);
    let mut fill = |waited| {
        exchange.rate.record(0, waited);
        let mut body = Body {
            stream: &mut stream,
            exchange: &mut exchange,
            config: &config,
        };
        body.fill_before(None)
    };
    assert_eq!(fill(Duration::ZERO), Ok(()));
    assert_eq!(
        fill(Duration::from_secs(1000)),
        Err(CloseReason::BodyTimeout)
    );
}
