//! One request: read, inflated, checked, handed over, answered.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::body::{Body as _, Bytes, Frame, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HeaderMap};
use hyper::{Method, Request, Response};

use super::budget::{Budget, Line, MAX_AHEAD, Share};
use super::deframe::Deframer;
use super::desk::{self, Desk, Event, Kind, Media, Metadata, Route, latin_1};
use super::door::{Door, Identity, Look, Seen, Verdict};
use super::fault::Fault;
use super::inflate::{Encoding, inflate};
use super::pace::{Call, Pace};
use super::reply::{Body, Reply, streaming};
use super::settings::{MAX_FRAME, Protocol, Settings};
use airis_kernels::json::from_json;
use airis_kernels::otlp::Signal;
use airis_kernels::validate::{Validated, count_items, validate};

/// A body larger than this is worked on by another thread, so that this one stays responsive.
const HEAVY: usize = 1024 * 1024;
/// The same, in JSON.
const HEAVY_JSON: usize = 256 * 1024;
/// The same, compressed.
const HEAVY_COMPRESSED: usize = 128 * 1024;
/// Largest message of a call that brings no telemetry; Python knows the number, too.
const CALL_MESSAGE: usize = 64 * 1024;
/// A body up to this size is copied, so that it does not keep the connection's whole buffer.
const SMALL: usize = 4096;

/// The connection is of no use any more, or its client is gone.
#[derive(Debug)]
pub struct Gone;

impl std::fmt::Display for Gone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection is closed")
    }
}

impl std::error::Error for Gone {}

/// What all requests of a listener share.
#[derive(Debug)]
pub struct Shared {
    pub settings: Settings,
    pub desk: Arc<Desk>,
    pub budget: Arc<Budget>,
    /// Where it is decided who may send; None where everybody may.
    pub door: Option<Arc<Door>>,
}

/// Answer one request. Dropped, the client is gone.
pub async fn serve(
    shared: Arc<Shared>,
    pace: Arc<Pace>,
    line: Arc<Line>,
    seen: Arc<Seen>,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Gone> {
    if shared.desk.is_swamped() {
        return Err(Gone);
    }
    let call = pace.begin();
    if let Some(door) = &shared.door {
        match enter(&shared, door, &seen, &request).await? {
            Entered::Admitted(None) => {}
            Entered::Admitted(Some(identity)) => {
                request.extensions_mut().insert(identity);
            }
            Entered::Refused(reply) => {
                let (head, body) = apart(request);
                throw_away(&shared, &head, Some(body));
                return Ok(reply.response(call));
            }
            Entered::Full => {
                let (head, body) = apart(request);
                return Ok(odd(&shared, Fault::Full, &head, Some(body), None).await?.response(call));
            }
        }
    }
    let reply = match shared.settings.protocol {
        Protocol::Grpc => match route(&shared, &request) {
            Some(route) if is_grpc(&request) => export(&shared, &line, route, request).await?,
            None if is_grpc(&request) => return stream(shared, call, request).await,
            _ => odd_head(&shared, request).await?,
        },
        Protocol::Http => match (route(&shared, &request), media(&request)) {
            (Some(route), Some(media)) if request.method() == Method::POST => {
                post(&shared, &line, route, media, request).await?
            }
            _ => odd_head(&shared, request).await?,
        },
    };
    Ok(reply.response(call))
}

/// What came of a request's credentials.
enum Entered {
    Admitted(Option<Arc<Identity>>),
    Refused(Reply),
    Full,
}

/// Look who it is, before anything of the body is read.
fn enter<'a>(
    shared: &'a Shared,
    door: &'a Door,
    seen: &Seen,
    request: &Request<Incoming>,
) -> impl Future<Output = Result<Entered, Gone>> + Send + use<'a> {
    let form = match (shared.settings.protocol, media(request)) {
        (Protocol::Grpc, _) | (_, None) => 0,
        (_, Some(Media::Protobuf)) => 1,
        (_, Some(Media::Json)) => 2,
    };
    let look = door.look(request.headers(), form, seen);
    if let Look::Ask(token, _) = &look {
        let event = event(shared, "credentials", String::new(), request);
        shared.desk.tell(Event { token: *token, credentials: door.credentials(request.headers()), ..event });
    }
    async move {
        let verdict = match look {
            Look::Known(verdict) => verdict,
            Look::Ask(_, waiting) | Look::Wait(waiting) => waiting.verdict().await.ok_or(Gone)?,
            Look::Full => return Ok(Entered::Full),
        };
        match verdict {
            Verdict::Admitted(identity) => Ok(Entered::Admitted(identity)),
            Verdict::Refused(reply, reason) => {
                if door.note_refused(reason) {
                    let listener = shared.settings.listener;
                    shared.desk.tell(Event { kind: "refused", listener, ..Event::default() });
                }
                Ok(Entered::Refused(reply))
            }
        }
    }
}

fn route(shared: &Shared, request: &Request<Incoming>) -> Option<(Route, Signal)> {
    shared.settings.routes.get(request.uri().path()).copied()
}

fn header(headers: &HeaderMap, name: impl hyper::header::AsHeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn is_grpc(request: &Request<Incoming>) -> bool {
    let content_type = header(request.headers(), CONTENT_TYPE);
    let rest = content_type.strip_prefix("application/grpc");
    request.method() == Method::POST && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', ';']))
}

fn media(request: &Request<Incoming>) -> Option<Media> {
    let content_type = header(request.headers(), CONTENT_TYPE);
    let content_type = content_type.split_once(';').map_or(content_type, |(media, _)| media).trim();
    if content_type.eq_ignore_ascii_case("application/x-protobuf") {
        Some(Media::Protobuf)
    } else if content_type.eq_ignore_ascii_case("application/json") {
        Some(Media::Json)
    } else {
        None
    }
}

/// What Python is told of a request's head.
fn event(shared: &Shared, kind: &'static str, detail: String, head: &Request<impl Sized>) -> Event {
    Event {
        kind,
        detail,
        listener: shared.settings.listener,
        route: shared.settings.routes.get(head.uri().path()).map(|(route, _)| *route),
        method: head.method().as_str().to_owned(),
        path: head.uri().path().to_owned(),
        content_type: header(head.headers(), CONTENT_TYPE).to_owned(),
        ..Event::default()
    }
}

/// Ask Python about a request that cannot be taken; a body that still comes is thrown away.
async fn odd(
    shared: &Shared,
    fault: Fault,
    head: &Request<()>,
    body: Option<Incoming>,
    share: Option<Share>,
) -> Result<Reply, Gone> {
    throw_away(shared, head, body);
    let share = share.unwrap_or_else(|| shared.budget.share());
    let event = event(shared, fault.kind(), fault.detail(), head);
    Ok(shared.desk.ask(event, share).await)
}

/// Ask Python about a request whose path, method or content type is not regular.
async fn odd_head(shared: &Shared, request: Request<Incoming>) -> Result<Reply, Gone> {
    let (head, body) = apart(request);
    let event = event(shared, "head", String::new(), &head);
    throw_away(shared, &head, Some(body));
    Ok(shared.desk.ask(event, shared.budget.share()).await)
}

fn apart(request: Request<Incoming>) -> (Request<()>, Incoming) {
    let (head, body) = request.into_parts();
    (Request::from_parts(head, ()), body)
}

/// Read the rest of a body while the answer is under way, so that the client gets to see it.
fn throw_away(shared: &Shared, head: &Request<()>, body: Option<Incoming>) {
    let Some(mut body) = body else { return };
    // A client that asks first is not told to go on.
    let is_wanted = !body.is_end_stream() && !head.headers().contains_key(EXPECT);
    if !is_wanted || shared.settings.protocol == Protocol::Grpc {
        return;
    }
    let longest = shared.settings.limits.body.unwrap_or(Duration::from_secs(60));
    tokio::spawn(tokio::time::timeout(longest, async move { while let Some(Ok(_)) = frame(&mut body).await {} }));
}

async fn frame(body: &mut Incoming) -> Option<Result<Frame<Bytes>, hyper::Error>> {
    poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await
}

/// The headers that go on with the data.
fn metadata(shared: &Shared, headers: &HeaderMap) -> Option<Arc<Metadata>> {
    let withheld = shared.settings.withheld.as_ref()?;
    let is_grpc = shared.settings.protocol == Protocol::Grpc;
    let is_kept = |name: &str| !(withheld.contains(name) || is_grpc && name.ends_with("-bin"));
    let kept = headers.iter().filter(|(name, _)| is_kept(name.as_str()));
    Some(Arc::new(kept.map(|(name, value)| (name.as_str().to_owned(), latin_1(value.as_bytes()))).collect()))
}

/// OTLP over HTTP.
async fn post(
    shared: &Shared,
    line: &Arc<Line>,
    (route, signal): (Route, Signal),
    media: Media,
    request: Request<Incoming>,
) -> Result<Reply, Gone> {
    let (head, mut body) = apart(request);
    let encoding = header(head.headers(), CONTENT_ENCODING).trim();
    let encoding = match encoding.to_ascii_lowercase().as_str() {
        "" | "identity" => None,
        name => match shared.settings.encodings.get(name) {
            Some(encoding) => Some(*encoding),
            None => return odd(shared, Fault::Encoding(encoding.to_owned()), &head, Some(body), None).await,
        },
    };
    let declared = header(head.headers(), CONTENT_LENGTH).parse::<usize>().ok();
    if declared.is_some_and(|size| size > shared.settings.max_message) {
        return odd(shared, Fault::TooLarge, &head, Some(body), None).await;
    }
    let expected = match (declared, encoding) {
        (Some(size), None) => size,
        // What it becomes is like what others became.
        (Some(size), Some(_)) => size.max(shared.budget.guess()),
        (None, _) => shared.budget.guess(),
    };
    let Some(mut share) = shared.budget.enter(expected, line).await else {
        return odd(shared, Fault::Full, &head, Some(body), None).await;
    };
    let mut cut_off = CutOff { shared, head: &head, is_whole: false };
    let read = {
        let reading = read_body(&mut body, declared, shared.settings.max_message, &mut share);
        in_time(shared, reading).await
    };
    cut_off.is_whole = !matches!(read, Err(Cut::Late | Cut::Off));
    drop(cut_off);
    let came = match read {
        Ok(came) => came,
        Err(Cut::Fault(fault)) => return odd(shared, fault, &head, Some(body), Some(share)).await,
        Err(Cut::Late | Cut::Off) => return Err(Gone),
    };
    drop(body);
    let plain = match encoding {
        Some(encoding) => inflated(shared, encoding, came, &mut share).await,
        None => Ok(came),
    };
    match plain {
        Ok(body) => hand_over(shared, (route, signal), media, &head, body, share).await,
        Err(fault) => odd(shared, fault, &head, None, Some(share)).await,
    }
}

/// Tells of a body that did not come whole, also where its connection ends.
struct CutOff<'a> {
    shared: &'a Shared,
    head: &'a Request<()>,
    is_whole: bool,
}

impl Drop for CutOff<'_> {
    fn drop(&mut self) {
        if !self.is_whole {
            self.shared.desk.tell(event(self.shared, "cut_off", String::new(), self.head));
        }
    }
}

/// Why a body did not come whole.
enum Cut {
    Fault(Fault),
    Late,
    Off,
}

impl From<Fault> for Cut {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Wait for a body, but not for ever. Most have come already, and need no timer.
async fn in_time<T>(shared: &Shared, reading: impl Future<Output = Result<T, Cut>>) -> Result<T, Cut> {
    let mut reading = pin!(reading);
    if let Poll::Ready(read) = poll_fn(|cx| Poll::Ready(reading.as_mut().poll(cx))).await {
        return read;
    }
    match shared.settings.limits.body {
        Some(longest) => tokio::time::timeout(longest, reading).await.unwrap_or(Err(Cut::Late)),
        None => reading.await,
    }
}

/// The next frame of a body of which so many bytes came, once there is space for it. Nothing is taken before: what has
/// not been read keeps its client from sending more.
async fn frame_in_space(
    body: &mut Incoming,
    share: &mut Share,
    came: usize,
    is_sized: bool,
) -> Result<Option<Frame<Bytes>>, Cut> {
    loop {
        let polled = poll_fn(|cx| {
            if !share.may_read(came, is_sized) {
                return Poll::Ready(None);
            }
            Pin::new(&mut *body).poll_frame(cx).map(Some)
        });
        match polled.await {
            Some(frame) => return frame.transpose().map_err(|_| Cut::Off),
            None if share.reserve(came + MAX_FRAME as usize, usize::MAX).await => {}
            None => return Err(Fault::Full.into()),
        }
    }
}

async fn read_body(
    body: &mut Incoming,
    declared: Option<usize>,
    limit: usize,
    share: &mut Share,
) -> Result<Bytes, Cut> {
    let mut whole = Vec::new();
    loop {
        let next = match declared {
            // All that is to come is its end.
            Some(size) if size <= whole.len() => frame(body).await.transpose().map_err(|_| Cut::Off)?,
            _ => frame_in_space(body, share, whole.len(), declared.is_some()).await?,
        };
        let Some(next) = next else { return Ok(whole.into()) };
        let Ok(piece) = next.into_data() else { continue };
        if piece.len() > limit - whole.len() {
            return Err(Fault::TooLarge.into());
        }
        if whole.is_empty() {
            if piece.len() > SMALL && (body.is_end_stream() || declared == Some(piece.len())) {
                share.cover(piece.len());
                return Ok(piece);
            }
            whole.reserve_exact(declared.unwrap_or(piece.len()).max(piece.len()).min(MAX_AHEAD.max(piece.len())));
        }
        whole.extend_from_slice(&piece);
        share.cover(whole.capacity());
    }
}

/// The plain body; it takes the place of the one that came in the budget.
async fn inflated(shared: &Shared, encoding: Encoding, body: Bytes, share: &mut Share) -> Result<Bytes, Fault> {
    let (limit, came) = (shared.settings.max_message, body.len());
    // Each of those that are inflated may become as large as the limit: they begin only while it is not passed.
    if !(share.reserve(2 * came, 0).await && share.space().await) {
        return Err(Fault::Full);
    }
    let plain = heavy(came > HEAVY_COMPRESSED, move || inflate(encoding, &body, limit)).await?;
    share.cover(came + plain.capacity());
    Ok(plain.into())
}

/// Do work here or, where it takes long, in another thread.
async fn heavy<T: Send + 'static>(
    is_heavy: bool,
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    if !is_heavy {
        return work();
    }
    // It fails where the runtime ends, and by a panic, which there should be none of.
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(Fault::Full))
}

/// Check a body, let it wait for Python, and for its outcome.
async fn hand_over(
    shared: &Shared,
    (route, signal): (Route, Signal),
    media: Media,
    head: &Request<()>,
    body: Bytes,
    mut share: Share,
) -> Result<Reply, Gone> {
    share.settle(body.len());
    let most = if media == Media::Json { HEAVY_JSON } else { HEAVY };
    let checked = heavy(body.len() > most, {
        let body = body.clone();
        move || check(signal, media, &body).map_err(Fault::Malformed)
    });
    let Validated { repaired, items, repairs } = match checked.await {
        Ok(validated) => validated,
        Err(fault) => return odd(shared, fault, head, None, Some(share)).await,
    };
    let payload = match repaired {
        Some(payload) => {
            // It takes the place of the body in the budget.
            share.settle(payload.len());
            payload.into()
        }
        None => body,
    };
    let identity = head.extensions().get::<Arc<Identity>>().cloned();
    let kind = Kind { route, media, metadata: metadata(shared, head.headers()), identity };
    let request = desk::Request { kind, payload, items, repaired: repairs, is_joinable: signal.is_joinable() };
    Ok(shared.desk.submit(request, share).await)
}

/// Check a body; of one in JSON the payload is what it is made into.
fn check(signal: Signal, media: Media, body: &[u8]) -> Result<Validated, String> {
    if media == Media::Protobuf {
        return validate(signal, body).map_err(|fault| fault.to_string());
    }
    let payload = from_json(signal, body)?;
    let items = count_items(signal, &payload).map_err(|fault| fault.to_string())?;
    Ok(Validated { repaired: Some(payload), items, repairs: 0 })
}

/// OTLP over gRPC: a call of one message.
async fn export(
    shared: &Shared,
    line: &Arc<Line>,
    (route, signal): (Route, Signal),
    request: Request<Incoming>,
) -> Result<Reply, Gone> {
    let (head, mut body) = apart(request);
    let Some(mut share) = shared.budget.enter(shared.budget.guess(), line).await else {
        // What came of it is kept no longer: the others on the connection need its window.
        drop(body);
        return odd(shared, Fault::Full, &head, None, None).await;
    };
    let read = {
        let reading = read_message(&mut body, shared.settings.max_message, &mut share);
        in_time(shared, reading).await
    };
    let message = match read {
        Ok(message) => message,
        Err(Cut::Fault(fault)) => return odd(shared, fault, &head, None, Some(share)).await,
        Err(Cut::Late) => return odd(shared, Fault::Late, &head, None, Some(share)).await,
        Err(Cut::Off) => return Err(Gone),
    };
    drop(body);
    let plain = if message.is_compressed {
        match grpc_encoding(shared, head.headers()) {
            Ok(encoding) => inflated(shared, encoding, message.content, &mut share).await,
            Err(fault) => Err(fault),
        }
    } else {
        Ok(message.content)
    };
    match plain {
        Ok(payload) => hand_over(shared, (route, signal), Media::Protobuf, &head, payload, share).await,
        Err(fault) => odd(shared, fault, &head, None, Some(share)).await,
    }
}

fn grpc_encoding(shared: &Shared, headers: &HeaderMap) -> Result<Encoding, Fault> {
    match header(headers, "grpc-encoding") {
        "" | "identity" => Err(Fault::Corrupt("a compressed message without its encoding".to_owned())),
        name => shared.settings.encodings.get(name).copied().ok_or_else(|| Fault::Encoding(name.to_owned())),
    }
}

async fn read_message(body: &mut Incoming, limit: usize, share: &mut Share) -> Result<super::deframe::Message, Cut> {
    let mut deframer = Deframer::new(limit);
    let (mut found, mut is_sized) = (None, false);
    loop {
        let next = match found {
            None => frame_in_space(body, share, deframer.pending(), is_sized).await?,
            Some(_) => frame(body).await.transpose().map_err(|_| Cut::Off)?,
        };
        let Some(next) = next else { break };
        let Ok(piece) = next.into_data() else { continue };
        deframer.push(piece);
        if found.is_none() {
            share.cover(deframer.room());
            if let Some(size) = deframer.announced().filter(|&size| !is_sized && size <= limit) {
                is_sized = true;
                if !share.reserve(size.min(MAX_AHEAD), size.saturating_sub(deframer.pending())).await {
                    return Err(Fault::Full.into());
                }
            }
            found = deframer.message()?;
        }
        if found.is_some() && deframer.pending() > 0 {
            return Err(Fault::Corrupt("more than one message in a call that takes one".to_owned()).into());
        }
    }
    found.ok_or_else(|| Fault::Corrupt("a call without a whole message".to_owned()).into())
}

/// Any other gRPC call: Python is given its messages, and sends some.
async fn stream(shared: Arc<Shared>, call: Call, request: Request<Incoming>) -> Result<Response<Body>, Gone> {
    let (head, body) = apart(request);
    let (pieces, caller) = shared.desk.call(event(&shared, "call", String::new(), &head));
    let ending = caller.ending();
    let encoding = grpc_encoding(&shared, head.headers());
    let reading = tokio::spawn(read_messages(caller, body, encoding));
    Ok(streaming(pieces, call, (ending, AbortOnDrop(reading.abort_handle()))))
}

/// Ends a task together with what it works for.
#[derive(Debug)]
pub struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn read_messages(caller: desk::Caller, mut body: Incoming, encoding: Result<Encoding, Fault>) {
    let mut deframer = Deframer::new(CALL_MESSAGE);
    let outcome = async {
        while let Some(frame) = frame(&mut body).await {
            let Ok(piece) = frame.map_err(|_| Cut::Off)?.into_data() else { continue };
            deframer.push(piece);
            while let Some(message) = deframer.message()? {
                let payload = match (&encoding, message.is_compressed) {
                    (_, false) => message.content,
                    (Ok(encoding), true) => inflate(*encoding, &message.content, CALL_MESSAGE)?.into(),
                    (Err(Fault::Encoding(name)), true) => return Err(Fault::Encoding(name.clone()).into()),
                    (Err(_), true) => {
                        return Err(Fault::Corrupt("a compressed message without its encoding".to_owned()).into());
                    }
                };
                caller.message(payload).await;
            }
        }
        Ok::<_, Cut>(())
    };
    match outcome.await {
        Ok(()) => caller.end(),
        Err(Cut::Fault(fault)) => caller.fault(fault.kind(), fault.detail()),
        Err(Cut::Late | Cut::Off) => {}
    }
}
