//! The thread of a client: what it is told to do, and what has been done, by token.

use std::collections::HashMap;
use std::future::Future;
use std::io::{self, Read, Write};
use std::mem;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::timeout_at;

use super::answer::{Answer, Kind, NoAnswer};
use super::balance::Channel;
use super::body::Outgoing;
use super::call::call;
use super::pool::Pool;
use super::remote::Head;

/// Names what was sent and is not answered.
pub type Token = u64;
/// What came of it.
pub type Outcome = Result<Answer, NoAnswer>;

/// Threads for what takes long.
const HEAVY_THREADS: usize = 4;
/// How long connections are given to take leave.
const FAREWELL: Duration = Duration::from_millis(200);

/// A server, spoken to over gRPC or over HTTP.
#[derive(Clone, Debug)]
pub enum Way {
    Grpc(Channel),
    Http(Pool),
}

impl Way {
    fn end(&self) {
        match self {
            Self::Grpc(channel) => channel.end(),
            Self::Http(pool) => pool.end(),
        }
    }
}

#[derive(Debug)]
struct Shared {
    running: Mutex<Running>,
    done: Mutex<Vec<(Token, Outcome)>>,
    /// Python was rung for and has not looked.
    is_rung: AtomicBool,
    bell: UnixStream,
    ear: UnixStream,
    end: Notify,
}

#[derive(Debug, Default)]
struct Running {
    last: Token,
    tasks: HashMap<Token, AbortHandle>,
}

impl Shared {
    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tell Python, unless it gave the request up.
    fn finish(&self, token: Token, outcome: Outcome) {
        if self.running().tasks.remove(&token).is_none() {
            return;
        }
        self.done.lock().unwrap_or_else(PoisonError::into_inner).push((token, outcome));
        if !self.is_rung.swap(true, Ordering::AcqRel) {
            // Full is as good as rung.
            let _ = (&self.bell).write(&[1]);
        }
    }
}

/// Sees to it that there is an outcome, whatever becomes of the work.
struct Ticket {
    shared: Arc<Shared>,
    token: Token,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.shared.finish(self.token, Err(NoAnswer::new(Kind::Internal, "the client's thread gave it up")));
    }
}

/// A running client.
#[derive(Debug)]
pub struct Client {
    shared: Arc<Shared>,
    handle: Handle,
    thread: Option<JoinHandle<()>>,
    ways: Vec<Way>,
}

impl Client {
    /// Start the thread.
    pub fn start() -> io::Result<Self> {
        let (bell, ear) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        ear.set_nonblocking(true)?;
        let shared = Arc::new(Shared {
            running: Mutex::default(),
            done: Mutex::default(),
            is_rung: AtomicBool::new(false),
            bell,
            ear,
            end: Notify::new(),
        });
        let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(HEAVY_THREADS).build()?;
        let handle = runtime.handle().clone();
        let thread = std::thread::Builder::new().name("airis-client".to_owned()).spawn({
            let shared = shared.clone();
            move || {
                runtime.block_on(async {
                    shared.end.notified().await;
                    let deadline = Instant::now() + FAREWELL;
                    while Handle::current().metrics().num_alive_tasks() > 0 && Instant::now() < deadline {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                });
                // Work in other threads is of no use any more; it ends by itself.
                runtime.shutdown_background();
            }
        })?;
        Ok(Self { shared, handle, thread: Some(thread), ways: Vec::new() })
    }

    /// Know a server, by the number that is given.
    pub fn add(&mut self, way: Way) -> usize {
        self.ways.push(way);
        self.ways.len() - 1
    }

    /// Readable when there is something to take.
    pub fn ear(&self) -> RawFd {
        self.shared.ear.as_raw_fd()
    }

    /// Send something to a server; None where that is not known.
    pub fn send(&self, way: usize, head: Arc<Head>, body: Arc<Outgoing>, limit: Option<Duration>) -> Option<Token> {
        let way = self.ways.get(way)?.clone();
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        Some(self.spawn(deadline, async move {
            match way {
                Way::Grpc(channel) => call(&channel, &head, &body, deadline).await,
                Way::Http(pool) => pool.post(&head, &body).await,
            }
        }))
    }

    fn spawn(&self, deadline: Option<Instant>, work: impl Future<Output = Outcome> + Send + 'static) -> Token {
        let mut running = self.shared.running();
        running.last += 1;
        let token = running.last;
        let ticket = Ticket { shared: self.shared.clone(), token };
        let task = self.handle.spawn(async move {
            let late = || Err(NoAnswer::new(Kind::Late, "no answer in time"));
            let outcome = match deadline {
                Some(deadline) => timeout_at(deadline.into(), work).await.unwrap_or_else(|_| late()),
                None => work.await,
            };
            ticket.shared.finish(token, outcome);
        });
        running.tasks.insert(token, task.abort_handle());
        token
    }

    /// Give a request up; nothing is told of it.
    pub fn cancel(&self, token: Token) {
        let task = self.shared.running().tasks.remove(&token);
        if let Some(task) = task {
            task.abort();
        }
    }

    /// All that is done.
    pub fn take(&self) -> Vec<(Token, Outcome)> {
        let _ = (&self.shared.ear).read(&mut [0; 16]);
        self.shared.is_rung.store(false, Ordering::Release);
        mem::take(&mut *self.shared.done.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Give up what is under way, take leave of the servers, and end the thread.
    pub fn end(&mut self) {
        let tasks = mem::take(&mut self.shared.running().tasks);
        tasks.into_values().for_each(|task| task.abort());
        self.ways.drain(..).for_each(|way| way.end());
        self.shared.end.notify_one();
        if let Some(thread) = self.thread.take() {
            // It fails where the thread panicked, and then it has ended, too.
            let _ = thread.join();
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(client: &Client) -> Vec<(Token, Kind)> {
        let mut ear = client.shared.ear.try_clone().unwrap();
        ear.set_nonblocking(false).unwrap();
        ear.read_exact(&mut [0]).unwrap();
        ear.set_nonblocking(true).unwrap();
        client.take().into_iter().map(|(token, outcome)| (token, outcome.unwrap_err().kind)).collect()
    }

    #[test]
    fn a_panic_ends_the_request_alone() {
        let client = Client::start().unwrap();
        let broken = client.spawn(None, async { panic!("a fault of ours") });
        assert_eq!(outcomes(&client), [(broken, Kind::Internal)]);
        let late = client.spawn(Some(Instant::now()), std::future::pending());
        assert_eq!(outcomes(&client), [(late, Kind::Late)]);
    }

    #[test]
    fn nothing_is_told_of_what_was_given_up() {
        let client = Client::start().unwrap();
        let given_up = client.spawn(None, std::future::pending());
        client.cancel(given_up);
        let other = client.spawn(None, async { Err(NoAnswer::new(Kind::Protocol, "other")) });
        assert_eq!(outcomes(&client), [(other, Kind::Protocol)]);
        assert!(client.shared.running().tasks.is_empty());
    }
}
