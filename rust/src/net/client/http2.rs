//! A connection that speaks HTTP/2, and requests over it.
//!
//! On h2 without hyper's client: so a request that is dropped resets its stream at once, and the server's part in a
//! failure is known, which decides whether a request may be sent again.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use h2::client::{Builder, SendRequest};
use h2::{Ping, PingPong, Reason, RecvStream};
use hyper::body::Bytes;
use hyper::{Request, Response};
use tokio::time::{Sleep, sleep_until};

use super::answer::{Broken, Kind, NoAnswer};
use super::body::Piece;
use super::remote::Times;
use super::wire::{Seen, Wire};

/// What a server may send ahead: answers are small.
const WINDOW: u32 = 256 * 1024;
/// All headers of an answer.
const MAX_HEAD: u32 = 16 * 1024;

/// Requests on a connection.
#[derive(Debug)]
struct Load {
    open: AtomicUsize,
    idle_since: Mutex<Instant>,
    has_ended: AtomicBool,
}

/// A request that is under way.
#[derive(Debug)]
struct Busy(Arc<Load>);

impl Drop for Busy {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            *self.0.idle_since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
    }
}

/// See above.
#[derive(Clone, Debug)]
pub struct Http2 {
    sender: SendRequest<Piece>,
    seen: Arc<Seen>,
    load: Arc<Load>,
}

/// An answer whose body is still to come.
#[derive(Debug)]
pub struct Coming {
    connection: Http2,
    _busy: Busy,
    response: Response<RecvStream>,
}

impl Http2 {
    /// Begin to speak it; `ended` is called when the connection is of no use any more.
    pub async fn begin(wire: Wire, times: Times, ended: impl FnOnce() + Send + 'static) -> Result<Self, String> {
        let seen = wire.seen();
        let mut builder = Builder::new();
        builder
            .initial_window_size(WINDOW)
            .initial_connection_window_size(4 * WINDOW)
            .max_header_list_size(MAX_HEAD)
            .enable_push(false);
        let (sender, mut connection) = builder.handshake(wire).await.map_err(|error| told(&error, &seen))?;
        let load = Arc::new(Load {
            open: AtomicUsize::new(0),
            idle_since: Mutex::new(Instant::now()),
            has_ended: AtomicBool::new(false),
        });
        let mut watch = Watch::new(times, connection.ping_pong(), seen.clone(), load.clone());
        tokio::spawn({
            let (seen, load) = (seen.clone(), load.clone());
            async move {
                let mut connection = pin!(connection);
                let end = poll_fn(|cx| match connection.as_mut().poll(cx) {
                    Poll::Ready(end) => Poll::Ready(end.err()),
                    Poll::Pending => watch.poll(cx).map(|()| None),
                });
                if let Some(error) = end.await {
                    let words = told(&error, &seen);
                    seen.fail(|| words);
                }
                load.has_ended.store(true, Ordering::Release);
                ended();
            }
        });
        Ok(Self { sender, seen, load })
    }

    /// Whether nothing more can be sent over it.
    pub fn has_ended(&self) -> bool {
        self.load.has_ended.load(Ordering::Acquire)
    }

    /// Send a request and wait for the head of its answer. Dropped, the stream is reset.
    pub async fn send(&self, request: Request<()>, body: Piece) -> Result<Coming, Broken> {
        self.load.open.fetch_add(1, Ordering::AcqRel);
        let busy = Busy(self.load.clone());
        let mut sender = self.sender.clone();
        poll_fn(|cx| sender.poll_ready(cx)).await.map_err(|error| self.broken(&error))?;
        let (response, mut stream) = sender.send_request(request, false).map_err(|error| self.broken(&error))?;
        // All at once: h2 keeps the reference, and cuts it into frames as the server makes room.
        stream.send_data(body, true).map_err(|error| self.broken(&error))?;
        let response = response.await.map_err(|error| self.broken(&error))?;
        drop(stream);
        Ok(Coming { connection: self.clone(), _busy: busy, response })
    }

    fn broken(&self, error: &h2::Error) -> Broken {
        let is_refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
        // Of a connection that goes away, only the streams that the server did not look at are told so.
        let is_safe = error.is_remote() && (is_refused || error.is_go_away());
        if self.seen.is_http1() {
            let detail = "it answers in HTTP/1".to_owned();
            return NoAnswer::new(Kind::Http1, detail).into();
        }
        Broken { is_safe, why: NoAnswer::unavailable(told(error, &self.seen)) }
    }
}

impl Coming {
    pub fn head(&self) -> &Response<RecvStream> {
        &self.response
    }

    /// More of the body; None at its end.
    pub async fn data(&mut self) -> Result<Option<Bytes>, NoAnswer> {
        let Some(piece) = self.response.body_mut().data().await else { return Ok(None) };
        let piece = piece.map_err(|error| self.connection.broken(&error).why)?;
        // It fails where the stream has ended.
        let _ = self.response.body_mut().flow_control().release_capacity(piece.len());
        Ok(Some(piece))
    }

    /// What is behind the body.
    pub async fn trailers(&mut self) -> Result<Option<hyper::HeaderMap>, NoAnswer> {
        self.response.body_mut().trailers().await.map_err(|error| self.connection.broken(&error).why)
    }
}

/// What went wrong, for a user.
fn told(error: &h2::Error, seen: &Seen) -> String {
    if let Some(fault) = seen.fault() {
        return fault;
    }
    match error.reason() {
        Some(reason) if error.is_reset() && error.is_remote() => format!("the server reset the stream: {reason:?}"),
        Some(reason) if error.is_go_away() && error.is_remote() => format!("the server goes away: {reason:?}"),
        Some(reason) => format!("the server does not keep to HTTP/2: {reason:?}"),
        None if error.is_io() => "the server closed the connection".to_owned(),
        None => error.to_string(),
    }
}

/// Ends a connection that is silent, or idle for too long.
struct Watch {
    times: Times,
    pings: Option<PingPong>,
    /// When the ping went out that is not answered.
    asked: Option<Instant>,
    seen: Arc<Seen>,
    load: Arc<Load>,
    timer: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Watch {
    fn new(times: Times, pings: Option<PingPong>, seen: Arc<Seen>, load: Arc<Load>) -> Self {
        let pings = pings.filter(|_| times.ping.is_some());
        Self { times, pings, asked: None, seen, load, timer: None }
    }

    /// Ready when the connection is to end.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let answered = self.pings.as_mut().filter(|_| self.asked.is_some()).map(|pings| pings.poll_pong(cx));
            match answered {
                Some(Poll::Ready(Ok(_))) => self.asked = None,
                Some(Poll::Ready(Err(_))) => self.pings = None,
                _ => {}
            }
            let now = Instant::now();
            let is_idle = self.load.open.load(Ordering::Acquire) == 0;
            let idle_since = *self.load.idle_since.lock().unwrap_or_else(PoisonError::into_inner);
            let idle_end = self.times.idle.filter(|_| is_idle).map(|idle| idle_since + idle);
            if idle_end.is_some_and(|end| end <= now) {
                return Poll::Ready(());
            }
            let mut due = self.times.idle.map(|idle| (if is_idle { idle_since } else { now }) + idle);
            if let (Some(interval), Some(pings)) = (self.times.ping, self.pings.as_mut()) {
                let next = match self.asked {
                    Some(asked) if now >= asked + self.times.ping_timeout => {
                        let timeout = self.times.ping_timeout;
                        self.seen.fail(|| format!("no answer to a ping within {}", seconds(timeout)));
                        return Poll::Ready(());
                    }
                    Some(asked) => asked + self.times.ping_timeout,
                    None if is_idle && !self.times.pings_idle => now + interval,
                    None if self.seen.heard() + interval > now => self.seen.heard() + interval,
                    // It fails where the connection has ended, which it says by itself.
                    None => match pings.send_ping(Ping::opaque()) {
                        Ok(()) => {
                            self.asked = Some(now);
                            continue;
                        }
                        Err(_) => now + interval,
                    },
                };
                due = Some(due.map_or(next, |due| due.min(next)));
            }
            let Some(due) = due else { return Poll::Pending };
            let (_, sleep) = match &mut self.timer {
                Some(timer) if timer.0 <= due => timer,
                Some(timer) => {
                    timer.0 = due;
                    timer.1.as_mut().reset(due.into());
                    timer
                }
                None => self.timer.insert((due, Box::pin(sleep_until(due.into())))),
            };
            std::task::ready!(sleep.as_mut().poll(cx));
            self.timer = None;
        }
    }
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}
