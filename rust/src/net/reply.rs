//! Answers: made once by Python, sent as often as wanted.

use std::any::Any;
use std::fmt::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::body::{Bytes, Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use tokio::sync::mpsc::UnboundedReceiver;

use super::deframe::framed;
use super::pace::Call;

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Reply(Arc<Content>);

#[derive(Debug)]
struct Content {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    /// What comes behind the body; over gRPC an answer without one has all in its headers.
    trailers: Option<HeaderMap>,
}

impl Reply {
    /// Over HTTP; says what is wrong with the status or the headers.
    pub fn http(status: u16, headers: &[(String, String)], body: Bytes) -> Result<Self, String> {
        let status = StatusCode::from_u16(status).map_err(|error| error.to_string())?;
        Ok(Self(Arc::new(Content { status, headers: header_map(headers)?, body, trailers: None })))
    }

    /// Over gRPC: a message and the code that ends the call, or a code with its message, details (google.rpc.Status
    /// as bytes) and more headers.
    pub fn grpc(
        code: u32,
        message: &str,
        details: &[u8],
        headers: &[(String, String)],
        body: Option<&[u8]>,
    ) -> Result<Self, String> {
        let mut headers = header_map(headers)?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        let mut ending = HeaderMap::new();
        ending.insert("grpc-status", HeaderValue::from(code));
        for (name, value, is_there) in [
            ("grpc-message", percent_encoded(message), !message.is_empty()),
            ("grpc-status-details-bin", base64(details), !details.is_empty()),
        ] {
            if is_there {
                ending.insert(name, HeaderValue::try_from(value).map_err(|error| error.to_string())?);
            }
        }
        let status = StatusCode::OK;
        Ok(Self(Arc::new(match body {
            Some(body) => Content { status, headers, body: framed(body), trailers: Some(ending) },
            None => {
                headers.extend(ending);
                Content { status, headers, body: Bytes::new(), trailers: None }
            }
        })))
    }

    /// What hyper sends.
    pub fn response(&self, call: Call) -> Response<Body> {
        let content = &*self.0;
        let body = Body {
            data: (!content.body.is_empty()).then(|| content.body.clone()),
            trailers: content.trailers.clone(),
            messages: None,
            _call: call,
        };
        let mut response = Response::new(body);
        *response.status_mut() = content.status;
        *response.headers_mut() = content.headers.clone();
        response
    }

    /// How a stream of messages ends.
    fn ending(&self) -> HeaderMap {
        self.0.trailers.clone().unwrap_or_else(|| {
            let mut headers = self.0.headers.clone();
            headers.remove(CONTENT_TYPE);
            headers
        })
    }
}

fn header_map(headers: &[(String, String)]) -> Result<HeaderMap, String> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name = HeaderName::try_from(name).map_err(|error| format!("{name}: {error}"))?;
        // As latin-1, which is how Python reads headers.
        let value: Option<Vec<u8>> = value.chars().map(|each| u8::try_from(each).ok()).collect();
        let value = value.and_then(|value| HeaderValue::from_bytes(&value).ok());
        map.append(&name, value.ok_or_else(|| format!("{name}: not a value of a header"))?);
    }
    Ok(map)
}

/// What a call is sent: messages, and at last how it ends.
#[derive(Debug)]
pub enum Piece {
    Message(Bytes),
    End(Reply),
}

/// The answer to a gRPC call of several messages; `ending` is dropped with it.
pub fn streaming(messages: UnboundedReceiver<Piece>, call: Call, ending: impl Any + Send) -> Response<Body> {
    let messages = Some((messages, Box::new(ending) as Box<dyn Any + Send>));
    let mut response = Response::new(Body { data: None, trailers: None, messages, _call: call });
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// The body of an answer.
#[derive(Debug)]
pub struct Body {
    data: Option<Bytes>,
    trailers: Option<HeaderMap>,
    messages: Option<(UnboundedReceiver<Piece>, Box<dyn Any + Send>)>,
    /// Until this is dropped the call is in progress.
    _call: Call,
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        if let Some(data) = self.data.take() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if let Some((messages, _)) = &mut self.messages {
            match std::task::ready!(messages.poll_recv(cx)) {
                Some(Piece::Message(message)) => return Poll::Ready(Some(Ok(Frame::data(message)))),
                Some(Piece::End(reply)) => self.trailers = Some(reply.ending()),
                None => {}
            }
            self.messages = None;
        }
        Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && self.trailers.is_none() && self.messages.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.trailers, &self.messages) {
            (None, None) => SizeHint::with_exact(self.data.as_ref().map_or(0, Bytes::len) as u64),
            // Over gRPC there is no Content-Length.
            _ => SizeHint::default(),
        }
    }
}

/// A message as the gRPC specification wants it in a header.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(byte.into()),
            _ => write!(encoded, "%{byte:02X}").unwrap_or_default(),
        }
    }
    encoded
}

/// Without padding, as gRPC sends it.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut encoded = String::with_capacity(bytes.len() * 4 / 3 + 2);
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().enumerate().fold(0, |group, (place, byte)| group | u32::from(*byte) << (16 - 8 * place));
        for place in 0..=chunk.len() {
            let digit = DIGITS[(group >> (18 - 6 * place)) as usize & 0x3f];
            encoded.push(digit.into());
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_as_everywhere_without_padding() {
        for (plain, encoded) in [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg")] {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }

    #[test]
    fn messages_are_percent_encoded() {
        assert_eq!(percent_encoded("50 % of ü\n"), "50 %25 of %C3%BC%0A");
    }
}
