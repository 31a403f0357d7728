//! A connection from nothing: names, addresses, proxies, encryption; and why there is none, in words.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UnixStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::remote::{Place, Proxy, Remote};
use super::tls::words;
use super::wire::{Layer, Wire};

/// The longest time that connecting may take, as in gRPC.
const LONGEST: Duration = Duration::from_secs(20);
/// The next address is tried when one does not answer for so long (RFC 8305).
const STAGGER: Duration = Duration::from_millis(250);
/// The longest head of a proxy's answer.
const PROXY_HEAD: usize = 16 * 1024;

/// The addresses behind a name.
pub async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    // The system's text is behind one of the library's own.
    let why = |error: io::Error| {
        let text = error.to_string();
        format!("no address for \"{host}\": {}", text.rsplit(": ").next().unwrap_or(&text).to_lowercase())
    };
    let found: Vec<_> = lookup_host((host, port)).await.map_err(why)?.collect();
    if found.is_empty() { Err(format!("no address for \"{host}\"")) } else { Ok(found) }
}

/// Connect to the first of these addresses that answers, or to the place of the remote where there are none.
pub async fn dial(remote: &Remote, addresses: Option<&[SocketAddr]>) -> Result<Wire, String> {
    timeout(LONGEST, reach(remote, addresses)).await.unwrap_or_else(|_| Err("no answer to a connection".to_owned()))
}

async fn reach(remote: &Remote, addresses: Option<&[SocketAddr]>) -> Result<Wire, String> {
    let mut layer = match (&remote.proxy, &remote.place, addresses) {
        (Some(proxy), ..) => {
            let reached = through(proxy, remote).await;
            reached.map_err(|why| format!("the proxy {}:{}: {why}", proxy.host, proxy.port))?
        }
        (None, _, Some(addresses)) => Layer::Tcp(connect_any(addresses).await?),
        (None, Place::Unix(path), None) => Layer::Unix(UnixStream::connect(path).await.map_err(|error| words(&error))?),
        (None, Place::Name(host, port), None) => Layer::Tcp(connect_any(&resolve(host, *port).await?).await?),
        (None, Place::Addresses(addresses), None) => Layer::Tcp(connect_any(addresses).await?),
    };
    if let Some(secure) = &remote.secure {
        let connector = TlsConnector::from(secure.config());
        let stream = connector.connect(secure.name.clone(), layer).await.map_err(|error| broken_off(&error))?;
        layer = Layer::Tls(Box::new(stream));
    }
    Ok(Wire::new(layer))
}

/// Why there is no TLS.
fn broken_off(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
            "the server ended the TLS handshake".to_owned()
        }
        _ => words(error),
    }
}

async fn connect_any(addresses: &[SocketAddr]) -> Result<TcpStream, String> {
    let mut fault = "no address".to_owned();
    let mut rest = addresses.iter().copied();
    let mut tries = JoinSet::new();
    loop {
        match rest.next() {
            Some(address) => drop(tries.spawn(connect(address))),
            None if tries.is_empty() => return Err(fault),
            None => {}
        }
        let first = if rest.len() == 0 {
            tries.join_next().await
        } else if let Ok(first) = timeout(STAGGER, tries.join_next()).await {
            first
        } else {
            continue;
        };
        match first {
            Some(Ok(Ok(stream))) => return Ok(stream),
            Some(Ok(Err(error))) => fault = words(&error),
            Some(Err(_)) | None => {}
        }
    }
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A server that vanished is noticed.
    socket.set_keepalive(true)?;
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn through(proxy: &Proxy, remote: &Remote) -> Result<Layer, String> {
    let addresses = resolve(&proxy.host, proxy.port).await?;
    let mut layer = Layer::Tcp(connect_any(&addresses).await?);
    if proxy.is_tls {
        let name = ServerName::try_from(proxy.host.clone()).map_err(|error| error.to_string())?;
        let secure = remote.secure.as_ref().ok_or("it is spoken to in TLS, and there is no configuration for it")?;
        let mut config = secure.config().as_ref().clone();
        config.alpn_protocols.clear();
        let connected = TlsConnector::from(Arc::new(config)).connect(name, layer).await;
        layer = Layer::Tls(Box::new(connected.map_err(|error| broken_off(&error))?));
    }
    if let Some(to) = &proxy.tunnel_to {
        tunnel(&mut layer, to, proxy.authorization.as_deref()).await?;
    }
    Ok(layer)
}

/// Ask a proxy for a connection of ours to a server.
async fn tunnel(layer: &mut Layer, to: &str, authorization: Option<&str>) -> Result<(), String> {
    let mut request = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n");
    if let Some(authorization) = authorization {
        request += &format!("Proxy-Authorization: {authorization}\r\n");
    }
    request += "\r\n";
    let asked = async {
        layer.write_all(request.as_bytes()).await?;
        layer.flush().await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") && head.len() < PROXY_HEAD {
            // One by one: what comes behind is the server's.
            head.push(layer.read_u8().await?);
        }
        Ok(head)
    };
    let head = asked.await.map_err(|error: io::Error| words(&error))?;
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line.get(..line.len().min(200)).unwrap_or_default());
    let mut words = line.splitn(3, ' ');
    match (words.next(), words.next(), words.next()) {
        (Some(version), Some(status), _) if version.starts_with("HTTP/1.") && status.starts_with('2') => Ok(()),
        (Some(version), Some(status), why) if version.starts_with("HTTP/1.") => {
            Err(format!("it does not connect to {to}: {status} {}", why.unwrap_or_default()))
        }
        _ => Err("it does not speak HTTP/1".to_owned()),
    }
}
