//! A script: one byte for each call, which says what happens in that call.

use std::io::ErrorKind;

/// What happens in one call.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// `.`, any other byte, and every call after the end of the script.
    Ordinary,
    /// `1` to `9`: at most so many bytes are read or written.
    Short(usize),
    /// `i`
    Interrupted,
    /// `r`, `p`, `t`, `o`
    Failed(ErrorKind),
    /// `z`: the end of the input, or a write that takes nothing.
    Zero,
    /// `x`
    Panic,
    /// `d`, `c`, `l`, `n`, `e`: a stop before the bytes move.
    Before(Act),
    /// `D`, `C`, `L`, `N`, `E`: a stop after they have moved.
    After(Act),
}

/// A stop.
#[derive(Debug, Clone, Copy)]
pub(super) enum Act {
    Destroy,
    Close,
    CloseIdle,
    Drain,
    /// Another client comes while every place is taken.
    Evict,
}

#[derive(Debug, Default)]
pub(super) struct Script {
    steps: Vec<u8>,
    next: usize,
}

impl Script {
    pub(super) fn new(steps: &[u8]) -> Script {
        Script {
            steps: steps.to_vec(),
            next: 0,
        }
    }

    pub(super) fn next_step(&mut self) -> Step {
        let byte = self.steps.get(self.next).copied();
        self.next += 1;
        match byte.unwrap_or(b'.') {
            digit @ b'1'..=b'9' => Step::Short(usize::from(digit - b'0')),
            b'i' => Step::Interrupted,
            b'r' => Step::Failed(ErrorKind::ConnectionReset),
            b'p' => Step::Failed(ErrorKind::BrokenPipe),
            b't' => Step::Failed(ErrorKind::WouldBlock),
            b'o' => Step::Failed(ErrorKind::TimedOut),
            b'z' => Step::Zero,
            b'x' => Step::Panic,
            other => act(other),
        }
    }
}

fn act(byte: u8) -> Step {
    let act = match byte.to_ascii_lowercase() {
        b'd' => Act::Destroy,
        b'c' => Act::Close,
        b'l' => Act::CloseIdle,
        b'n' => Act::Drain,
        b'e' => Act::Evict,
        _ => return Step::Ordinary,
    };
    if byte.is_ascii_lowercase() {
        Step::Before(act)
    } else {
        Step::After(act)
    }
}

pub(super) fn is_timeout(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
