//! What must hold of a run, whatever its scripts said.

use super::handler::{Given, Kind};
use super::parse::{parse, Answer, Look};
use super::world::{Fact, Report, State};
use crate::hardstop::CloseReason;

pub(super) fn check(state: &State, is_wrapped: bool) {
    let (answers, upgraded) = parse(&state.output, &state.calls);
    let run = Run {
        state,
        facts: &state.facts,
        calls: &state.calls,
        answers,
    };
    let closed = run.check_events();
    run.check_reason(closed.reason);
    run.check_answers();
    run.check_responded();
    run.check_drain();
    assert!(upgraded.starts_with(&state.upgraded_output), "{run:?}");
    if is_wrapped {
        assert_eq!(closed.received, state.received, "{run:?}");
        assert!(closed.sent <= state.output.len(), "{run:?}");
        // A failed flush comes after its write.
        let is_exact = !run.has(&Fact::SendFailed)
            && !run.has(&Fact::UpgradedSendFailed)
            && !run.has(&Fact::WirePanic);
        assert!(!is_exact || closed.sent == state.output.len(), "{run:?}");
    }
}

struct Run<'a> {
    state: &'a State,
    facts: &'a [Fact],
    calls: &'a [Given],
    answers: Vec<Answer>,
}

impl std::fmt::Debug for Run<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "\nfacts: {:?}", self.facts)?;
        for call in self.calls {
            let start = call.body.get(..40).unwrap_or(&call.body);
            let start = start.escape_ascii();
            let Given {
                kind,
                status,
                length,
                is_whole,
                ..
            } = call;
            let size = call.body.len();
            writeln!(
                f,
                "given: {kind:?} {status}, length {length:?}, {size} bytes, whole {is_whole}, {start}"
            )?;
        }
        for answer in &self.answers {
            let start = answer.body.get(..40).unwrap_or(&answer.body);
            let start = start.escape_ascii();
            let Answer {
                status,
                closes,
                look,
                body,
            } = answer;
            let size = body.len();
            writeln!(
                f,
                "left: {status} {look:?}, closes {closes}, {size} bytes, {start}"
            )?;
        }
        writeln!(f, "input: {}", self.state.input.escape_ascii())
    }
}

/// What `Closed` says.
struct Closed {
    reason: CloseReason,
    received: usize,
    sent: usize,
}

impl Run<'_> {
    fn has(&self, fact: &Fact) -> bool {
        self.facts.contains(fact)
    }

    fn count(&self, fact: &Fact) -> usize {
        self.facts.iter().filter(|it| *it == fact).count()
    }

    fn first_cut(&self) -> Option<CloseReason> {
        let cut = |fact: &Fact| match fact {
            Fact::Cut(reason) => Some(*reason),
            _ => None,
        };
        self.facts.iter().find_map(cut)
    }

    fn panics(&self) -> usize {
        self.count(&Fact::UserPanic) + self.count(&Fact::WirePanic)
    }

    /// Returns whether something other than the library may have kept bytes from leaving.
    fn may_lose_output(&self) -> bool {
        self.first_cut().is_some() || self.has(&Fact::SendFailed) || self.has(&Fact::WirePanic)
    }

    /// Returns whether each response that has been reported must have left. A cut of a connection that waits is no reason
    /// to lose one.
    fn must_have_left(&self) -> bool {
        match self.facts.iter().position(|it| matches!(it, Fact::Cut(_))) {
            Some(at) => {
                let is_of_waiting = matches!(
                    self.facts[at],
                    Fact::Cut(CloseReason::Evicted | CloseReason::ClosedIdle)
                );
                let lost = |fact: &Fact| matches!(fact, Fact::SendFailed | Fact::WirePanic);
                is_of_waiting && !self.facts[..at].iter().any(lost)
            }
            None => !self.may_lose_output(),
        }
    }

    fn check_events(&self) -> Closed {
        let reports: Vec<&Report> = self.facts.iter().filter_map(Fact::report).collect();
        let count = |report: &Report| reports.iter().filter(|it| **it == report).count();
        assert_eq!(count(&Report::Opened), 1, "{self:?}");
        assert_eq!(reports[0], &Report::Opened, "{self:?}");
        // A panic of the hook is reported after the event.
        let hook_panics = reports.iter().rev();
        let after = hook_panics.take_while(|it| ***it == Report::HookPanicked);
        let last = reports[reports.len() - 1 - after.count()];
        let ends = reports.iter().filter(|it| it.is_closed()).count();
        assert_eq!(ends, 1, "there must be one `Closed`: {self:?}");
        assert!(last.is_closed(), "`Closed` must be the last: {self:?}");

        let requests = count(&Report::Request);
        let called = self.count(&Fact::Called);
        assert_eq!(called, self.calls.len());
        // A stop in the hook comes between the two.
        assert!(called <= requests && requests <= called + 1, "{self:?}");
        let handler_panics = count(&Report::HandlerPanicked);
        assert!(handler_panics <= self.panics(), "{self:?}");
        assert_eq!(handler_panics == 0, self.panics() == 0, "{self:?}");
        let hook_panics = count(&Report::HookPanicked);
        assert!(hook_panics <= self.count(&Fact::HookPanic), "{self:?}");
        match last {
            Report::Closed {
                reason,
                requests: counted,
                received,
                sent,
            } => {
                assert_eq!(*counted, requests as u64, "{self:?}");
                Closed {
                    reason: *reason,
                    received: usize::try_from(*received).unwrap(),
                    sent: usize::try_from(*sent).unwrap(),
                }
            }
            _ => unreachable!(),
        }
    }

    fn check_reason(&self, reason: CloseReason) {
        if let Some(cut) = self.first_cut() {
            assert_eq!(reason, cut, "the reason is not that of the cut: {self:?}");
            return;
        }
        let send_failed = self.has(&Fact::SendFailed);
        let receive_failed = self.has(&Fact::ReceiveFailed);
        let ended = self.has(&Fact::InputEnded);
        let is_possible = match reason {
            CloseReason::Completed => !send_failed && self.panics() == 0 && self.is_finished(),
            CloseReason::PeerClosed => !send_failed && (ended || receive_failed),
            CloseReason::PeerLost => send_failed || receive_failed || ended,
            CloseReason::IdleTimeout => !send_failed && self.has(&Fact::TimedOut),
            CloseReason::HeadTimeout | CloseReason::BodyTimeout | CloseReason::WriteTimeout => {
                self.has(&Fact::TimedOut)
            }
            CloseReason::Refused(status) => (400..600).contains(&status.as_u16()),
            CloseReason::ResponseFailed => self.calls.iter().any(Given::is_partial),
            CloseReason::HandlerPanicked => self.panics() > 0,
            // A drain that has found the connection waiting stays the reason, also if a request was on its way that then
            // failed.
            CloseReason::Drained => self.has(&Fact::Drain),
            // A timeout that stays would bound the waits of the next protocol.
            CloseReason::SetupFailed => {
                let last = self.calls.last();
                receive_failed && last.is_some_and(|call| call.kind == Kind::Upgrade)
            }
            CloseReason::TransportFailed => {
                self.has(&Fact::Reported(Report::TransportFailed)) && self.calls.is_empty()
            }
            _ => false,
        };
        assert!(is_possible, "the reason cannot be {reason:?}: {self:?}");
        if self.panics() > 0 && !send_failed && !receive_failed && reason != CloseReason::Drained {
            assert_eq!(reason, CloseReason::HandlerPanicked, "{self:?}");
        }
    }

    /// Returns whether the last response has told the client of the end, or the connection has left HTTP.
    fn is_finished(&self) -> bool {
        match self.answers.last() {
            Some(last) => {
                last.status == 101
                    || (last.closes && !matches!(last.look, Look::NoHead | Look::Truncated))
            }
            None => false,
        }
    }

    fn check_answers(&self) {
        assert!(self.answers.len() <= self.calls.len() + 1, "{self:?}");
        for (at, answer) in self.answers.iter().enumerate() {
            let is_last = at + 1 == self.answers.len();
            assert!(is_last || (answer.look == Look::Complete && !answer.closes));
            match self.calls.get(at) {
                Some(given) => self.check_answer(given, answer),
                // A request was refused.
                None if answer.look != Look::NoHead => {
                    assert!(answer.closes && answer.status >= 400, "{self:?}");
                }
                None => {}
            }
        }
        if self.may_lose_output() {
            return;
        }
        assert!(
            self.answers.len() >= self.calls.len(),
            "a call has no response: {self:?}"
        );
        for (at, answer) in self.answers.iter().enumerate() {
            let is_given = |given: &Given| !given.is_partial() && !self.has(&Fact::UserPanic);
            let is_cut_short = matches!(answer.look, Look::NoHead | Look::Truncated);
            let should_be_whole = self.calls.get(at).is_none_or(is_given);
            assert!(!is_cut_short || !should_be_whole, "{self:?}");
        }
    }

    /// Checks one response against what the handler has given.
    fn check_answer(&self, given: &Given, answer: &Answer) {
        if answer.look == Look::NoHead {
            return;
        }
        if answer.status != given.status || !given.has_returned {
            let is_replaced = match given.kind {
                Kind::Upgrade => matches!(answer.status, 400 | 500 | 503),
                Kind::Invalid => answer.status == 500,
                Kind::Body | Kind::Error => {
                    let has_failed = given.is_partial() || !given.has_returned;
                    answer.status == 500 && (has_failed || self.has(&Fact::UserPanic))
                }
            };
            assert!(is_replaced, "another response than was given: {self:?}");
            return;
        }
        assert_ne!(given.kind, Kind::Invalid, "{self:?}");
        if given.kind != Kind::Body || given.is_head {
            return;
        }
        match answer.look {
            Look::Complete if matches!(answer.status, 204 | 304) => {}
            Look::Complete => {
                assert!(!given.is_partial(), "it looks complete: {self:?}");
                let length = given.length.unwrap_or(given.body.len());
                assert_eq!(answer.body, given.body[..length], "{self:?}");
            }
            Look::Truncated | Look::UntilClose | Look::NoHead => {
                let is_framed = answer.look != Look::UntilClose || given.is_http_10;
                assert!(is_framed, "the end of the connection ends a body: {self:?}");
                assert!(given.body.starts_with(&answer.body), "{self:?}");
            }
        }
    }

    fn check_responded(&self) {
        let mut responded = Vec::new();
        let mut is_lost = false;
        let mut after_cut = 0;
        for fact in self.facts {
            match fact {
                Fact::SendFailed => is_lost = true,
                Fact::Cut(_) => after_cut = 1,
                Fact::Reported(Report::Responded { status, bytes }) => {
                    assert!(!is_lost, "a response is reported that is lost: {self:?}");
                    responded.push((*status, *bytes));
                    if after_cut > 0 {
                        after_cut += 1;
                    }
                }
                _ => {}
            }
        }
        assert!(after_cut <= 2, "{self:?}");
        assert!(responded.len() <= self.calls.len() + 1, "{self:?}");
        for (n, ((status, bytes), answer)) in responded.iter().zip(&self.answers).enumerate() {
            if answer.look == Look::NoHead {
                continue;
            }
            assert_eq!(*status, answer.status, "{self:?}");
            // A refused request may have been a HEAD. So the response to one looks complete if it was lost just behind
            // its head.
            let is_unclear =
                n >= self.calls.len() && answer.body.is_empty() && self.may_lose_output();
            if answer.look == Look::Complete && !is_unclear {
                assert_eq!(*bytes, answer.body.len() as u64, "{self:?}");
            }
        }
        let looks = self.answers.iter().map(|answer| answer.look);
        let complete = looks.clone().filter(|it| *it == Look::Complete).count();
        let left = looks.filter(|it| matches!(it, Look::Complete | Look::UntilClose));
        if self.may_lose_output() || self.panics() > 0 {
            assert!(complete <= responded.len() + 1, "{self:?}");
        } else {
            assert!(complete <= responded.len(), "{self:?}");
        }
        if self.must_have_left() {
            assert!(responded.len() <= left.count(), "{self:?}");
        }
    }

    /// A drain lets the request in progress end, and at most one more begin. Its response is the last one.
    fn check_drain(&self) {
        let Some(at) = self.facts.iter().position(|it| *it == Fact::Drain) else {
            return;
        };
        let before = self.facts[..at].iter().filter(|it| **it == Fact::Called);
        let before = before.count();
        assert!(self.calls.len() <= before + 1, "{self:?}");
        if let Some(answer) = self.answers.get(before) {
            let is_said = answer.closes || answer.look == Look::NoHead;
            assert!(is_said, "a response in a drain does not say so: {self:?}");
        }
    }
}
