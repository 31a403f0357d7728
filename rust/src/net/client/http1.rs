//! A connection that speaks HTTP/1.1: one request after the other.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::ext::ReasonPhrase;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::answer::{Answer, Broken, Kind, NoAnswer, headers};
use super::body::Once;
use super::wire::{Seen, Wire};

/// The head of an answer; hyper takes no less than 8 KiB.
const MAX_HEAD: usize = 64 * 1024;
/// How long a connection is given to be ready for the next request.
const SETTLE: Duration = Duration::from_millis(100);

/// See above. Dropped, the connection is closed.
#[derive(Debug)]
pub struct Http1 {
    sender: SendRequest<Once>,
    seen: Arc<Seen>,
    task: AbortHandle,
}

impl Drop for Http1 {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Http1 {
    pub async fn begin(wire: Wire) -> Result<Self, String> {
        let seen = wire.seen();
        let mut builder = Builder::new();
        builder.max_buf_size(MAX_HEAD);
        let (sender, connection) = builder.handshake(TokioIo::new(wire)).await.map_err(|error| error.to_string())?;
        // What ends it, requests are told.
        let task = tokio::spawn(async { drop(connection.await) }).abort_handle();
        Ok(Self { sender, seen, task })
    }

    /// Whether it can take a request at this moment.
    pub fn is_ready(&self) -> bool {
        self.sender.is_ready() && !self.sender.is_closed()
    }

    /// Send a request and read the answer's first bytes; gives the connection back where it can be used again.
    pub async fn send(mut self, request: Request<Once>, max: usize) -> Result<(Answer, Option<Self>), Broken> {
        let response = match self.sender.try_send_request(request).await {
            Ok(response) => response,
            Err(mut error) => {
                // What comes back was not sent.
                let is_safe = error.take_message().is_some();
                return Err(Broken { is_safe, why: self.why(error.error()) });
            }
        };
        let mut answer = Answer {
            status: response.status().as_u16(),
            reason: reason(&response),
            headers: headers(response.headers()),
            ..Answer::default()
        };
        let (body, is_whole) = self.read(response.into_body(), max).await?;
        (answer.body, answer.is_whole) = (body.into(), is_whole);
        let is_ready = is_whole && matches!(timeout(SETTLE, self.sender.ready()).await, Ok(Ok(())));
        Ok((answer, is_ready.then_some(self)))
    }

    async fn read(&self, mut body: Incoming, max: usize) -> Result<(Vec<u8>, bool), NoAnswer> {
        let mut read = Vec::new();
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            let frame = frame.map_err(|error| self.why(&error))?;
            let Ok(data) = frame.into_data() else { continue };
            let room = max - read.len();
            read.extend_from_slice(data.get(..room).unwrap_or(&data));
            if data.len() > room {
                return Ok((read, false));
            }
        }
        Ok((read, true))
    }

    fn why(&self, error: &hyper::Error) -> NoAnswer {
        if error.is_parse_too_large() {
            return NoAnswer::new(Kind::TooLarge, format!("the head of an answer is larger than {MAX_HEAD} bytes"));
        }
        if error.is_parse() {
            return NoAnswer::new(Kind::Protocol, "it does not speak HTTP/1");
        }
        let closed = || "the server closed the connection".to_owned();
        NoAnswer::unavailable(self.seen.fault().unwrap_or_else(closed))
    }
}

fn reason(response: &Response<Incoming>) -> String {
    let said = response.extensions().get::<ReasonPhrase>();
    let said = said.map(|said| String::from_utf8_lossy(said.as_bytes()).into_owned());
    said.unwrap_or_else(|| response.status().canonical_reason().unwrap_or_default().to_owned())
}
