//! Where a server is and how it is spoken to.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Uri, Version};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

/// Where to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// All addresses of a name.
    Name(String, u16),
    /// These addresses.
    Addresses(Vec<SocketAddr>),
    Unix(PathBuf),
}

/// A proxy of HTTP that is asked instead.
#[derive(Debug)]
pub struct Proxy {
    pub host: String,
    pub port: u16,
    /// Itself spoken to over TLS.
    pub is_tls: bool,
    /// Of the header Proxy-Authorization.
    pub authorization: Option<String>,
    /// What it is asked to connect to; None where it is handed plain requests.
    pub tunnel_to: Option<String>,
}

/// Encryption; the configuration can be exchanged for connections to come.
#[derive(Debug)]
pub struct Secure {
    pub name: ServerName<'static>,
    config: RwLock<Arc<ClientConfig>>,
}

impl Secure {
    pub fn new(name: ServerName<'static>, config: Arc<ClientConfig>) -> Self {
        Self { name, config: RwLock::new(config) }
    }

    pub fn config(&self) -> Arc<ClientConfig> {
        self.config.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn renew(&self, config: Arc<ClientConfig>) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
    }
}

/// Times, of which none is for ever.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// A connection that is not used for so long is closed.
    pub idle: Option<Duration>,
    /// A server that was silent for so long is sent a ping.
    pub ping: Option<Duration>,
    pub ping_timeout: Duration,
    /// Pinged also while no call is open.
    pub pings_idle: bool,
}

/// A server.
#[derive(Debug)]
pub struct Remote {
    pub place: Place,
    pub proxy: Option<Proxy>,
    pub secure: Option<Secure>,
    pub times: Times,
    /// Bytes of an answer that are read.
    pub max_answer: usize,
}

/// The head of a request, made once and sent as often as wanted.
#[derive(Debug)]
pub struct Head {
    uri: Uri,
    headers: HeaderMap,
}

impl Head {
    /// For the whole URL that is asked for; says what is wrong with it or with a header.
    pub fn new(uri: &str, headers: &[(String, Vec<u8>)]) -> Result<Self, String> {
        let uri = Uri::try_from(uri).map_err(|error| format!("the URL: {error}"))?;
        if uri.scheme().is_none() || uri.authority().is_none() {
            return Err("the URL has no server".to_owned());
        }
        let mut map = HeaderMap::with_capacity(headers.len());
        for (name, value) in headers {
            let name = HeaderName::try_from(name).map_err(|_| format!("{name}: no name of a header"))?;
            let value = HeaderValue::from_bytes(value).map_err(|_| format!("{name}: no value of a header"))?;
            map.append(name, value);
        }
        Ok(Self { uri, headers: map })
    }

    fn request<B>(&self, uri: Uri, version: Version, body: B) -> Request<B> {
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        *request.version_mut() = version;
        request.headers_mut().clone_from(&self.headers);
        request
    }

    /// For HTTP/2, where a Host among the headers says for whom it is.
    pub fn http2<B>(&self, body: B) -> Request<B> {
        let mut request = self.request(self.uri.clone(), Version::HTTP_2, body);
        if let Some(host) = request.headers_mut().remove(hyper::header::HOST) {
            let mut parts = self.uri.clone().into_parts();
            parts.authority = host.to_str().ok().and_then(|host| host.parse().ok()).or(parts.authority);
            if let Ok(uri) = Uri::from_parts(parts) {
                *request.uri_mut() = uri;
            }
        }
        request
    }

    /// For HTTP/1; a proxy is told the whole URL.
    pub fn http1<B>(&self, to_proxy: bool, body: B) -> Request<B> {
        let own = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let uri = if to_proxy { self.uri.clone() } else { own.parse().unwrap_or_default() };
        let mut request = self.request(uri, Version::HTTP_11, body);
        let host = self.uri.authority().map_or("", |authority| {
            // Without the name and password that there may be before it.
            authority.as_str().rsplit_once('@').map_or(authority.as_str(), |(_, host)| host)
        });
        if let Ok(host) = HeaderValue::from_str(host) {
            request.headers_mut().entry(hyper::header::HOST).or_insert(host);
        }
        request
    }
}
