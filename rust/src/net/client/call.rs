//! One call of gRPC: a message out, a message or an error back.

use std::time::Instant;

use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

use super::super::deframe::Deframer;
use super::super::fault::Fault;
use super::super::inflate::{Encoding, inflate};
use super::answer::{Answer, Kind, NoAnswer, headers};
use super::balance::Channel;
use super::body::{Outgoing, Piece};
use super::http2::Coming;
use super::remote::Head;

/// How often a call is sent again that no server has looked at.
const MAX_REPEATS: usize = 4;
/// What is read of an answer that is no gRPC.
const MAX_FOREIGN: usize = 1024;

/// Make a call, which servers are told to end by the deadline.
pub async fn call(
    channel: &Channel,
    head: &Head,
    body: &Outgoing,
    deadline: Option<Instant>,
) -> Result<Answer, NoAnswer> {
    let data = body.ready().await?;
    let mut repeats = 0;
    loop {
        let message = Piece::message(body.is_compressed(), data.clone());
        let message = message.ok_or_else(|| NoAnswer::new(Kind::Internal, "a message of more than 4 GiB"))?;
        let connection = channel.pick().await?;
        let mut request = head.http2(());
        if let Some(deadline) = deadline {
            request.headers_mut().insert("grpc-timeout", timeout(deadline));
        }
        match connection.send(request, message).await {
            Ok(coming) => return read(coming, channel.max_answer()).await,
            Err(broken) if broken.is_safe && repeats < MAX_REPEATS => repeats += 1,
            Err(broken) => return Err(broken.why),
        }
    }
}

/// What is left, in the form of the header: at most eight digits.
fn timeout(deadline: Instant) -> HeaderValue {
    let left = deadline.saturating_duration_since(Instant::now()).as_millis();
    let text =
        if left < 100_000_000 { format!("{}m", left.max(1)) } else { format!("{}S", (left / 1000).min(99_999_999)) };
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("99999999S"))
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let media = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let rest = media.strip_prefix(b"application/grpc".as_slice());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"+") || rest.starts_with(b";"))
}

async fn read(mut coming: Coming, max: usize) -> Result<Answer, NoAnswer> {
    let head = coming.head();
    let mut answer = Answer { status: head.status().as_u16(), headers: headers(head.headers()), ..Answer::default() };
    if answer.status != 200 || !is_grpc(head.headers()) {
        let mut body = Vec::new();
        while body.len() < MAX_FOREIGN
            && let Some(piece) = coming.data().await?
        {
            body.extend(piece.into_iter().take(MAX_FOREIGN - body.len()));
        }
        answer.body = body.into();
        return Ok(answer);
    }
    if head.headers().contains_key("grpc-status") {
        answer.is_whole = true;
        answer.trailers = answer.headers.clone();
        return Ok(answer);
    }
    let encoding = head.headers().get("grpc-encoding").and_then(|value| value.to_str().ok()).unwrap_or("identity");
    let encoding = encoding.to_owned();
    let mut deframer = Deframer::new(max);
    let mut messages = 0;
    while let Some(piece) = coming.data().await? {
        deframer.push(piece);
        while let Some(message) = deframer.message().map_err(|fault| unread(fault, max))? {
            messages += 1;
            if messages > 1 {
                return Err(NoAnswer::new(Kind::Protocol, "it answers with more than one message"));
            }
            answer.body = if message.is_compressed {
                let known = Encoding::from_name(&encoding);
                let known = known.ok_or_else(|| unread(Fault::Encoding(encoding.clone()), max))?;
                inflate(known, &message.content, max).map_err(|fault| unread(fault, max))?.into()
            } else {
                message.content
            };
        }
    }
    answer.is_whole = deframer.pending() == 0;
    if let Some(trailers) = coming.trailers().await? {
        answer.trailers = headers(&trailers);
    }
    Ok(answer)
}

fn unread(fault: Fault, max: usize) -> NoAnswer {
    match fault {
        Fault::TooLarge => NoAnswer::new(Kind::TooLarge, format!("an answer of more than {max} bytes")),
        Fault::Encoding(name) => NoAnswer::new(Kind::Protocol, format!("an answer that is compressed as \"{name}\"")),
        fault => NoAnswer::new(Kind::Protocol, format!("an answer that cannot be read: {}", fault.detail())),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_timeout_has_at_most_eight_digits() {
        for (seconds, told) in [(0, "1m"), (5, "4999m"), (99_999, "99998999m"), (200_000, "199999S")] {
            let text = timeout(Instant::now() + Duration::from_secs(seconds));
            let (text, told) = (text.to_str().unwrap(), told);
            assert!(text.len() <= 9 && text.ends_with(told.chars().last().unwrap()), "{text}");
            let number = |text: &str| text[..text.len() - 1].parse::<i64>().unwrap();
            assert!((number(text) - number(told)).abs() <= 200, "{text}, not {told}");
        }
        assert_eq!(timeout(Instant::now() + Duration::from_secs(1 << 40)).to_str().unwrap(), "99999999S");
    }
}
