//! The connections of gRPC to one endpoint, and how calls are shared out among them.
//!
//! Nothing connects before the first call. `round_robin` has a connection for each address of a name, `pick_first` one
//! to the first address that answers. What failed is tried again at the earliest after a wait that grows, and meanwhile
//! calls fail at once, or wait where they are told to.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::sleep_until;

use super::answer::NoAnswer;
use super::dial::{dial, resolve};
use super::http2::Http2;
use super::remote::{Place, Remote};

/// First and longest wait between two tries to connect. gRPC's own two minutes would outlast Python's retries.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// A name is not looked up more often.
const LOOK_UP_AGAIN: Duration = Duration::from_secs(5);

/// How calls go to the addresses of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    RoundRobin,
    PickFirst,
}

/// See above.
#[derive(Clone, Debug)]
pub struct Channel(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    remote: Arc<Remote>,
    policy: Policy,
    waits_for_ready: bool,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    links: Vec<Link>,
    /// Whose turn it is.
    turn: usize,
    look_up: Effort,
    /// When the name was last looked up.
    looked_up: Option<Instant>,
    /// A connection was lost since: the name may have other addresses by now.
    has_lost: bool,
    has_ended: bool,
}

/// A connection to one address, or to one of several, or to the only place there is.
#[derive(Debug)]
struct Link {
    addresses: Option<Vec<SocketAddr>>,
    connection: Option<Http2>,
    effort: Effort,
}

/// Something that is tried until it succeeds.
#[derive(Debug, Default)]
struct Effort {
    is_under_way: bool,
    /// Why it failed last, and when it may be tried again.
    failed: Option<(String, Instant)>,
    wait: Duration,
}

impl Effort {
    /// Whether to begin now.
    fn is_due(&self) -> bool {
        !self.is_under_way && self.failed.as_ref().is_none_or(|(_, again)| *again <= Instant::now())
    }

    fn end<T>(&mut self, result: Result<T, String>) -> Option<T> {
        self.is_under_way = false;
        match result {
            Ok(found) => {
                (self.failed, self.wait) = (None, Duration::ZERO);
                Some(found)
            }
            Err(why) => {
                self.wait = (self.wait * 2).clamp(FIRST_WAIT, LONGEST_WAIT);
                self.failed = Some((why, Instant::now() + self.wait));
                None
            }
        }
    }
}

/// What a call finds.
enum Found {
    Ready(Http2),
    /// Something is under way.
    Wait,
    /// Nothing is, until then.
    Failed(String, Instant),
}

impl Channel {
    pub fn new(remote: Arc<Remote>, policy: Policy, waits_for_ready: bool) -> Self {
        let mut state = State::default();
        match (&remote.place, &remote.proxy) {
            (Place::Name(..), None) => {}
            (Place::Addresses(addresses), None) => state.links = links(addresses, policy, Vec::new()),
            _ => state.links = vec![Link { addresses: None, connection: None, effort: Effort::default() }],
        }
        Self(Arc::new(Shared { remote, policy, waits_for_ready, state: Mutex::new(state), changed: Notify::new() }))
    }

    pub fn max_answer(&self) -> usize {
        self.0.remote.max_answer
    }

    /// A connection for the next call.
    pub async fn pick(&self) -> Result<Http2, NoAnswer> {
        loop {
            let mut changed = pin!(self.0.changed.notified());
            changed.as_mut().enable();
            match self.look() {
                Found::Ready(connection) => return Ok(connection),
                Found::Wait => changed.await,
                Found::Failed(_, again) if self.0.waits_for_ready => sleep_until(again.into()).await,
                Found::Failed(why, _) => return Err(NoAnswer::unavailable(why)),
            }
        }
    }

    /// Close every connection once its calls have ended.
    pub fn end(&self) {
        let mut state = self.state();
        state.has_ended = true;
        state.links.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self) -> Found {
        let mut state = self.state();
        if state.has_ended {
            return Found::Failed("the client has ended".to_owned(), Instant::now() + LONGEST_WAIT);
        }
        for link in &mut state.links {
            if link.connection.as_ref().is_some_and(Http2::has_ended) {
                link.connection = None;
            }
        }
        self.look_up(&mut state);
        for place in 0..state.links.len() {
            if let Some(link) = state.links.get_mut(place)
                && link.connection.is_none()
                && link.effort.is_due()
            {
                link.effort.is_under_way = true;
                self.connect(link.addresses.clone());
            }
        }
        let count = state.links.len();
        state.turn = state.turn.wrapping_add(1);
        let turn = state.turn;
        let in_turn = (0..count).filter_map(|step| state.links.get((turn + step) % count));
        if let Some(connection) = in_turn.filter_map(|link| link.connection.as_ref()).next() {
            return Found::Ready(connection.clone());
        }
        let efforts = || [&state.look_up].into_iter().chain(state.links.iter().map(|link| &link.effort));
        if efforts().any(|effort| effort.is_under_way) {
            return Found::Wait;
        }
        let failed = efforts().filter_map(|effort| effort.failed.as_ref());
        let again = failed.clone().map(|(_, again)| *again).min();
        // A name without addresses says more than the addresses that it once had.
        let why = failed.clone().next().map(|(why, _)| why.clone());
        Found::Failed(
            why.unwrap_or_else(|| "no address".to_owned()),
            again.unwrap_or_else(Instant::now) + FIRST_WAIT / 50,
        )
    }

    /// Look the name up where there is one, at first and when something was lost.
    fn look_up(&self, state: &mut State) {
        let (Place::Name(host, port), None) = (&self.0.remote.place, &self.0.remote.proxy) else { return };
        let is_old = state.looked_up.is_none_or(|at| at.elapsed() >= LOOK_UP_AGAIN);
        let is_wanted = state.links.is_empty() || (state.has_lost && is_old);
        if !is_wanted || !state.look_up.is_due() {
            return;
        }
        state.look_up.is_under_way = true;
        (state.looked_up, state.has_lost) = (Some(Instant::now()), false);
        let (channel, host, port) = (self.clone(), host.clone(), *port);
        tokio::spawn(async move {
            let found = resolve(&host, port).await;
            {
                let mut state = channel.state();
                if let Some(addresses) = state.look_up.end(found)
                    && !state.has_ended
                {
                    let old = std::mem::take(&mut state.links);
                    state.links = links(&addresses, channel.0.policy, old);
                }
            }
            channel.0.changed.notify_waiters();
        });
    }

    fn connect(&self, addresses: Option<Vec<SocketAddr>>) {
        let channel = self.clone();
        tokio::spawn(async move {
            let lost = channel.clone();
            let ended = move || {
                lost.state().has_lost = true;
                lost.0.changed.notify_waiters();
            };
            let remote = &channel.0.remote;
            let begun = match dial(remote, addresses.as_deref()).await {
                Ok(wire) => Http2::begin(wire, remote.times, ended).await,
                Err(why) => Err(why),
            };
            {
                let mut state = channel.state();
                state.has_lost |= begun.is_err();
                if let Some(link) = state.links.iter_mut().find(|link| link.addresses == addresses) {
                    link.connection = link.effort.end(begun);
                }
            }
            channel.0.changed.notify_waiters();
        });
    }
}

/// A link for each address, or one for all; those that there were stay.
fn links(addresses: &[SocketAddr], policy: Policy, mut old: Vec<Link>) -> Vec<Link> {
    let wanted = match policy {
        Policy::RoundRobin => addresses.iter().map(|address| vec![*address]).collect(),
        Policy::PickFirst => vec![addresses.to_vec()],
    };
    let mut links: Vec<Link> = Vec::with_capacity(wanted.len());
    for addresses in wanted.into_iter().map(Some) {
        if links.iter().all(|link| link.addresses != addresses) {
            let kept = old.iter().position(|link| link.addresses == addresses).map(|place| old.swap_remove(place));
            links.push(kept.unwrap_or_else(|| Link { addresses, connection: None, effort: Effort::default() }));
        }
    }
    links
}
