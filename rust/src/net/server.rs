//! The thread of an intake, its listeners and their connections.

use std::future::{Future, poll_fn};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::AsyncReadExt;
use tokio::runtime::{Builder, Handle};
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Sleep, sleep_until};
use tokio_rustls::TlsAcceptor;

use super::budget::{Budget, Line};
use super::desk::{Desk, Event};
use super::door::{Door, Seen};
use super::pace::{Due, Limits, Pace};
use super::service::{Shared, serve};
use super::settings::{MAX_FRAME, MAX_HEAD, Protocol, Settings};
use super::stream::{Listener, Plain, Secured, Stream};

/// Bytes that a client may send ahead on one HTTP/2 connection; half of it on one stream. While there is no space for
/// its requests, so much is kept of each connection: the more there are, the less each may send.
const MAX_WINDOW: usize = 2 * 1024 * 1024;
const MIN_WINDOW: usize = 128 * 1024;
/// The part of the budget that all connections may send ahead.
const WINDOW_SHARE: usize = 4;
/// Bytes read from a connection at once, at most; hyper begins with few, and asks for more as long as more comes.
const READ_BUFFER: usize = 512 * 1024;
/// Bytes that tell which protocol a client speaks, with what comes with them.
const FIRST_READ: usize = 8 * 1024;
/// A timer that is set wakes its thread up, by a system call, unless another one is due before. Of the times that
/// requests may take hardly any passes, so this one is always due before them.
const TICK: Duration = Duration::from_secs(1);
/// How long Python may take before a handshake goes on with the certificate that there is.
const CERTIFICATE_WAIT: Duration = Duration::from_secs(5);
/// How long a client may take to close a connection that has ended. HTTP/2 asks it to, and it may not be there.
const LINGER: Duration = Duration::from_secs(1);
/// Threads for what takes long.
const HEAVY_THREADS: usize = 4;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What the whole intake shares.
#[derive(Debug)]
struct Common {
    desk: Arc<Desk>,
    budget: Arc<Budget>,
    is_stopping: AtomicBool,
    stop: Notify,
    end: Notify,
    /// Listeners and connections that are open.
    open: AtomicUsize,
}

impl Common {
    /// How much a client that connects now may send ahead.
    fn window(&self) -> u32 {
        let share = self.budget.limit() / WINDOW_SHARE / self.open.load(Ordering::Relaxed).max(1);
        share.clamp(MIN_WINDOW, MAX_WINDOW) as u32
    }

    /// Wait until the intake stops.
    async fn stopped(&self) {
        let mut stop = pin!(self.stop.notified());
        stop.as_mut().enable();
        if !self.is_stopping.load(Ordering::Acquire) {
            stop.await;
        }
    }
}

/// Counts a listener or a connection while it is open.
struct Open(Arc<Common>);

impl Open {
    fn new(common: &Arc<Common>) -> Self {
        common.open.fetch_add(1, Ordering::AcqRel);
        Self(common.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::AcqRel) == 1 && self.0.is_stopping.load(Ordering::Acquire) {
            self.0.desk.tell(Event { kind: "drained", ..Event::default() });
        }
    }
}

/// A running intake.
#[derive(Debug)]
pub struct Server {
    common: Arc<Common>,
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

/// A certificate that can be exchanged.
pub type Certificate = Arc<RwLock<Arc<ServerConfig>>>;

impl Server {
    /// Start the thread.
    pub fn start(budget: Budget) -> io::Result<Self> {
        let common = Arc::new(Common {
            desk: Arc::new(Desk::new()?),
            budget: Arc::new(budget),
            is_stopping: AtomicBool::new(false),
            stop: Notify::new(),
            end: Notify::new(),
            open: AtomicUsize::new(0),
        });
        let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(HEAVY_THREADS).build()?;
        let handle = runtime.handle().clone();
        let thread = std::thread::Builder::new().name("airis-intake".to_owned()).spawn({
            let common = common.clone();
            move || {
                runtime.block_on(async {
                    tokio::spawn({
                        let desk = common.desk.clone();
                        async move { desk.keep_ringing().await }
                    });
                    tokio::spawn({
                        let desk = common.desk.clone();
                        async move { desk.keep_handing_out().await }
                    });
                    tokio::spawn(async {
                        loop {
                            tokio::time::sleep(TICK).await;
                        }
                    });
                    common.end.notified().await;
                });
                // Work in other threads is of no use any more; it ends by itself.
                runtime.shutdown_background();
            }
        })?;
        Ok(Self { common, handle, thread: Some(thread) })
    }

    pub fn desk(&self) -> &Arc<Desk> {
        &self.common.desk
    }

    pub fn budget(&self) -> &Arc<Budget> {
        &self.common.budget
    }

    /// Take connections from a socket that listens.
    pub fn listen(
        &self,
        socket: Socket,
        settings: Settings,
        certificate: Option<Certificate>,
        door: Option<Arc<Door>>,
    ) -> io::Result<()> {
        let _inside = self.handle.enter();
        let listener = match socket {
            Socket::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                Listener::Tcp(listener.try_into()?)
            }
            Socket::Unix(listener) => {
                listener.set_nonblocking(true)?;
                Listener::Unix(listener.try_into()?)
            }
        };
        let (desk, budget) = (self.common.desk.clone(), self.common.budget.clone());
        let shared = Arc::new(Shared { settings, desk, budget, door });
        let open = Open::new(&self.common);
        self.handle.spawn(accept(self.common.clone(), shared, listener, certificate, open));
        Ok(())
    }

    /// Take nothing new, and end every connection once its calls are answered; `drained` is told when none is left.
    pub fn stop(&self) {
        // Told by this one where nothing is open any more.
        let _open = Open::new(&self.common);
        self.common.is_stopping.store(true, Ordering::Release);
        self.common.stop.notify_waiters();
    }

    /// End at once whatever is left.
    pub fn end(&mut self) {
        self.stop();
        self.common.end.notify_one();
        if let Some(thread) = self.thread.take() {
            // It fails where the thread panicked, and then it has ended, too.
            let _ = thread.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// A bound socket that listens.
#[derive(Debug)]
pub enum Socket {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

async fn accept(
    common: Arc<Common>,
    shared: Arc<Shared>,
    listener: Listener,
    certificate: Option<Certificate>,
    open: Open,
) {
    let room = Arc::new(Semaphore::new(shared.settings.max_connections));
    let accepting = async {
        loop {
            let Ok(place) = room.clone().acquire_owned().await else { return };
            match listener.accept().await {
                Ok(stream) => {
                    let (open, common, shared) = (Open::new(&common), common.clone(), shared.clone());
                    let certificate = certificate.clone();
                    tokio::spawn(async move {
                        connection(&common, shared, stream, certificate).await;
                        drop((place, open));
                    });
                }
                // No file descriptor is left, or the client is gone already: what is open may close meanwhile.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    };
    until(accepting, common.stopped()).await;
    drop((listener, open));
}

/// Work until it ends by itself or has to.
async fn until(work: impl Future<Output = ()>, end: impl Future<Output = ()>) {
    let (mut work, mut end) = (pin!(work), pin!(end));
    poll_fn(|cx| {
        if work.as_mut().poll(cx).is_ready() || end.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        Poll::Pending
    })
    .await;
}

async fn connection(common: &Common, shared: Arc<Shared>, stream: Plain, certificate: Option<Certificate>) {
    let limits = shared.settings.limits;
    let pace = Pace::new(limits);
    let head = limits.head.unwrap_or(Duration::MAX);
    let beginning = async {
        let secured = match certificate {
            None => Secured::Plain(stream),
            Some(certificate) => {
                if shared.settings.asks_before_handshake {
                    ask_before_handshake(&shared).await;
                }
                let config = certificate.read().unwrap_or_else(PoisonError::into_inner).clone();
                let stream = TlsAcceptor::from(config).accept(stream).await.ok()?;
                Secured::Tls(Box::new(stream))
            }
        };
        let mut stream = Stream::new(secured, pace.clone());
        let is_http2 = begins_as_http2(&mut stream).await?;
        Some((stream, is_http2))
    };
    let mut begun = None;
    until(async { begun = tokio::time::timeout(head, beginning).await.ok().flatten() }, common.stopped()).await;
    let Some((mut stream, is_http2)) = begun else { return };
    if is_http2 {
        stream.read_frames(PREFACE.len());
    }
    let window = common.window();
    let line = Arc::new(if is_http2 { Line::new(window as usize, window as usize / 2) } else { Line::of_one() });
    let service = service_fn({
        let (shared, pace, seen) = (shared.clone(), pace.clone(), Arc::new(Seen::default()));
        move |request| serve(shared.clone(), pace.clone(), line.clone(), seen.clone(), request)
    });
    let stream = TokioIo::new(stream);
    let settings = &shared.settings;
    if is_http2 {
        pace.is_http2();
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .auto_date_header(settings.protocol == Protocol::Http)
            .initial_stream_window_size(window / 2)
            .initial_connection_window_size(window)
            .max_frame_size(MAX_FRAME)
            .max_header_list_size(MAX_HEAD)
            .max_concurrent_streams(settings.max_streams)
            .keep_alive_interval(settings.ping_interval)
            .keep_alive_timeout(settings.ping_timeout);
        let connection = builder.serve_connection(stream, service);
        drive(common, connection, http2::Connection::graceful_shutdown, &pace, &limits).await;
    } else if settings.protocol == Protocol::Http {
        let mut builder = http1::Builder::new();
        builder
            .keep_alive(settings.keep_alive)
            .max_header_size(MAX_HEAD as usize)
            .max_buf_size(READ_BUFFER)
            .header_read_timeout(None);
        let connection = builder.serve_connection(stream, service);
        drive(common, connection, http1::Connection::graceful_shutdown, &pace, &limits).await;
    }
}

async fn ask_before_handshake(shared: &Shared) {
    let event = Event { kind: "handshake", listener: shared.settings.listener, ..Event::default() };
    let answer = shared.desk.ask(event, shared.budget.share());
    // Without an answer the certificate in use is as good as any.
    let _ = tokio::time::timeout(CERTIFICATE_WAIT, answer).await;
}

/// Whether the client speaks HTTP/2, which begins with words of its own; None where it is gone.
async fn begins_as_http2(stream: &mut Stream) -> Option<bool> {
    let mut ahead = Vec::with_capacity(FIRST_READ);
    loop {
        let size = ahead.len().min(PREFACE.len());
        if ahead[..size] != PREFACE[..size] || size == PREFACE.len() {
            let is_http2 = size == PREFACE.len() && ahead.starts_with(PREFACE);
            stream.put_back(ahead.into());
            return Some(is_http2);
        }
        if stream.read_buf(&mut ahead).await.ok()? == 0 {
            return None;
        }
    }
}

/// Serve a connection within its times.
async fn drive<C: Future>(common: &Common, connection: C, end: impl Fn(Pin<&mut C>), pace: &Pace, limits: &Limits) {
    let (mut connection, mut stopped) = (pin!(connection), pin!(common.stopped()));
    let mut oldest = limits.age.map(|age| Instant::now() + scattered(age));
    let mut ended = None;
    let mut timer: Option<(Instant, Pin<Box<Sleep>>)> = None;
    poll_fn(|cx| {
        if ended.is_none() && stopped.as_mut().poll(cx).is_ready() {
            (ended, oldest) = (Some(Instant::now()), None);
            end(connection.as_mut());
        }
        if connection.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        loop {
            let due = match ended {
                None => pace.due(),
                Some(ended) => match pace.idle_since() {
                    Some(since) => Some((since.max(ended) + LINGER, Due::Cut)),
                    None => pace.due().filter(|(_, due)| *due == Due::Cut),
                },
            };
            let aged = oldest.map(|at| (at, if ended.is_some() { Due::Cut } else { Due::End }));
            let Some((at, what)) = [due, aged].into_iter().flatten().min_by_key(|(at, _)| *at) else {
                return Poll::Pending;
            };
            match &mut timer {
                // One that rings too early is as good, and is not set anew for every request.
                Some((set, _)) if *set <= at => {}
                Some((set, sleep)) => {
                    *set = at;
                    sleep.as_mut().reset(at.into());
                }
                None => timer = Some((at, Box::pin(sleep_until(at.into())))),
            }
            let Some((set, sleep)) = &mut timer else { return Poll::Pending };
            std::task::ready!(sleep.as_mut().poll(cx));
            if *set < at {
                *set = at;
                sleep.as_mut().reset(at.into());
                continue;
            }
            if what == Due::Cut {
                return Poll::Ready(());
            }
            ended = Some(Instant::now());
            oldest = oldest.and(limits.age_grace).map(|grace| Instant::now() + grace);
            end(connection.as_mut());
            timer = None;
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
        }
    })
    .await;
}

/// A tenth more or less, so that clients that came together do not leave together.
fn scattered(age: Duration) -> Duration {
    let number = RandomState::new().hash_one(Instant::now());
    age.mul_f64(0.9 + 0.2 * (number % 1024) as f64 / 1024.0)
}
