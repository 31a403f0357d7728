//! Who may send: what Python decided of credentials, remembered within bounds, and who waits for its decision.
//!
//! Credentials themselves are not kept: a keyed digest of the headers that decide stands for them. Whoever brings one
//! that is not known waits with its body unread; of many that bring the same one Python hears once.

use std::collections::HashMap;
use std::mem;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::header::{HeaderMap, HeaderName};
use ring::hmac;
use ring::rand::SystemRandom;
use tokio::sync::watch;

use super::desk::{Metadata, Token, latin_1};
use super::reply::Reply;

/// Credentials that are remembered as right, and as wrong. Apart from each other: whoever tries many wrong ones must
/// not let the right ones be forgotten.
const MAX_ADMITTED: usize = 4096;
const MAX_REFUSED: usize = 1024;
/// Credentials that Python is asked about at the same time.
const MAX_ASKED: usize = 1024;

/// What Python calls a client, in its order.
pub type Identity = Metadata;
/// Kinds of refusal, which Python knows by their numbers.
pub const REASONS: usize = 3;

type Digest = [u8; 32];

/// What was decided.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// A client without a name has no identity.
    Admitted(Option<Arc<Identity>>),
    /// The answer, and the number of the reason.
    Refused(Reply, usize),
}

#[derive(Clone, Debug)]
struct Known {
    verdict: Verdict,
    until: Option<Instant>,
}

impl Known {
    fn is_alive(&self) -> bool {
        self.until.is_none_or(|until| until > Instant::now())
    }
}

/// Whether they are the same, in a time that does not tell how much of them is.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |found, (a, b)| found | a ^ b) == 0
}

/// So many decisions at most; those that were used last stay.
#[derive(Debug)]
struct Memory {
    most: usize,
    young: HashMap<Digest, Known>,
    old: HashMap<Digest, Known>,
}

impl Memory {
    fn new(most: usize) -> Self {
        Self { most, young: HashMap::new(), old: HashMap::new() }
    }

    fn get(&mut self, digest: &Digest) -> Option<Known> {
        if !self.young.contains_key(digest) {
            let known = self.old.remove(digest)?;
            self.put(*digest, known);
        }
        let known = self.young.get(digest)?;
        if !known.is_alive() {
            self.young.remove(digest);
            return None;
        }
        Some(known.clone())
    }

    fn put(&mut self, digest: Digest, known: Known) {
        if self.young.len() >= self.most / 2 {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(digest, known);
    }

    fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}

#[derive(Debug)]
struct Asked {
    digest: Digest,
    generation: u64,
    verdict: watch::Sender<Option<Verdict>>,
}

#[derive(Debug)]
struct State {
    admitted: Memory,
    refused: Memory,
    asked: HashMap<Token, Asked>,
    tokens: HashMap<Digest, Token>,
    last_token: Token,
}

/// See above.
#[derive(Debug)]
pub struct Door {
    reads: Vec<HeaderName>,
    key: hmac::Key,
    state: Mutex<State>,
    /// Goes up when what was decided does not hold any more; with the state locked.
    generation: AtomicU64,
    /// Refusals that Python has not heard of, by reason.
    untold: [AtomicUsize; REASONS],
    is_told: AtomicUsize,
}

/// Longer credentials are not kept beside a connection.
const MAX_SEEN: usize = 1024;

/// What was decided of the credentials that a connection brought last: most bring the same with every request.
#[derive(Debug, Default)]
pub struct Seen(Mutex<Option<Last>>);

#[derive(Debug)]
struct Last {
    credentials: Vec<u8>,
    generation: u64,
    known: Known,
}

/// What is known at once.
#[derive(Debug)]
pub enum Look {
    Known(Verdict),
    /// Somebody else brought the same.
    Wait(Waiting),
    /// Python has to be asked under this token.
    Ask(Token, Waiting),
    /// Too many are asked about.
    Full,
}

/// Comes when Python has decided.
#[derive(Debug)]
pub struct Waiting(watch::Receiver<Option<Verdict>>);

impl Waiting {
    /// None where nobody is going to decide.
    pub async fn verdict(mut self) -> Option<Verdict> {
        self.0.wait_for(Option::is_some).await.ok()?.clone()
    }
}

impl Door {
    /// `reads` are the headers that decide; says what is wrong with them.
    pub fn new(reads: &[String]) -> Result<Self, String> {
        let named = |name: &String| HeaderName::try_from(name.as_str()).map_err(|error| format!("{name}: {error}"));
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        Ok(Self {
            reads: reads.iter().map(named).collect::<Result<_, _>>()?,
            key: key.map_err(|_| "the system gives no random numbers".to_owned())?,
            state: Mutex::new(State {
                admitted: Memory::new(MAX_ADMITTED),
                refused: Memory::new(MAX_REFUSED),
                asked: HashMap::new(),
                tokens: HashMap::new(),
                last_token: 0,
            }),
            generation: AtomicU64::new(0),
            untold: Default::default(),
            is_told: AtomicUsize::new(0),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // What the intake's thread does.

    /// What is known of a request's credentials. `form` is what its answer depends on besides, `seen` its connection's.
    pub fn look(&self, headers: &HeaderMap, form: u8, seen: &Seen) -> Look {
        let credentials = self.written(headers, form);
        let mut last = seen.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = &*last
            && last.generation == self.generation.load(Ordering::Acquire)
            && is_same(&last.credentials, &credentials)
            && last.known.is_alive()
        {
            return Look::Known(last.known.verdict.clone());
        }
        let digest = self.digest(&credentials);
        let mut state = self.state();
        let generation = self.generation.load(Ordering::Acquire);
        if let Some(known) = state.admitted.get(&digest).or_else(|| state.refused.get(&digest)) {
            let verdict = known.verdict.clone();
            *last = (credentials.len() <= MAX_SEEN).then_some(Last { credentials, generation, known });
            return Look::Known(verdict);
        }
        drop(last);
        if let Some(asked) = state.tokens.get(&digest).and_then(|token| state.asked.get(token)) {
            return Look::Wait(Waiting(asked.verdict.subscribe()));
        }
        if state.asked.len() >= MAX_ASKED {
            return Look::Full;
        }
        state.last_token += 1;
        let token = state.last_token;
        let (verdict, receiver) = watch::channel(None);
        state.asked.insert(token, Asked { digest, generation, verdict });
        state.tokens.insert(digest, token);
        Look::Ask(token, Waiting(receiver))
    }

    /// The headers that decide.
    pub fn credentials(&self, headers: &HeaderMap) -> Metadata {
        let values = |name: &HeaderName| headers.get_all(name).into_iter().map(|value| latin_1(value.as_bytes()));
        self.reads.iter().flat_map(|name| values(name).map(|value| (name.as_str().to_owned(), value))).collect()
    }

    /// The credentials in a form in which no two are the same.
    fn written(&self, headers: &HeaderMap, form: u8) -> Vec<u8> {
        let mut written = Vec::with_capacity(128);
        written.push(form);
        for name in &self.reads {
            for value in headers.get_all(name) {
                written.extend(value.len().to_be_bytes());
                written.extend(value.as_bytes());
            }
            written.extend([0xff; size_of::<usize>()]);
        }
        written
    }

    fn digest(&self, credentials: &[u8]) -> Digest {
        hmac::sign(&self.key, credentials).as_ref().try_into().unwrap_or_default()
    }

    /// Count a refusal; whether Python is to be told, which hears of many at once.
    pub fn note_refused(&self, reason: usize) -> bool {
        if let Some(untold) = self.untold.get(reason) {
            untold.fetch_add(1, Ordering::Relaxed);
        }
        self.is_told.swap(1, Ordering::AcqRel) == 0
    }

    // What Python does.

    /// Tell whoever waits under the token, and remember it for so long; None is until it is forgotten.
    pub fn decide(&self, token: Token, verdict: Verdict, remember: Option<Duration>) {
        let mut state = self.state();
        let Some(asked) = state.asked.remove(&token) else { return };
        if state.tokens.get(&asked.digest) == Some(&token) {
            state.tokens.remove(&asked.digest);
        }
        if asked.generation == self.generation.load(Ordering::Acquire) && remember != Some(Duration::ZERO) {
            let until = remember.and_then(|time| Instant::now().checked_add(time));
            let memory = match verdict {
                Verdict::Admitted(_) => &mut state.admitted,
                Verdict::Refused(..) => &mut state.refused,
            };
            memory.put(asked.digest, Known { verdict: verdict.clone(), until });
        }
        drop(state);
        asked.verdict.send_replace(Some(verdict));
    }

    /// Forget all decisions: those that are being made hold for who waits already, and for nobody else.
    pub fn forget(&self) {
        let mut state = self.state();
        self.generation.fetch_add(1, Ordering::AcqRel);
        state.admitted.clear();
        state.refused.clear();
        state.tokens.clear();
    }

    /// Refusals since the last time, by reason.
    pub fn take_refused(&self) -> [usize; REASONS] {
        self.is_told.store(0, Ordering::Release);
        std::array::from_fn(|reason| self.untold.get(reason).map_or(0, |untold| untold.swap(0, Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(HeaderName::from_static("authorization"), value.parse().unwrap())])
    }

    fn door() -> Door {
        Door::new(&["authorization".to_owned()]).unwrap()
    }

    fn admitted() -> Verdict {
        Verdict::Admitted(None)
    }

    fn refused() -> Verdict {
        Verdict::Refused(Reply::grpc(16, "no", b"", &[], None).unwrap(), 0)
    }

    fn ask(door: &Door, value: &str) -> Token {
        match door.look(&headers(value), 0, &Seen::default()) {
            Look::Ask(token, _) => token,
            other => panic!("{other:?}"),
        }
    }

    fn is_known(door: &Door, value: &str) -> bool {
        matches!(door.look(&headers(value), 0, &Seen::default()), Look::Known(_))
    }

    #[test]
    fn python_is_asked_once_for_each_credential_and_form() {
        let door = door();
        let token = ask(&door, "a");
        assert!(matches!(door.look(&headers("a"), 0, &Seen::default()), Look::Wait(_)));
        assert_ne!(ask(&door, "b"), token);
        assert!(
            matches!(door.look(&headers("a"), 1, &Seen::default()), Look::Ask(..)),
            "its answer is written otherwise"
        );
        door.decide(token, admitted(), None);
        assert!(is_known(&door, "a"));
        assert!(!is_known(&door, "b"));
    }

    #[test]
    fn values_are_not_confused_with_one_another() {
        let door = Door::new(&["a".to_owned(), "b".to_owned()]).unwrap();
        let digest = |pairs: &[(&'static str, &str)]| {
            let pair = |(name, value): &(&'static str, &str)| (HeaderName::from_static(name), value.parse().unwrap());
            door.written(&pairs.iter().map(pair).collect(), 0)
        };
        let all: [&[(&str, &str)]; 7] = [
            &[],
            &[("a", "")],
            &[("a", "xy")],
            &[("a", "x"), ("a", "y")],
            &[("a", "y"), ("a", "x")],
            &[("b", "xy")],
            &[("a", "x"), ("b", "y")],
        ];
        for (place, one) in all.iter().enumerate() {
            assert!(all[..place].iter().all(|other| digest(other) != digest(one)), "{one:?}");
        }
    }

    #[test]
    fn many_wrong_ones_take_a_bounded_space_and_right_ones_stay() {
        let door = door();
        let token = ask(&door, "right");
        door.decide(token, admitted(), None);
        for number in 0..3 * MAX_REFUSED {
            let token = ask(&door, &number.to_string());
            door.decide(token, refused(), None);
        }
        assert!(is_known(&door, "right"));
        let state = door.state();
        assert!(state.refused.young.len() + state.refused.old.len() <= MAX_REFUSED);
        assert!(state.asked.is_empty() && state.tokens.is_empty());
    }

    #[test]
    fn those_that_are_used_stay_when_others_come() {
        let door = door();
        let token = ask(&door, "used");
        door.decide(token, admitted(), None);
        for number in 0..2 * MAX_ADMITTED {
            let token = ask(&door, &number.to_string());
            door.decide(token, admitted(), None);
            assert!(is_known(&door, "used"));
        }
        let state = door.state();
        assert!(state.admitted.young.len() + state.admitted.old.len() <= MAX_ADMITTED);
    }

    #[test]
    fn so_many_are_asked_about_at_most() {
        let door = door();
        for number in 0..MAX_ASKED {
            ask(&door, &number.to_string());
        }
        assert!(matches!(door.look(&headers("one more"), 0, &Seen::default()), Look::Full));
    }

    #[test]
    fn a_decision_ends_with_its_time_and_one_that_was_forgotten_is_not_remembered() {
        let door = door();
        let token = ask(&door, "short");
        door.decide(token, admitted(), Some(Duration::from_nanos(1)));
        std::thread::yield_now();
        let token = ask(&door, "short");
        door.decide(token, admitted(), Some(Duration::ZERO));
        let token = ask(&door, "short");
        door.forget();
        let anew = ask(&door, "short");
        door.decide(token, admitted(), None);
        assert!(!is_known(&door, "short"), "it was decided before");
        door.decide(anew, admitted(), None);
        assert!(is_known(&door, "short"));
        door.forget();
        assert!(!is_known(&door, "short"));
    }

    #[test]
    fn what_a_connection_brought_last_holds_no_longer_than_anywhere_else() {
        let (door, seen) = (door(), Seen::default());
        let knows = |value: &str| matches!(door.look(&headers(value), 0, &seen), Look::Known(Verdict::Admitted(_)));
        let decide = |value: &str, verdict: Verdict, remember| {
            let token = ask(&door, value);
            door.decide(token, verdict, remember);
        };
        decide("a", admitted(), None);
        decide("x", refused(), None);
        assert!(knows("a") && knows("a"));
        assert!(!knows("x") && !knows("b") && !knows("") && !knows("aa"));
        assert!(knows("a"));
        door.forget();
        assert!(!knows("a"));
        decide("short", admitted(), Some(Duration::from_millis(20)));
        assert!(knows("short"));
        while knows("short") {
            std::thread::yield_now();
        }
        let long = "l".repeat(2 * MAX_SEEN);
        decide(&long, admitted(), None);
        assert!(knows(&long));
        assert!(seen.0.lock().unwrap().is_none());
    }

    #[test]
    fn refusals_are_told_once_for_many() {
        let door = door();
        assert!(door.note_refused(0));
        assert!(!door.note_refused(0));
        assert!(!door.note_refused(1));
        assert_eq!(door.take_refused(), [2, 1, 0]);
        assert!(door.note_refused(2));
    }
}
