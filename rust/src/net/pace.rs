//! How long a connection may take for what it does, and which calls are in progress on it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Longest times; None is for ever.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// From the first byte of a request, or the beginning of the connection, to the end of its head.
    pub head: Option<Duration>,
    /// From the end of the head to the end of the body.
    pub body: Option<Duration>,
    /// From the end of the head until the answer has left.
    pub answer: Option<Duration>,
    /// Without a call.
    pub idle: Option<Duration>,
    /// Of a connection, and then of the calls that it has.
    pub age: Option<Duration>,
    pub age_grace: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Between requests.
    Idle,
    /// Bytes came, but not yet a whole head.
    Head,
    /// At least one call is in progress.
    Calls,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    since: Instant,
    calls: usize,
    /// An answer was given whose bytes have not left.
    leaving: bool,
    /// Calls come side by side, and bytes that belong to none.
    is_http2: bool,
}

/// What happens on a connection at the moment.
#[derive(Debug)]
pub struct Pace {
    limits: Limits,
    state: Mutex<State>,
}

/// What to do with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Let go at once: it keeps nobody but itself waiting.
    Cut,
    /// End once its calls are answered.
    End,
}

impl Pace {
    /// Of a connection that begins, and has to send a head first.
    pub fn new(limits: Limits) -> Arc<Self> {
        let state = State { phase: Phase::Head, since: Instant::now(), calls: 0, leaving: false, is_http2: false };
        Arc::new(Self { limits, state: Mutex::new(state) })
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The connection speaks HTTP/2, and may be silent before its first call.
    pub fn is_http2(&self) {
        self.with(|state| (state.phase, state.since, state.is_http2) = (Phase::Idle, Instant::now(), true));
    }

    /// Bytes came.
    pub fn received(&self) {
        self.with(|state| {
            if state.phase == Phase::Idle && !state.is_http2 {
                (state.phase, state.since) = (Phase::Head, Instant::now());
            }
        });
    }

    /// All bytes that were to be sent have left.
    pub fn flushed(&self) {
        self.with(|state| state.leaving = false);
    }

    /// A call begins; it ends when what is given here is dropped.
    pub fn begin(self: &Arc<Self>) -> Call {
        self.with(|state| {
            state.calls += 1;
            state.phase = Phase::Calls;
            if self.limits.answer.is_some() {
                state.since = Instant::now();
            }
        });
        Call { pace: self.clone() }
    }

    /// Since when there has been no call; None while there is one.
    pub fn idle_since(&self) -> Option<Instant> {
        self.with(|state| (state.calls == 0).then_some(state.since))
    }

    /// When something is due, unless something else happens before.
    pub fn due(&self) -> Option<(Instant, Due)> {
        self.with(|state| {
            let answer = self.limits.answer.filter(|_| !state.is_http2);
            let (limit, due) = match state.phase {
                Phase::Head => (self.limits.head, Due::Cut),
                Phase::Idle if !state.leaving || answer.is_none() => (self.limits.idle, Due::End),
                Phase::Calls | Phase::Idle => (answer, Due::Cut),
            };
            limit.map(|limit| (state.since + limit, due))
        })
    }
}

/// A call in progress.
#[derive(Debug)]
pub struct Call {
    pace: Arc<Pace>,
}

impl Drop for Call {
    fn drop(&mut self) {
        let has_limit = self.pace.limits.answer.is_some();
        self.pace.with(|state| {
            state.calls -= 1;
            if state.calls == 0 {
                state.phase = Phase::Idle;
                state.leaving = true;
                // The time of an answer goes on from the head until it has left.
                if state.is_http2 || !has_limit {
                    state.since = Instant::now();
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn what_is_due_follows_what_happens() {
        let pace = Pace::new(Limits { head: Some(S), idle: Some(60 * S), ..Limits::default() });
        assert_eq!(pace.due().unwrap().1, Due::Cut, "a head is awaited");
        let (first, second) = (pace.begin(), pace.begin());
        assert_eq!(pace.due(), None, "calls may take long");
        drop(first);
        assert_eq!(pace.due(), None);
        drop(second);
        let (at, due) = pace.due().unwrap();
        assert_eq!(due, Due::End);
        assert!(at > Instant::now() + 50 * S);
        pace.received();
        assert_eq!(pace.due().unwrap().1, Due::Cut, "the next head is awaited");
    }
}
