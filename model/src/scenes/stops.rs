//! A stop against everything that a client can be doing.

use crate::client::{talk, GET};
use crate::mock::thread::user;
use crate::oracle::{check_nothing_left, check_time, Subject};
use std::time::Duration;

/// A destroy against clients that connect, are accepted, and are answered.
pub fn destroy_against_accept() {
    let (subject, running) = Subject::spawn(|builder| builder, |_| "hello");
    let clients = [(); 2].map(|()| {
        let subject = subject.clone();
        user(move || talk(&subject, GET))
    });
    subject.destroy();
    subject.finish(&running);
    check_nothing_left();
    for client in clients {
        client.join();
    }
    subject.check_responses();
    check_time(Duration::ZERO);
}
