//! The Python boundary of the way out.
//!
//! What is called here takes microseconds, so that giving up the interpreter's lock would take longer; the client's
//! thread never takes that lock. It keeps the bytes that are sent by a reference, which is let go of when the
//! interpreter is next entered.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::body::Bytes;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use crate::net::client::answer;
use crate::net::client::balance::{Channel, Policy};
use crate::net::client::body::Outgoing;
use crate::net::client::pool::Pool;
use crate::net::client::remote::{self, Place, Proxy, Secure, Times};
use crate::net::client::thread::{self, Outcome, Way};
use crate::net::client::tls;
use crate::net::inflate::Encoding;

type Running = Option<thread::Client>;

/// Connections to servers, with one thread for all of them.
#[pyclass(frozen, module = "airis._core")]
pub struct Client(Mutex<Running>);

impl Client {
    fn running(&self) -> MutexGuard<'_, Running> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ended() -> PyErr {
    PyRuntimeError::new_err("the client has ended")
}

fn invalid(why: impl ToString) -> PyErr {
    PyValueError::new_err(why.to_string())
}

#[pymethods]
impl Client {
    #[new]
    fn new() -> PyResult<Self> {
        Ok(Self(Mutex::new(Some(thread::Client::start()?))))
    }

    /// Readable when there is something to take.
    #[getter]
    fn fd(&self) -> PyResult<RawFd> {
        self.running().as_ref().map(thread::Client::ear).ok_or_else(ended)
    }

    /// Know a server of gRPC, by the number that is given.
    #[pyo3(signature = (remote, *, round_robin, wait_for_ready))]
    fn grpc(&self, remote: &Remote, round_robin: bool, wait_for_ready: bool) -> PyResult<usize> {
        let policy = if round_robin { Policy::RoundRobin } else { Policy::PickFirst };
        let way = Way::Grpc(Channel::new(remote.0.clone(), policy, wait_for_ready));
        self.running().as_mut().map(|client| client.add(way)).ok_or_else(ended)
    }

    /// Know a server of HTTP, by the number that is given.
    #[pyo3(signature = (remote, *, keep_alive, max_connections))]
    fn http(&self, remote: &Remote, keep_alive: bool, max_connections: usize) -> PyResult<usize> {
        let way = Way::Http(Pool::new(remote.0.clone(), keep_alive, max_connections));
        self.running().as_mut().map(|client| client.add(way)).ok_or_else(ended)
    }

    /// Send something to a server; gives the token of the answer to come.
    fn send(&self, server: usize, head: &Head, body: &Body, timeout_s: f64) -> PyResult<u64> {
        let limit = if timeout_s > 0.0 { Duration::try_from_secs_f64(timeout_s).ok() } else { None };
        let running = self.running();
        let client = running.as_ref().ok_or_else(ended)?;
        client.send(server, head.0.clone(), body.0.clone(), limit).ok_or_else(|| invalid("no such server"))
    }

    /// Give a request up; nothing is told of it.
    fn cancel(&self, token: u64) {
        if let Some(client) = self.running().as_ref() {
            client.cancel(token);
        }
    }

    /// What has been answered, or failed.
    fn take(&self) -> Vec<Answer> {
        let done = self.running().as_ref().map(thread::Client::take).unwrap_or_default();
        done.into_iter().map(|(token, outcome)| Answer { token, outcome }).collect()
    }

    /// Give up what is under way, close all connections, and end the thread.
    fn end(&self, py: Python<'_>) {
        let client = self.running().take();
        py.detach(|| drop(client));
    }
}

/// A server.
#[pyclass(frozen, module = "airis._core")]
pub struct Remote(Arc<remote::Remote>);

/// A time in seconds; 0, or none, is for ever.
fn time(times: &HashMap<String, f64>, name: &str) -> Option<Duration> {
    let seconds = times.get(name).copied().filter(|&seconds| seconds > 0.0)?;
    Duration::try_from_secs_f64(seconds).ok()
}

type ProxyParts = (String, u16, bool, Option<String>, Option<String>);

#[pymethods]
impl Remote {
    #[new]
    #[pyo3(signature = (*, host, port, addresses, path, proxy, tls, server_name, times, pings_idle, max_answer_bytes))]
    #[expect(clippy::too_many_arguments, reason = "they have names on the other side")]
    fn new(
        host: &str,
        port: u16,
        addresses: Vec<String>,
        path: Option<std::path::PathBuf>,
        proxy: Option<ProxyParts>,
        tls: Option<&ClientTls>,
        server_name: &str,
        times: HashMap<String, f64>,
        pings_idle: bool,
        max_answer_bytes: usize,
    ) -> PyResult<Self> {
        let addresses: Vec<SocketAddr> =
            addresses.iter().map(|address| address.parse()).collect::<Result<_, _>>().map_err(invalid)?;
        let place = match path {
            Some(path) => Place::Unix(path),
            None if addresses.is_empty() => Place::Name(host.to_owned(), port),
            None => Place::Addresses(addresses),
        };
        let proxy = proxy.map(|(host, port, is_tls, authorization, tunnel_to)| Proxy {
            host,
            port,
            is_tls,
            authorization,
            tunnel_to,
        });
        let secure = match tls {
            Some(tls) => {
                let name = ServerName::try_from(server_name.to_owned()).map_err(invalid)?;
                Some(Secure::new(name, tls.0.clone()))
            }
            None => None,
        };
        let times = Times {
            idle: time(&times, "idle"),
            ping: time(&times, "ping"),
            ping_timeout: time(&times, "ping_timeout").unwrap_or(Duration::from_secs(20)),
            pings_idle,
        };
        Ok(Self(Arc::new(remote::Remote { place, proxy, secure, times, max_answer: max_answer_bytes })))
    }

    /// Use another configuration for the connections to come.
    fn renew(&self, tls: &ClientTls) {
        if let Some(secure) = &self.0.secure {
            secure.renew(tls.0.clone());
        }
    }
}

/// The head of a request, made once and sent as often as wanted.
#[pyclass(frozen, module = "airis._core")]
pub struct Head(Arc<remote::Head>);

#[pymethods]
impl Head {
    #[new]
    fn new(url: &str, headers: Vec<(String, Vec<u8>)>) -> PyResult<Self> {
        remote::Head::new(url, &headers).map(|head| Self(Arc::new(head))).map_err(invalid)
    }
}

/// What is sent, compressed at the first time.
#[pyclass(frozen, module = "airis._core")]
pub struct Body(Arc<Outgoing>);

#[pymethods]
impl Body {
    #[new]
    #[pyo3(signature = (payload, encoding="", level=0))]
    fn new(payload: Bound<'_, PyBytes>, encoding: &str, level: i32) -> PyResult<Self> {
        let plain = Bytes::from_owner(PyBackedBytes::from(payload));
        let encoding = match encoding {
            "" => None,
            name => Some((Encoding::from_name(name).ok_or_else(|| invalid("no such encoding"))?, level)),
        };
        Ok(Self(Arc::new(Outgoing::new(plain, encoding))))
    }
}

/// What came of something that was sent.
#[pyclass(frozen, module = "airis._core")]
pub struct Answer {
    #[pyo3(get)]
    token: u64,
    outcome: Outcome,
}

#[pymethods]
impl Answer {
    /// What went wrong where there is no answer.
    #[getter]
    fn fault(&self) -> Option<&'static str> {
        self.outcome.as_ref().err().map(|error| error.kind.name())
    }

    #[getter]
    fn detail(&self) -> &str {
        self.outcome.as_ref().err().map_or("", |error| &error.detail)
    }

    #[getter]
    fn status(&self) -> u16 {
        self.outcome.as_ref().map_or(0, |answer| answer.status)
    }

    #[getter]
    fn reason(&self) -> &str {
        self.outcome.as_ref().map_or("", |answer| &answer.reason)
    }

    #[getter]
    fn headers(&self) -> answer::Headers {
        self.outcome.as_ref().map(|answer| answer.headers.clone()).unwrap_or_default()
    }

    #[getter]
    fn trailers(&self) -> answer::Headers {
        self.outcome.as_ref().map(|answer| answer.trailers.clone()).unwrap_or_default()
    }

    #[getter]
    fn body<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.outcome.as_ref().map_or(&[], |answer| &answer.body))
    }

    #[getter]
    fn is_whole(&self) -> bool {
        self.outcome.as_ref().is_ok_and(|answer| answer.is_whole)
    }
}

/// What a client needs for TLS.
#[pyclass(frozen, module = "airis._core")]
pub struct ClientTls(Arc<ClientConfig>);

#[pymethods]
impl ClientTls {
    /// ValueError says what of it cannot be honoured.
    #[new]
    #[pyo3(signature = (*, authorities, system, certificate, key, versions, suites, curves, verify, protocols))]
    #[expect(clippy::too_many_arguments, reason = "they have names on the other side")]
    fn new(
        authorities: Option<&[u8]>,
        system: Option<&[u8]>,
        certificate: Option<&[u8]>,
        key: Option<&[u8]>,
        versions: Vec<String>,
        suites: Vec<String>,
        curves: Vec<String>,
        verify: bool,
        protocols: Vec<String>,
    ) -> PyResult<Self> {
        let own = certificate.zip(key);
        let options = tls::Options { authorities, system, own, versions, suites, curves, verifies: verify };
        let mut config = tls::client_config(&options).map_err(PyValueError::new_err)?;
        config.alpn_protocols = protocols.into_iter().map(String::into_bytes).collect();
        Ok(Self(Arc::new(config)))
    }
}
