//! `airis-load sink`: takes OTLP over gRPC and HTTP on one port, counts items by their lengths, and answers at once,
//! or after a delay, or refuses a share.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use airis_kernels::otlp::Signal;
use airis_kernels::validate::count_items;
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;

use super::Fault;
use super::arguments::Arguments;
use super::bodies::GRPC_PREFIX;

/// Large, so that no sender has to wait for it.
const STREAM_WINDOW: u32 = 16 << 20;
const WINDOW: u32 = 64 << 20;
const MAX_FRAME: u32 = 1 << 20;
const MAX_PLAIN: u64 = 256 << 20;

struct Options {
    delay: Duration,
    /// Share of the requests that are refused as retryable.
    refuse: f64,
}

/// Of one signal.
#[derive(Clone, Copy, Default)]
struct Count {
    requests: u64,
    items: u64,
    /// As they came over the wire.
    bytes: u64,
    refused: u64,
    unreadable: u64,
}

struct Sink {
    options: Options,
    counts: RefCell<BTreeMap<&'static str, Count>>,
    /// Grows by the share that is refused, and is one less for every refusal.
    owed_refusals: RefCell<f64>,
}

/// What a request is answered with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Taken,
    Refused,
    Unreadable,
}

pub fn serve(mut arguments: Arguments) -> Result<(), Fault> {
    let listen: SocketAddr = arguments.text("listen", "127.0.0.1:0").parse()?;
    let options = Options { delay: arguments.seconds("delay", 0.0)?, refuse: arguments.fraction("refuse", 0.0)? };
    arguments.end()?;
    let listener = std::net::TcpListener::bind(listen)?;
    println!("{{\"listening\": \"{}\"}}", listener.local_addr()?);
    std::io::stdout().flush()?;
    take(listener, options)
}

/// Take connections for ever.
fn take(listener: std::net::TcpListener, options: Options) -> Result<(), Fault> {
    let sink = Rc::new(Sink { options, counts: RefCell::default(), owed_refusals: RefCell::default() });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let sink = sink.clone();
            tokio::task::spawn_local(async move {
                let service = service_fn(move |request| {
                    let sink = sink.clone();
                    async move { Ok::<_, hyper::Error>(sink.answer(request).await) }
                });
                let mut builder = auto::Builder::new(Local);
                builder
                    .http2()
                    .initial_stream_window_size(STREAM_WINDOW)
                    .initial_connection_window_size(WINDOW)
                    .max_frame_size(MAX_FRAME);
                // A client may leave as it likes.
                let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    })
}

/// Runs the tasks of HTTP/2 on the only thread.
#[derive(Clone)]
struct Local;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, task: F) {
        tokio::task::spawn_local(task);
    }
}

impl Sink {
    async fn answer(&self, request: Request<Incoming>) -> Response<Answer> {
        let path = request.uri().path();
        if path == "/stats" {
            return plain(StatusCode::OK, self.stats());
        }
        let Some((signal, kind)) = signal_of(path) else {
            return plain(StatusCode::NOT_FOUND, String::new());
        };
        let is_grpc =
            request.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
        let encoding =
            if is_grpc { request.headers().get("grpc-encoding") } else { request.headers().get(CONTENT_ENCODING) };
        let encoding = encoding.and_then(|encoding| encoding.to_str().ok()).unwrap_or_default().to_owned();
        let Ok(body) = request.into_body().collect().await else {
            return plain(StatusCode::BAD_REQUEST, String::new());
        };
        let verdict = self.count(signal, kind, &body.to_bytes(), &encoding, is_grpc);
        if !self.options.delay.is_zero() {
            tokio::time::sleep(self.options.delay).await;
        }
        if is_grpc { grpc(verdict) } else { http(verdict) }
    }

    fn count(&self, name: &'static str, signal: Signal, body: &[u8], encoding: &str, is_grpc: bool) -> Verdict {
        let mut counts = self.counts.borrow_mut();
        let count = counts.entry(name).or_default();
        let mut owed = self.owed_refusals.borrow_mut();
        *owed += self.options.refuse;
        if *owed >= 1.0 {
            *owed -= 1.0;
            count.refused += 1;
            return Verdict::Refused;
        }
        let items = message(body, encoding, is_grpc).and_then(|plain| count_items(signal, &plain).ok());
        let Some(items) = items else {
            count.unreadable += 1;
            return Verdict::Unreadable;
        };
        count.requests += 1;
        count.items += items as u64;
        count.bytes += body.len() as u64;
        Verdict::Taken
    }

    fn stats(&self) -> String {
        let counts = self.counts.borrow();
        let counts: Vec<_> = counts
            .iter()
            .map(|(signal, count)| {
                format!(
                    "\"{signal}\": {{\"requests\": {}, \"items\": {}, \"bytes\": {}, \"refused\": {}, \"unreadable\": {}}}",
                    count.requests, count.items, count.bytes, count.refused, count.unreadable
                )
            })
            .collect();
        format!("{{{}}}", counts.join(", "))
    }
}

fn signal_of(path: &str) -> Option<(&'static str, Signal)> {
    let name = match path {
        "/v1/traces" | "/opentelemetry.proto.collector.trace.v1.TraceService/Export" => "traces",
        "/v1/logs" | "/opentelemetry.proto.collector.logs.v1.LogsService/Export" => "logs",
        "/v1/metrics" | "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export" => "metrics",
        _ => return None,
    };
    Some((name, Signal::from_name(name)?))
}

/// The request in a body, without its compression.
fn message<'a>(body: &'a [u8], encoding: &str, is_grpc: bool) -> Option<std::borrow::Cow<'a, [u8]>> {
    let (content, is_compressed) = if is_grpc {
        let (prefix, content) = body.split_first_chunk::<GRPC_PREFIX>()?;
        let size = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]);
        if size as usize != content.len() {
            return None;
        }
        (content, prefix[0] == 1)
    } else {
        (body, !matches!(encoding, "" | "identity"))
    };
    if !is_compressed {
        return Some(content.into());
    }
    let mut plain = Vec::new();
    match encoding {
        "gzip" => flate2::read::MultiGzDecoder::new(content).take(MAX_PLAIN).read_to_end(&mut plain).ok()?,
        "zstd" => zstd::Decoder::new(content).ok()?.take(MAX_PLAIN).read_to_end(&mut plain).ok()?,
        _ => return None,
    };
    Some(plain.into())
}

fn plain(status: StatusCode, text: String) -> Response<Answer> {
    let mut response = Response::new(Answer { data: Some(text.into()), trailers: None });
    *response.status_mut() = status;
    response
}

fn http(verdict: Verdict) -> Response<Answer> {
    let status = match verdict {
        Verdict::Taken => StatusCode::OK,
        Verdict::Refused => StatusCode::SERVICE_UNAVAILABLE,
        Verdict::Unreadable => StatusCode::BAD_REQUEST,
    };
    let mut response = plain(status, String::new());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
    response
}

fn grpc(verdict: Verdict) -> Response<Answer> {
    let (code, data) = match verdict {
        Verdict::Taken => ("0", Some(Bytes::from_static(&[0; GRPC_PREFIX]))),
        Verdict::Refused => ("14", None),
        Verdict::Unreadable => ("3", None),
    };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(code));
    let mut response = Response::new(Answer { data, trailers: Some(trailers) });
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// The body of an answer.
struct Answer {
    data: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let data = self.data.take().filter(|data| !data.is_empty()).map(Frame::data);
        let frame = data.or_else(|| self.trailers.take().map(Frame::trailers));
        std::task::Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.data.as_ref().is_none_or(Bytes::is_empty) && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.trailers {
            Some(_) => SizeHint::default(),
            None => SizeHint::with_exact(self.data.as_ref().map_or(0, Bytes::len) as u64),
        }
    }
}

/// A sink in a thread that ends with the process, for tests.
#[cfg(test)]
pub fn for_test(refuse: f64) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || take(listener, Options { delay: Duration::ZERO, refuse }).unwrap());
    address
}

#[cfg(test)]
mod tests {
    use super::*;
    use airis_payloads::{Kind, payload};

    fn sink(refuse: f64) -> Sink {
        let options = Options { delay: Duration::ZERO, refuse };
        Sink { options, counts: RefCell::default(), owed_refusals: RefCell::default() }
    }

    #[test]
    fn items_are_counted_and_what_cannot_be_read_is_not() {
        let sink = sink(0.0);
        let plain = payload(Kind::Spans, 7, 1, 1 << 60).bytes;
        let framed = [&[0][..], &(plain.len() as u32).to_be_bytes(), &plain].concat();
        let gzipped = {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(&plain).unwrap();
            encoder.finish().unwrap()
        };
        for (body, encoding, is_grpc) in [(&plain, "", false), (&framed, "", true), (&gzipped, "gzip", false)] {
            assert!(sink.count("traces", Signal::Traces, body, encoding, is_grpc) == Verdict::Taken);
        }
        for (body, encoding, is_grpc) in [(&plain, "gzip", false), (&plain, "", true), (&gzipped, "", false)] {
            assert!(sink.count("traces", Signal::Traces, body, encoding, is_grpc) == Verdict::Unreadable);
        }
        let counts = sink.counts.borrow();
        assert_eq!((counts["traces"].items, counts["traces"].unreadable), (21, 3));
    }

    #[test]
    fn the_share_that_is_wanted_is_refused() {
        let sink = sink(0.25);
        let refused = (0..100).filter(|_| sink.count("logs", Signal::Logs, b"", "", false) == Verdict::Refused).count();
        assert_eq!(refused, 25);
        assert_eq!(sink.counts.borrow()["logs"].requests, 75);
    }
}
