//! The Python boundary of the intake.
//!
//! What is called here takes microseconds, so that giving up the interpreter's lock would take longer, but for large
//! copies; the intake's thread never takes that lock.

use std::collections::HashMap;
use std::mem;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use hyper::body::Bytes;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString};
use rustls::ServerConfig;

use super::bytes::{joined, signal_of};
use crate::net::budget::Budget;
use crate::net::desk::{self, Event, Media, Metadata};
use crate::net::door::{Door, Identity, REASONS, Verdict};
use crate::net::inflate::Encoding;
use crate::net::pace::Limits;
use crate::net::reply;
use crate::net::server::{Certificate, Server, Socket};
use crate::net::settings::{Protocol, Settings};
use crate::net::tls;

/// Payloads that are together larger than this are let go of without the interpreter's lock.
const LARGE: usize = 1024 * 1024;

/// Listeners with one thread for all of them.
#[pyclass(frozen, module = "airis._core")]
pub struct Intake {
    server: Mutex<Option<Server>>,
    desk: Arc<desk::Desk>,
    budget: Arc<Budget>,
    listeners: Mutex<Listeners>,
}

#[derive(Default)]
struct Listeners {
    certificates: Vec<Option<Certificate>>,
    doors: Vec<Option<Arc<Door>>>,
    /// Listener and signal of every route.
    routes: Vec<(usize, Py<PyString>)>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn ended() -> PyErr {
    PyRuntimeError::new_err("the intake has ended")
}

/// A time in seconds; 0, or none, is for ever.
fn time(times: &HashMap<String, f64>, name: &str) -> Option<Duration> {
    let seconds = times.get(name).copied().filter(|&seconds| seconds > 0.0)?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[pymethods]
impl Intake {
    #[new]
    fn new(limit_bytes: usize, longest_wait_s: f64, most_waiting: usize) -> PyResult<Self> {
        let longest_wait =
            Duration::try_from_secs_f64(longest_wait_s).map_err(|error| PyValueError::new_err(error.to_string()))?;
        let server = Server::start(Budget::new(limit_bytes, longest_wait, most_waiting))?;
        let (desk, budget) = (server.desk().clone(), server.budget().clone());
        Ok(Self { server: Mutex::new(Some(server)), desk, budget, listeners: Mutex::default() })
    }

    /// Readable when there is something to take.
    #[getter]
    fn fd(&self) -> RawFd {
        self.desk.ear()
    }

    /// Bytes of all requests that are read, wait or are held.
    #[getter]
    fn used_bytes(&self) -> usize {
        self.budget.used()
    }

    /// Requests that wait for space.
    #[getter]
    fn waiting(&self) -> usize {
        self.budget.waiting()
    }

    /// Take connections from a listening socket, which is owned from now on; gives the listener's number.
    #[pyo3(signature = (fd, *, protocol, is_unix, routes, encodings, max_message_bytes, withheld, times, keep_alive, max_connections, max_streams, tls, asks_before_handshake, reads=None))]
    #[expect(clippy::too_many_arguments, reason = "they have names on the other side")]
    fn listen(
        &self,
        fd: RawFd,
        protocol: &str,
        is_unix: bool,
        routes: Vec<(String, Bound<'_, PyString>)>,
        encodings: Vec<String>,
        max_message_bytes: usize,
        withheld: Option<Vec<String>>,
        times: HashMap<String, f64>,
        keep_alive: bool,
        max_connections: usize,
        max_streams: Option<u32>,
        tls: Option<&Tls>,
        asks_before_handshake: bool,
        reads: Option<Vec<String>>,
    ) -> PyResult<usize> {
        // SAFETY: the caller detached the descriptor from its socket and hands it over; nobody else closes it.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        let socket = if is_unix { Socket::Unix(socket.into()) } else { Socket::Tcp(socket.into()) };
        let protocol = if protocol == "grpc" { Protocol::Grpc } else { Protocol::Http };
        let encodings = encodings.into_iter().filter_map(|name| Encoding::from_name(&name).map(|known| (name, known)));
        let mut listeners = locked(&self.listeners);
        let listener = listeners.certificates.len();
        let mut known = HashMap::new();
        for (path, signal) in routes {
            known.insert(path, (listeners.routes.len(), signal_of(signal.to_str()?)?));
            listeners.routes.push((listener, signal.unbind()));
        }
        let settings = Settings {
            listener,
            protocol,
            routes: known,
            encodings: encodings.collect(),
            max_message: max_message_bytes,
            withheld: withheld.map(|names| names.into_iter().collect()),
            limits: Limits {
                head: time(&times, "head"),
                body: time(&times, "body"),
                answer: time(&times, "answer"),
                idle: time(&times, "idle"),
                age: time(&times, "age"),
                age_grace: time(&times, "age_grace"),
            },
            keep_alive,
            max_connections,
            max_streams,
            ping_interval: time(&times, "ping"),
            ping_timeout: time(&times, "ping_timeout").unwrap_or(Duration::from_secs(20)),
            asks_before_handshake,
        };
        let certificate = tls.map(|tls| Arc::new(RwLock::new(tls.config.clone())));
        let door = reads.map(|names| Door::new(&names).map(Arc::new)).transpose().map_err(PyValueError::new_err)?;
        let server = locked(&self.server);
        server.as_ref().ok_or_else(ended)?.listen(socket, settings, certificate.clone(), door.clone())?;
        listeners.certificates.push(certificate);
        listeners.doors.push(door);
        Ok(listener)
    }

    /// Use another certificate for the connections to come.
    fn renew(&self, listener: usize, tls: &Tls) {
        if let Some(Some(certificate)) = locked(&self.listeners).certificates.get(listener) {
            *certificate.write().unwrap_or_else(PoisonError::into_inner) = tls.config.clone();
        }
    }

    /// Let those in who wait with the credentials of the token, and whoever brings them in the next seconds.
    #[pyo3(signature = (listener, token, identity, remember_s))]
    fn admit(&self, listener: usize, token: u64, identity: Identity, remember_s: Option<f64>) {
        let identity = (!identity.is_empty()).then(|| Arc::new(identity));
        self.decide(listener, token, Verdict::Admitted(identity), remember_s);
    }

    /// Answer those who wait with the credentials of the token, and whoever brings them in the next seconds.
    fn refuse(&self, listener: usize, token: u64, reply: &Reply, reason: usize, remember_s: f64) {
        self.decide(listener, token, Verdict::Refused(reply.0.clone(), reason), Some(remember_s));
    }

    /// Ask about all credentials again.
    fn forget(&self, listener: usize) {
        if let Some(door) = self.door(listener) {
            door.forget();
        }
    }

    /// Requests that were refused at the door since the last time, by reason.
    fn take_refused(&self, listener: usize) -> [usize; REASONS] {
        self.door(listener).map_or([0; REASONS], |door| door.take_refused())
    }

    /// All that waits, joined up to these sizes, and what has to be decided by itself.
    fn take(&self, py: Python<'_>, max_items: usize, max_bytes: usize) -> (Vec<Joined>, Vec<Asked>) {
        let (batches, events) = self.desk.take(max_items, max_bytes);
        let listeners = locked(&self.listeners);
        let route =
            |route: usize| listeners.routes.get(route).map(|(listener, signal)| (*listener, signal.clone_ref(py)));
        let mut taken = Vec::with_capacity(batches.len());
        let mut asked = Vec::with_capacity(events.len());
        for mut batch in batches {
            let Some((listener, signal)) = route(batch.kind.route) else { continue };
            let payloads = mem::take(&mut batch.payloads);
            let payload = joined(py, &payloads);
            let sizes = payloads.iter().map(Bytes::len).collect();
            if batch.total_bytes > LARGE {
                py.detach(|| drop(payloads));
            } else {
                drop(payloads);
            }
            match payload {
                Ok(payload) => taken.push(Joined { batch, listener, signal, payload: payload.unbind(), sizes }),
                // There is no memory for it; whoever waits is not to wait for ever.
                Err(_) => {
                    let (token, route) = (batch.token, Some(batch.kind.route));
                    let event = Event { token, kind: "full", listener, route, ..Event::default() };
                    asked.push(Asked { event, signal: Some(signal) });
                }
            }
        }
        for event in events {
            asked.push(Asked { signal: event.route.and_then(route).map(|(_, signal)| signal), event });
        }
        (taken, asked)
    }

    /// Answer all who wait under the token; False where nobody is known by it.
    fn answer(&self, token: u64, reply: &Reply) -> bool {
        self.desk.answer(token, &reply.0)
    }

    /// Answer one part of a batch, by its place.
    fn answer_part(&self, token: u64, place: usize, reply: &Reply) -> bool {
        self.desk.answer_part(token, place, &reply.0)
    }

    /// Send a call a message.
    fn send(&self, token: u64, message: &[u8]) -> bool {
        self.desk.send(token, message)
    }

    /// Take nothing new; "drained" is asked when every connection has ended.
    fn stop(&self) {
        if let Some(server) = locked(&self.server).as_ref() {
            server.stop();
        }
    }

    /// End at once whatever is left, and the thread.
    fn end(&self, py: Python<'_>) {
        let server = locked(&self.server).take();
        py.detach(|| drop(server));
    }
}

impl Intake {
    fn door(&self, listener: usize) -> Option<Arc<Door>> {
        locked(&self.listeners).doors.get(listener).cloned().flatten()
    }

    fn decide(&self, listener: usize, token: u64, verdict: Verdict, remember_s: Option<f64>) {
        // What is no time is remembered for none.
        let remember = remember_s.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default());
        if let Some(door) = self.door(listener) {
            door.decide(token, verdict, remember);
        }
    }
}

/// Requests that were joined.
#[pyclass(frozen, module = "airis._core")]
pub struct Joined {
    batch: desk::Joined,
    sizes: Vec<usize>,
    #[pyo3(get)]
    listener: usize,
    #[pyo3(get)]
    signal: Py<PyString>,
    #[pyo3(get)]
    payload: Py<PyBytes>,
}

#[pymethods]
impl Joined {
    #[getter]
    fn token(&self) -> u64 {
        self.batch.token
    }

    #[getter]
    fn items(&self) -> usize {
        self.batch.total_items
    }

    #[getter]
    fn repaired(&self) -> usize {
        self.batch.repaired
    }

    #[getter]
    fn requests(&self) -> usize {
        self.sizes.len()
    }

    #[getter]
    fn encoding(&self) -> &str {
        match self.batch.kind.media {
            Media::Protobuf => "protobuf",
            Media::Json => "json",
        }
    }

    #[getter]
    fn metadata(&self) -> Option<Metadata> {
        self.batch.kind.metadata.as_ref().map(|metadata| metadata.as_ref().clone())
    }

    /// What an authenticator knows of whom they come from; None where there is none.
    #[getter]
    fn identity(&self) -> Option<Identity> {
        self.batch.kind.identity.as_ref().map(|identity| identity.as_ref().clone())
    }

    /// Payload and items of every request, in order.
    fn parts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let mut rest = self.payload.as_bytes(py);
        let parts = self.sizes.iter().zip(&self.batch.items).map(|(&size, &items)| {
            let (part, behind) = rest.split_at_checked(size).unwrap_or((rest, &[]));
            rest = behind;
            (PyBytes::new(py, part), items)
        });
        PyList::new(py, parts.collect::<Vec<_>>())
    }
}

/// What is not regular.
#[pyclass(frozen, module = "airis._core")]
pub struct Asked {
    event: Event,
    #[pyo3(get)]
    signal: Option<Py<PyString>>,
}

#[pymethods]
impl Asked {
    #[getter]
    fn token(&self) -> u64 {
        self.event.token
    }

    #[getter]
    fn kind(&self) -> &str {
        self.event.kind
    }

    #[getter]
    fn detail(&self) -> &str {
        &self.event.detail
    }

    #[getter]
    fn listener(&self) -> usize {
        self.event.listener
    }

    #[getter]
    fn method(&self) -> &str {
        &self.event.method
    }

    #[getter]
    fn path(&self) -> &str {
        &self.event.path
    }

    #[getter]
    fn content_type(&self) -> &str {
        &self.event.content_type
    }

    /// The headers that decide who sends.
    #[getter]
    fn credentials(&self) -> Metadata {
        self.event.credentials.clone()
    }

    #[getter]
    fn payload<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        joined(py, std::slice::from_ref(&self.event.payload))
    }
}

/// An answer, made once and sent as often as wanted.
#[pyclass(frozen, module = "airis._core")]
pub struct Reply(reply::Reply);

#[pymethods]
impl Reply {
    /// Over HTTP; ValueError for a status or a header that there cannot be.
    #[staticmethod]
    fn http(status: u16, headers: Vec<(String, String)>, body: &[u8]) -> PyResult<Self> {
        reply::Reply::http(status, &headers, Bytes::copy_from_slice(body)).map(Self).map_err(PyValueError::new_err)
    }

    /// Over gRPC: a message and the code that ends the call, or a code alone.
    #[staticmethod]
    #[pyo3(signature = (code, message="", details=b"".as_slice(), *, headers=Vec::new(), body=None))]
    fn grpc(
        code: u32,
        message: &str,
        details: &[u8],
        headers: Vec<(String, String)>,
        body: Option<&[u8]>,
    ) -> PyResult<Self> {
        reply::Reply::grpc(code, message, details, &headers, body).map(Self).map_err(PyValueError::new_err)
    }
}

/// What a server needs for TLS.
#[pyclass(frozen, module = "airis._core")]
pub struct Tls {
    config: Arc<ServerConfig>,
}

#[pymethods]
impl Tls {
    /// ValueError says what of it cannot be honoured.
    #[new]
    #[pyo3(signature = (certificate, key, *, authorities, versions, suites, curves, protocols))]
    fn new(
        certificate: &[u8],
        key: &[u8],
        authorities: Option<&[u8]>,
        versions: Vec<String>,
        suites: Vec<String>,
        curves: Vec<String>,
        protocols: Vec<String>,
    ) -> PyResult<Self> {
        let options = tls::Options { certificate, key, authorities, versions, suites, curves, protocols };
        let config = tls::server_config(&options).map_err(PyValueError::new_err)?;
        Ok(Self { config: Arc::new(config) })
    }
}
