//! The results of all rounds.

use super::notes::{locked, End, Note, Round};
use super::CLIENTS;
use std::collections::HashMap;
use std::time::Duration;

/// The results of all rounds.
#[derive(Default)]
pub(crate) struct Table {
    pub(crate) rounds: usize,
    pub(crate) connections: usize,
    pub(crate) whole: usize,
    pub(crate) refused: usize,
    /// Without any byte of a response: requests made before the stop was called, and the others.
    pub(crate) nothing_before: usize,
    pub(crate) nothing_after: usize,
    pub(crate) sent_away: usize,
    pub(crate) truncated: usize,
    pub(crate) late_calls: usize,
    pub(crate) times: Vec<(&'static str, Vec<Duration>)>,
}

impl Table {
    pub(crate) fn time(&mut self, what: &'static str, time: Duration) {
        match self.times.iter_mut().find(|(each, _)| *each == what) {
            Some((_, times)) => times.push(time),
            None => self.times.push((what, vec![time])),
        }
    }

    /// Counts a round in which the stop was called at that stamp, and checks the rules for every
    /// stop. `made` returns the stamp at which a request counts as made.
    pub(crate) fn count(&mut self, round: &Round, called: usize, made: fn(&Note) -> usize) {
        let notes = locked(&round.notes);
        self.rounds += 1;
        self.connections += locked(&round.opened).len();
        for note in notes.iter() {
            *match &note.end {
                End::Whole { .. } => &mut self.whole,
                End::Refused => &mut self.refused,
                End::Nothing if made(note) < called => &mut self.nothing_before,
                End::Nothing => &mut self.nothing_after,
                End::SentAway => &mut self.sent_away,
                End::Truncated => &mut self.truncated,
                End::Wrong(what) => panic!("{what}: {note:?}"),
            } += 1;
        }
        let mut calls = HashMap::new();
        for call in locked(&round.calls).iter() {
            *calls.entry(call.number).or_insert(0) += 1;
        }
        for note in notes.iter() {
            let called = calls.remove(&note.number).unwrap_or(0);
            let is_whole = matches!(note.end, End::Whole { .. });
            assert!(called <= 1, "handled {called} times: {note:?}");
            assert!(called == 1 || !is_whole, "who has answered {note:?}?");
        }
        assert!(calls.is_empty(), "handled without a request: {calls:?}");
    }

    pub(crate) fn print(mut self, name: &str) {
        println!("{name}: {} rounds with {CLIENTS} clients", self.rounds);
        let rows = [
            (self.connections, "connections opened"),
            (self.whole, "whole and right responses"),
            (self.truncated, "truncated responses"),
            (self.sent_away, "answered with 503 and Retry-After"),
            (
                self.nothing_before,
                "without a response, made before the stop was called",
            ),
            (self.nothing_after, "without a response, made later"),
            (self.refused, "refused connections"),
            (
                self.late_calls,
                "handlers entered after destroy had returned, their token fired",
            ),
        ];
        for (number, what) in rows {
            println!("{number:>8} {what}");
        }
        self.print_times();
    }

    pub(crate) fn print_times(&mut self) {
        for (what, times) in &mut self.times {
            times.sort();
            let (median, max) = (times[times.len() / 2], times[times.len() - 1]);
            println!("{what}: median {median:.1?}, at most {max:.1?}");
        }
    }

    /// That nothing takes long. A busy machine may be slow, but not always.
    pub(crate) fn assert_times(&self) {
        for (what, times) in &self.times {
            let slow = times.iter().filter(|time| **time > Duration::from_secs(1));
            assert!(slow.count() * 100 <= times.len(), "{what}: {times:?}");
        }
    }
}

/// The ports of the opened connections without a complete response.
pub(crate) fn unanswered(round: &Round) -> Vec<u16> {
    let mut opened = locked(&round.opened).clone();
    for note in locked(&round.notes).iter() {
        let at = opened.iter().position(|port| *port == note.port);
        if let (End::Whole { .. }, Some(at)) = (&note.end, at) {
            opened.swap_remove(at);
        }
    }
    opened
}
