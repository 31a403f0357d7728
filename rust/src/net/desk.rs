//! Where requests wait for Python, and Python's answers for those that wait.
//!
//! Python is rung for once until it looks, and then takes all that waits: so a busy system joins by itself, and an
//! idle one waits for nothing. Answers are handed out by the intake's own thread, which is woken once for all parts
//! of a batch.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::io::{Read, Write};
use std::mem;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use hyper::body::Bytes;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::{Notify, Semaphore};

use super::budget::Share;
use super::deframe::framed;
use super::door::Identity;
use super::reply::{Piece, Reply};

/// Request headers that go on with the data, in order.
pub type Metadata = Vec<(String, String)>;

/// What bytes of a header are as text, which is how Python reads headers.
pub fn latin_1(value: &[u8]) -> String {
    value.iter().map(|&byte| char::from(byte)).collect()
}

/// Index of a route: which signal over which listener.
pub type Route = usize;

/// What requests of one batch have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kind {
    pub route: Route,
    /// How the request came, and its answer is written.
    pub media: Media,
    pub metadata: Option<Arc<Metadata>>,
    /// Whom they come from.
    pub identity: Option<Arc<Identity>>,
}

/// How a request over HTTP is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Media {
    Protobuf,
    Json,
}

/// Names what Python has taken and not answered.
pub type Token = u64;

/// When so many bytes wait, Python is rung for at once: they are still in the processor's cache.
const MUCH: usize = 512 * 1024;
/// Things to decide that may wait for Python; who comes then is turned away without a word.
const MAX_EVENTS: usize = 20_000;
/// Messages of one call that may wait for Python.
const CALL_AHEAD: usize = 8;

/// A checked request that waits to be joined with others.
#[derive(Debug)]
pub struct Request {
    pub kind: Kind,
    /// Protobuf, whatever it was.
    pub payload: Bytes,
    pub items: usize,
    pub repaired: usize,
    /// Whether it may be joined at all.
    pub is_joinable: bool,
}

/// Several requests of one kind as one.
#[derive(Debug)]
pub struct Joined {
    pub token: Token,
    pub kind: Kind,
    /// The payloads in the order in which they came; empty where there are no items.
    pub payloads: Vec<Bytes>,
    pub items: Vec<usize>,
    pub total_items: usize,
    pub total_bytes: usize,
    pub repaired: usize,
}

/// Something that Python has to know or to decide, by itself.
#[derive(Debug, Default)]
pub struct Event {
    pub token: Token,
    pub kind: &'static str,
    pub detail: String,
    pub listener: usize,
    pub route: Option<Route>,
    pub method: String,
    pub path: String,
    pub content_type: String,
    /// The headers that decide who sends.
    pub credentials: Metadata,
    pub payload: Bytes,
    /// Room for more messages of the call, once this one is taken.
    pub ahead: Option<Arc<Semaphore>>,
}

#[derive(Debug, Default)]
struct Slot {
    reply: Option<Reply>,
    waker: Option<Waker>,
    /// 0 while it waits to be taken.
    token: Token,
    /// Nobody waits for the answer any more.
    is_gone: bool,
}

type Ticket = Mutex<Slot>;

fn slot(ticket: &Ticket) -> MutexGuard<'_, Slot> {
    ticket.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
struct Taken {
    parts: Vec<Option<(Arc<Ticket>, Share)>>,
    /// Parts that are not answered.
    open: usize,
    /// Parts whose clients still wait.
    live: usize,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<(Request, Arc<Ticket>, Share)>,
    /// Bytes that came to wait since Python looked.
    waiting_bytes: usize,
    events: Vec<Event>,
    taken: HashMap<Token, Taken>,
    calls: HashMap<Token, UnboundedSender<Piece>>,
    last_token: Token,
}

impl State {
    fn token(&mut self) -> Token {
        self.last_token += 1;
        self.last_token
    }
}

type Answered = (Vec<(Arc<Ticket>, Share)>, Reply);

/// See above.
#[derive(Debug)]
pub struct Desk {
    state: Mutex<State>,
    answered: Mutex<Vec<Answered>>,
    to_hand_out: Notify,
    /// Python was rung for and has not looked.
    is_rung: AtomicBool,
    to_ring: Notify,
    events: AtomicUsize,
    bell: UnixStream,
    ear: UnixStream,
}

impl Desk {
    pub fn new() -> std::io::Result<Self> {
        let (bell, ear) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        ear.set_nonblocking(true)?;
        Ok(Self {
            state: Mutex::default(),
            answered: Mutex::default(),
            to_hand_out: Notify::new(),
            is_rung: AtomicBool::new(false),
            to_ring: Notify::new(),
            events: AtomicUsize::new(0),
            bell,
            ear,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // What the intake's thread does.

    /// Hand a request over, and wait for its answer.
    pub fn submit(self: &Arc<Self>, request: Request, share: Share) -> Answer {
        let ticket = Arc::new(Ticket::default());
        let mut state = self.state();
        let waited = state.waiting_bytes;
        state.waiting_bytes += request.payload.len();
        let is_much = waited < MUCH && state.waiting_bytes >= MUCH;
        state.waiting.push_back((request, ticket.clone(), share));
        drop(state);
        if is_much {
            self.is_rung.store(true, Ordering::Release);
            self.ring_now();
        } else {
            self.ring();
        }
        Answer { desk: self.clone(), ticket, is_done: false }
    }

    /// Ask about something that is not regular, and wait for the answer.
    pub fn ask(self: &Arc<Self>, mut event: Event, share: Share) -> Answer {
        let ticket = Arc::new(Ticket::default());
        let mut state = self.state();
        event.token = state.token();
        slot(&ticket).token = event.token;
        state.taken.insert(event.token, Taken { parts: vec![Some((ticket.clone(), share))], open: 1, live: 1 });
        self.push(&mut state, event);
        drop(state);
        self.ring();
        Answer { desk: self.clone(), ticket, is_done: false }
    }

    /// Let Python know of something.
    pub fn tell(&self, event: Event) {
        self.push(&mut self.state(), event);
        self.ring();
    }

    fn push(&self, state: &mut State, event: Event) {
        state.events.push(event);
        self.events.store(state.events.len(), Ordering::Relaxed);
    }

    /// Whether Python has not looked at so much that nothing more can be asked.
    pub fn is_swamped(&self) -> bool {
        self.events.load(Ordering::Relaxed) > MAX_EVENTS
    }

    /// Begin a call of any number of messages; what is given is what Python sends, and the call's end of ours.
    pub fn call(self: &Arc<Self>, mut event: Event) -> (tokio::sync::mpsc::UnboundedReceiver<Piece>, Caller) {
        let (sender, receiver) = unbounded_channel();
        let mut state = self.state();
        let token = state.token();
        event.token = token;
        state.calls.insert(token, sender);
        self.push(&mut state, event);
        drop(state);
        self.ring();
        (receiver, Caller { desk: self.clone(), token, ahead: Arc::new(Semaphore::new(CALL_AHEAD)) })
    }

    fn ring(&self) {
        if !self.is_rung.swap(true, Ordering::AcqRel) {
            self.to_ring.notify_one();
        }
    }

    /// Ring for Python, as often as there is something to take.
    pub async fn keep_ringing(&self) {
        loop {
            self.to_ring.notified().await;
            // All that can be read at this moment is read before: who is rung for may begin at once, on this core.
            tokio::task::yield_now().await;
            self.ring_now();
        }
    }

    fn ring_now(&self) {
        // Full is as good as rung.
        let _ = (&self.bell).write(&[1]);
    }

    /// Hand out answers, as often as there are some.
    pub async fn keep_handing_out(&self) {
        loop {
            self.to_hand_out.notified().await;
            let answered = mem::take(&mut *self.answered.lock().unwrap_or_else(PoisonError::into_inner));
            for (parts, reply) in answered {
                for (ticket, share) in parts {
                    let waker = {
                        let mut slot = slot(&ticket);
                        slot.reply = Some(reply.clone());
                        slot.waker.take()
                    };
                    if let Some(waker) = waker {
                        waker.wake();
                    }
                    drop(share);
                }
            }
        }
    }

    /// Somebody does not wait any more.
    fn left(&self, ticket: &Ticket) {
        let mut state = self.state();
        let token = {
            let mut slot = slot(ticket);
            slot.is_gone = true;
            slot.token
        };
        let Some(taken) = state.taken.get_mut(&token) else { return };
        taken.live -= 1;
        if taken.live == 0 {
            self.push(&mut state, Event { token, kind: "gone", ..Event::default() });
            drop(state);
            self.ring();
        }
    }

    // What Python does.

    /// Readable when there is something to take.
    pub fn ear(&self) -> RawFd {
        self.ear.as_raw_fd()
    }

    /// All that waits, joined up to these sizes; clients that left meanwhile are left out.
    pub fn take(&self, max_items: usize, max_bytes: usize) -> (Vec<Joined>, Vec<Event>) {
        let _ = (&self.ear).read(&mut [0; 16]);
        self.is_rung.store(false, Ordering::Release);
        let mut state = self.state();
        let events = mem::take(&mut state.events);
        self.events.store(0, Ordering::Relaxed);
        let waiting = mem::take(&mut state.waiting);
        state.waiting_bytes = 0;
        let mut joined: Vec<Joined> = Vec::new();
        let mut open: HashMap<Kind, usize> = HashMap::new();
        for (request, ticket, share) in waiting {
            let mut slot = slot(&ticket);
            if slot.is_gone {
                continue;
            }
            let fits = |batch: &Joined| {
                batch.total_items + request.items <= max_items && batch.total_bytes + request.payload.len() <= max_bytes
            };
            let found = open.get(&request.kind).copied().filter(|_| request.is_joinable);
            let found = found.filter(|&place| joined.get(place).is_some_and(fits));
            let place = found.unwrap_or_else(|| {
                let token = state.token();
                state.taken.insert(token, Taken { parts: Vec::new(), open: 0, live: 0 });
                joined.push(Joined::new(token, request.kind.clone()));
                open.insert(request.kind, joined.len() - 1);
                joined.len() - 1
            });
            let Some(batch) = joined.get_mut(place) else { continue };
            slot.token = batch.token;
            drop(slot);
            if let Some(taken) = state.taken.get_mut(&batch.token) {
                taken.parts.push(Some((ticket, share)));
                taken.open += 1;
                taken.live += 1;
            }
            batch.add(request.payload, request.items, request.repaired);
        }
        for ahead in events.iter().filter_map(|event| event.ahead.as_ref()) {
            ahead.add_permits(1);
        }
        (joined, events)
    }

    /// Answer all parts that are not answered; false where nobody is known by the token.
    pub fn answer(&self, token: Token, reply: &Reply) -> bool {
        let mut state = self.state();
        if let Some(taken) = state.taken.remove(&token) {
            drop(state);
            self.hand_out(taken.parts.into_iter().flatten().collect(), reply);
            return true;
        }
        match state.calls.get(&token) {
            Some(call) => call.send(Piece::End(reply.clone())).is_ok(),
            None => false,
        }
    }

    /// Answer one part by its place in the batch.
    pub fn answer_part(&self, token: Token, place: usize, reply: &Reply) -> bool {
        let mut state = self.state();
        let Some(taken) = state.taken.get_mut(&token) else { return false };
        let Some(part) = taken.parts.get_mut(place).and_then(Option::take) else { return false };
        taken.open -= 1;
        if taken.open == 0 {
            state.taken.remove(&token);
        }
        drop(state);
        self.hand_out(vec![part], reply);
        true
    }

    /// Send a call a message.
    pub fn send(&self, token: Token, message: &[u8]) -> bool {
        let state = self.state();
        state.calls.get(&token).is_some_and(|call| call.send(Piece::Message(framed(message))).is_ok())
    }

    fn hand_out(&self, parts: Vec<(Arc<Ticket>, Share)>, reply: &Reply) {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner).push((parts, reply.clone()));
        self.to_hand_out.notify_one();
    }
}

impl Joined {
    fn new(token: Token, kind: Kind) -> Self {
        let (payloads, items) = (Vec::new(), Vec::new());
        Self { token, kind, payloads, items, total_items: 0, total_bytes: 0, repaired: 0 }
    }

    fn add(&mut self, payload: Bytes, items: usize, repaired: usize) {
        self.total_items += items;
        self.repaired += repaired;
        self.items.push(items);
        // Without items there is nothing to hand on.
        let payload = if items > 0 { payload } else { Bytes::new() };
        self.total_bytes += payload.len();
        self.payloads.push(payload);
    }
}

/// Comes when Python has answered.
#[derive(Debug)]
pub struct Answer {
    desk: Arc<Desk>,
    ticket: Arc<Ticket>,
    is_done: bool,
}

impl Future for Answer {
    type Output = Reply;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Reply> {
        let reply = {
            let mut slot = slot(&self.ticket);
            if slot.reply.is_none() && !slot.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                slot.waker = Some(cx.waker().clone());
            }
            slot.reply.take()
        };
        match reply {
            Some(reply) => {
                self.is_done = true;
                Poll::Ready(reply)
            }
            None => Poll::Pending,
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if !self.is_done {
            self.desk.left(&self.ticket);
        }
    }
}

/// The client's side of a call.
#[derive(Debug)]
pub struct Caller {
    desk: Arc<Desk>,
    token: Token,
    ahead: Arc<Semaphore>,
}

impl Caller {
    /// Hand a message over, once Python has taken enough of those before.
    pub async fn message(&self, payload: Bytes) {
        if let Ok(permit) = self.ahead.acquire().await {
            permit.forget();
        }
        let ahead = Some(self.ahead.clone());
        self.desk.tell(Event { token: self.token, kind: "message", payload, ahead, ..Event::default() });
    }

    /// The client will send no more.
    pub fn end(&self) {
        self.desk.tell(Event { token: self.token, kind: "end", ..Event::default() });
    }

    /// The client sent what is none of gRPC's.
    pub fn fault(&self, kind: &'static str, detail: String) {
        self.desk.tell(Event { token: self.token, kind, detail, ..Event::default() });
    }

    /// Ends the call when dropped, whoever ended it.
    pub fn ending(&self) -> Ending {
        Ending { desk: self.desk.clone(), token: self.token }
    }
}

/// Forgets a call when it is over.
#[derive(Debug)]
pub struct Ending {
    desk: Arc<Desk>,
    token: Token,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.desk.state().calls.remove(&self.token);
        self.desk.tell(Event { token: self.token, kind: "gone", ..Event::default() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(route: Route, items: usize, metadata: Option<Metadata>) -> Request {
        let payload = Bytes::from(vec![route as u8; items]);
        let kind = Kind { route, media: Media::Protobuf, metadata: metadata.map(Arc::new), identity: None };
        Request { kind, payload, items, repaired: 1, is_joinable: true }
    }

    fn done() -> Reply {
        Reply::grpc(0, "", b"", &[], Some(b"")).unwrap()
    }

    fn desk() -> Arc<Desk> {
        Arc::new(Desk::new().unwrap())
    }

    fn sizes(joined: &[Joined]) -> Vec<(Route, Vec<usize>)> {
        joined.iter().map(|batch| (batch.kind.route, batch.items.clone())).collect()
    }

    #[test]
    fn what_waits_is_joinable_by_route_and_metadata_up_to_the_sizes() {
        let desk = desk();
        let team = |name: &str| Some(vec![("team".to_owned(), name.to_owned())]);
        let _held = [
            request(0, 3, None),
            request(1, 2, None),
            request(0, 4, None),
            request(0, 4, None),
            request(1, 1, team("a")),
            request(1, 1, team("b")),
            request(1, 2, team("a")),
        ]
        .map(|request| desk.submit(request, Share::of_nothing()));
        let (joined, _) = desk.take(7, 1000);
        assert_eq!(sizes(&joined), [(0, vec![3, 4]), (1, vec![2]), (0, vec![4]), (1, vec![1, 2]), (1, vec![1])]);
        assert!(joined.iter().all(|batch| batch.repaired == batch.items.len()));
        assert!(desk.take(7, 1000).0.is_empty());
    }

    #[test]
    fn what_is_answered_in_another_encoding_or_is_not_to_be_joined_stays_by_itself() {
        let desk = desk();
        let json = |mut request: Request| {
            request.kind.media = Media::Json;
            request
        };
        let alone = |request: Request| Request { is_joinable: false, ..request };
        let _held = [
            request(0, 1, None),
            json(request(0, 2, None)),
            request(0, 3, None),
            json(request(0, 4, None)),
            alone(request(1, 5, None)),
            alone(request(1, 6, None)),
        ]
        .map(|request| desk.submit(request, Share::of_nothing()));
        let (joined, _) = desk.take(100, 1000);
        assert_eq!(sizes(&joined), [(0, vec![1, 3]), (0, vec![2, 4]), (1, vec![5]), (1, vec![6])]);
        assert_eq!(joined[1].kind.media, Media::Json);
    }

    #[test]
    fn a_client_that_left_before_it_was_taken_is_left_out_and_one_that_leaves_later_is_told_of() {
        let desk = desk();
        let mut held: Vec<_> = (0..3).map(|_| desk.submit(request(0, 1, None), Share::of_nothing())).collect();
        drop(held.remove(0));
        let (joined, events) = desk.take(10, 1000);
        assert_eq!((sizes(&joined), events.len()), (vec![(0, vec![1, 1])], 0));
        drop(held.remove(0));
        assert!(desk.take(10, 1000).1.is_empty(), "one still waits");
        drop(held.remove(0));
        let (_, events) = desk.take(10, 1000);
        assert_eq!(
            events.iter().map(|event| (event.kind, event.token)).collect::<Vec<_>>(),
            [("gone", joined[0].token)]
        );
        assert!(desk.answer(joined[0].token, &done()), "answered into the void");
        assert!(!desk.answer(joined[0].token, &done()), "once");
    }

    #[test]
    fn every_part_gets_its_own_answer_or_that_of_all() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let desk = desk();
            let held: Vec<_> = (0..3).map(|_| desk.submit(request(0, 1, None), Share::of_nothing())).collect();
            let (joined, _) = desk.take(10, 1000);
            let token = joined[0].token;
            tokio::spawn({
                let desk = desk.clone();
                async move { desk.keep_handing_out().await }
            });
            let refused = Reply::grpc(3, "no", b"", &[], None).unwrap();
            assert!(desk.answer_part(token, 1, &refused));
            assert!(!desk.answer_part(token, 1, &refused), "once");
            assert!(!desk.answer_part(token, 9, &refused));
            assert!(desk.answer(token, &done()));
            let mut replies = Vec::new();
            for answer in held {
                replies.push(format!("{:?}", answer.await).contains("grpc-message"));
            }
            assert_eq!(replies, [false, true, false]);
        });
    }
}
