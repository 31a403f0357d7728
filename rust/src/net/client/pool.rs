//! The connections of HTTP to one server: kept for the next request, or one for all where it speaks HTTP/2.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::AbortHandle;
use tokio::time::sleep_until;

use super::answer::{Answer, Broken, NoAnswer, headers};
use super::body::{Once, Outgoing, Piece};
use super::dial::dial;
use super::http1::Http1;
use super::http2::Http2;
use super::remote::{Head, Remote};

/// How often a request is sent again that no server has looked at.
const MAX_REPEATS: usize = 4;

/// See above.
#[derive(Clone, Debug)]
pub struct Pool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    remote: Arc<Remote>,
    keeps: bool,
    /// Of requests over HTTP/1, each of which has a connection.
    places: Option<Semaphore>,
    kept: Mutex<Kept>,
    /// Over TLS nobody knows what is spoken before the first connection, of which one may be enough.
    first: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Kept {
    /// The one used last is at the end.
    idle: Vec<(Http1, Instant)>,
    http2: Option<Http2>,
    speaks_http1: bool,
    sweeper: Option<AbortHandle>,
    has_ended: bool,
}

/// What a request goes over.
enum Connection {
    Http1(Http1),
    Http2(Http2),
}

impl Pool {
    /// `max_connections` is without a limit where it is 0.
    pub fn new(remote: Arc<Remote>, keeps: bool, max_connections: usize) -> Self {
        let places = (max_connections > 0).then(|| Semaphore::new(max_connections.min(Semaphore::MAX_PERMITS)));
        Self(Arc::new(Shared { remote, keeps, places, kept: Mutex::default(), first: tokio::sync::Mutex::default() }))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Close every connection once its requests have ended.
    pub fn end(&self) {
        let mut kept = self.kept();
        (kept.has_ended, kept.http2) = (true, None);
        kept.idle.clear();
        if let Some(sweeper) = kept.sweeper.take() {
            sweeper.abort();
        }
    }

    /// Send a request and read its answer.
    pub async fn post(&self, head: &Head, body: &Outgoing) -> Result<Answer, NoAnswer> {
        let data = body.ready().await?;
        let mut repeats = 0;
        loop {
            let (connection, _place) = self.connection().await?;
            let sent = match connection {
                Connection::Http1(connection) => {
                    let to_proxy = self.0.remote.proxy.as_ref().is_some_and(|proxy| proxy.tunnel_to.is_none());
                    let request = head.http1(to_proxy, Once::new(data.clone()));
                    connection.send(request, self.0.remote.max_answer).await.map(|(answer, connection)| {
                        connection.into_iter().for_each(|connection| self.keep(connection));
                        answer
                    })
                }
                Connection::Http2(connection) => self.send(&connection, head, Piece::plain(data.clone())).await,
            };
            match sent {
                Ok(answer) => return Ok(answer),
                Err(broken) if broken.is_safe && repeats < MAX_REPEATS => repeats += 1,
                Err(broken) => return Err(broken.why),
            }
        }
    }

    async fn send(&self, connection: &Http2, head: &Head, body: Piece) -> Result<Answer, Broken> {
        let mut request = head.http2(());
        request.headers_mut().insert(hyper::header::CONTENT_LENGTH, hyper::body::Buf::remaining(&body).into());
        let mut coming = connection.send(request, body).await?;
        let head = coming.head();
        let status = head.status();
        let headers = headers(head.headers());
        let (mut read, max) = (Vec::new(), self.0.remote.max_answer);
        let mut is_whole = true;
        while is_whole && let Some(piece) = coming.data().await? {
            let room = max - read.len();
            read.extend_from_slice(piece.get(..room).unwrap_or(&piece));
            is_whole = piece.len() <= room;
        }
        let reason = status.canonical_reason().unwrap_or_default().to_owned();
        Ok(Answer { status: status.as_u16(), reason, headers, body: read.into(), is_whole, ..Answer::default() })
    }

    async fn connection(&self) -> Result<(Connection, Option<SemaphorePermit<'_>>), NoAnswer> {
        if let Some(connection) = self.http2() {
            return Ok((connection, None));
        }
        let place = match &self.0.places {
            // It is never closed.
            Some(places) => places.acquire().await.ok(),
            None => None,
        };
        if let Some(connection) = self.http2() {
            return Ok((connection, None));
        }
        if let Some(connection) = self.idle() {
            return Ok((Connection::Http1(connection), place));
        }
        let is_sure = self.0.remote.secure.is_none() || self.kept().speaks_http1;
        let first = if is_sure { None } else { Some(self.0.first.lock().await) };
        if let Some(connection) = self.http2() {
            return Ok((connection, None));
        }
        let wire = dial(&self.0.remote, None).await.map_err(NoAnswer::unavailable)?;
        if !wire.chose_http2() {
            self.kept().speaks_http1 = true;
            drop(first);
            return Ok((Connection::Http1(Http1::begin(wire).await.map_err(NoAnswer::unavailable)?), place));
        }
        let connection = Http2::begin(wire, self.0.remote.times, || {}).await.map_err(NoAnswer::unavailable)?;
        let mut kept = self.kept();
        kept.speaks_http1 = false;
        if self.0.keeps && !kept.has_ended {
            kept.http2 = Some(connection.clone());
        }
        Ok((Connection::Http2(connection), place))
    }

    fn http2(&self) -> Option<Connection> {
        let mut kept = self.kept();
        kept.http2.take_if(|connection| connection.has_ended());
        kept.http2.clone().map(Connection::Http2)
    }

    fn idle(&self) -> Option<Http1> {
        let mut kept = self.kept();
        while let Some((connection, _)) = kept.idle.pop() {
            if connection.is_ready() {
                return Some(connection);
            }
        }
        None
    }

    fn keep(&self, connection: Http1) {
        let mut kept = self.kept();
        if !self.0.keeps || kept.has_ended {
            return;
        }
        kept.idle.push((connection, Instant::now()));
        if self.0.remote.times.idle.is_some() && kept.sweeper.is_none() {
            kept.sweeper = Some(tokio::spawn(self.clone().sweep()).abort_handle());
        }
    }

    /// Close what was not used for too long, for as long as there is something.
    async fn sweep(self) {
        let Some(longest) = self.0.remote.times.idle else { return };
        loop {
            let next = {
                let mut kept = self.kept();
                kept.idle.retain(|(_, since)| since.elapsed() < longest);
                let Some(oldest) = kept.idle.iter().map(|(_, since)| *since).min() else {
                    kept.sweeper = None;
                    return;
                };
                oldest + longest
            };
            sleep_until(next.into()).await;
        }
    }
}
