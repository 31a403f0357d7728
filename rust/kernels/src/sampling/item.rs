//! What is read of a span or a log record for its sampling, and written into it.

use super::super::edits::Type;
use super::super::values::{Attribute, Value};
use super::super::wire::{Content, Fields, plain_attribute, push_delimited};
use super::threshold::{ALWAYS, LEAST_PROBABILITY, NEVER, Text, read_randomness, read_threshold, threshold_of};
use super::tracestate::TraceState;
use super::{Counted, Fault, Mode, Policy, Sampler};

const TRACE_STATE: u32 = 3;
const SPAN_ATTRIBUTES: u32 = 9;
const RECORD_ATTRIBUTES: u32 = 6;
const THRESHOLD: &[u8] = b"sampling.threshold";
const RANDOMNESS: &[u8] = b"sampling.randomness";

/// What earlier samplers left in an item.
#[derive(Clone, Copy, Default)]
pub struct Earlier {
    pub randomness: Option<u64>,
    pub threshold: Option<u64>,
}

/// What becomes of an item.
pub struct Sampled {
    pub policy: Policy,
    pub randomness: u64,
    pub threshold: u64,
    /// It is that of a trace id or an attribute.
    pub is_random: bool,
    pub fault: Fault,
    /// None where it must stay as it is.
    pub earlier: Option<Earlier>,
}

impl Sampled {
    fn is_kept(&self) -> bool {
        self.randomness >= self.threshold
    }

    /// The threshold that is to take the place of this text; a share is never said to be larger than it was.
    fn written(&self, before: &[u8]) -> Option<Text> {
        let text = Text::threshold(self.threshold);
        let earlier = self.earlier.filter(|_| self.is_kept())?;
        let is_said = earlier.threshold.is_some_and(|earlier| earlier > self.threshold || before == text.bytes());
        (!is_said).then_some(text)
    }
}

/// How a span is decided, and whether it was written anew.
pub fn span(sampler: &Sampler, message: &[u8], out: &mut Vec<u8>) -> (Counted, bool) {
    let (mut trace_id, mut text, mut priority) = (&b""[..], &b""[..], None);
    for field in Fields::new(message) {
        match (field.number, field.content) {
            (1, Content::Length(content)) => trace_id = content,
            (TRACE_STATE, Content::Length(content)) => text = content,
            (SPAN_ATTRIBUTES, Content::Length(content)) if priority.is_none() => {
                priority = attribute(content, b"sampling.priority");
            }
            _ => {}
        }
    }
    let state = TraceState::read(text);
    let earlier = state.map(|state| Earlier {
        randomness: state.randomness,
        threshold: state.threshold.map(|(_, threshold)| threshold),
    });
    let sampled = sampler.decide(trace_id, b"", earlier, priority.as_ref().and_then(span_priority));
    let mut counted = (sampled.policy, sampled.is_kept(), sampled.fault);
    let before = state.and_then(|state| state.threshold).map_or(&b""[..], |threshold| threshold.0);
    let (Some(state), Some(threshold)) = (state, sampled.written(before)) else { return (counted, false) };
    // As in the Collector also that of a span without a trace id.
    let is_hashed = sampler.settings.mode == Mode::HashSeed && !sampler.is_never;
    let randomness = is_hashed.then(|| Text::randomness(sampled.randomness));
    let mut written = vec![];
    if !state.write(randomness.as_ref().map(Text::bytes), threshold.bytes(), &mut written) {
        if counted.2 == Fault::None {
            counted.2 = Fault::NoRoom;
        }
        return (counted, false);
    }
    copy_without(message, out, |number, _| number == TRACE_STATE);
    push_delimited(out, TRACE_STATE, &written);
    (counted, true)
}

/// How a log record is decided, and whether it was written anew.
pub fn record(sampler: &Sampler, message: &[u8], out: &mut Vec<u8>) -> (Counted, bool) {
    let settings = &sampler.settings;
    let mut trace_id = &b""[..];
    let [mut threshold, mut randomness, mut source, mut priority] = [const { None }; 4];
    let wanted = |found: &Option<Value>, key: &[u8]| found.is_none() && !key.is_empty();
    for field in Fields::new(message) {
        match (field.number, field.content) {
            (9, Content::Length(content)) => trace_id = content,
            (RECORD_ATTRIBUTES, Content::Length(content)) => {
                for (found, key) in [
                    (&mut threshold, THRESHOLD),
                    (&mut randomness, RANDOMNESS),
                    (&mut source, &*settings.from_attribute),
                    (&mut priority, &*settings.priority_attribute),
                ] {
                    if wanted(found, key) {
                        *found = attribute(content, key);
                    }
                }
            }
            _ => {}
        }
    }
    let before = text_of(&threshold);
    let earlier = read_earlier(before, text_of(&randomness));
    let hashed = source.map(hashed_bytes).unwrap_or_default();
    let uses_id = settings.by_trace_id || settings.mode != Mode::HashSeed;
    let own = priority.and_then(|priority| record_priority(&priority, settings.precision));
    let sampled = sampler.decide(if uses_id { trace_id } else { b"" }, &hashed, earlier, own);
    let counted = (sampled.policy, sampled.is_kept(), sampled.fault);
    let Some(threshold) = sampled.written(before) else { return (counted, false) };
    // What has neither a trace id nor an attribute gets no randomness.
    let is_hashed = sampled.is_random;
    copy_without(message, out, |number, content| {
        let is_old = |key: &[u8]| key == THRESHOLD || is_hashed && key == RANDOMNESS;
        number == RECORD_ATTRIBUTES && is_old(key_of(content))
    });
    if is_hashed {
        push_text(out, RANDOMNESS, Text::randomness(sampled.randomness).bytes());
    }
    push_text(out, THRESHOLD, threshold.bytes());
    (counted, true)
}

/// What the attributes of a log record say, None where that is malformed.
fn read_earlier(threshold: &[u8], randomness: &[u8]) -> Option<Earlier> {
    let mut earlier = Earlier::default();
    if !threshold.is_empty() {
        earlier.threshold = Some(read_threshold(threshold)?);
    }
    if !randomness.is_empty() {
        earlier.randomness = Some(read_randomness(randomness)?);
    }
    Some(earlier)
}

/// The value of an attribute if it has this key.
#[inline(always)]
fn attribute<'a>(data: &'a [u8], key: &[u8]) -> Option<Value<'a>> {
    (key_of(data) == key).then(|| Attribute::read(data).value)
}

#[inline(always)]
fn key_of(data: &[u8]) -> &[u8] {
    plain_attribute(data).map_or_else(|| Attribute::read(data).key, |(key, _)| key)
}

fn text_of<'a>(value: &Option<Value<'a>>) -> &'a [u8] {
    if let Some(Value::Text(text)) = value { text } else { b"" }
}

/// The threshold of a span that asks to be kept or left out, as OpenTracing has it.
fn span_priority(value: &Value) -> Option<u64> {
    let number = match value {
        Value::Int(number) => *number as f64,
        Value::Double(number) => *number,
        Value::Text(_) => match Value::read(&Type::Double.convert(value)?) {
            Value::Double(number) => number,
            _ => return None,
        },
        _ => return None,
    };
    match number {
        0.0 => Some(NEVER),
        _ if number > 0.0 => Some(ALWAYS),
        _ => None,
    }
}

/// The threshold of a log record that has a percentage of its own.
fn record_priority(value: &Value, precision: u32) -> Option<u64> {
    let percentage = match value {
        Value::Int(number) => *number as f64,
        Value::Double(number) => *number,
        _ => return None,
    };
    let probability = percentage / 100.0;
    (LEAST_PROBABILITY..=1.0).contains(&probability).then(|| threshold_of(probability, precision))
}

/// What is hashed of a value.
fn hashed_bytes(value: Value) -> Vec<u8> {
    match value {
        Value::Bytes(bytes) | Value::Text(bytes) => bytes.to_vec(),
        value => match Value::read(&Type::Text.convert(&value).unwrap_or_default()) {
            Value::Text(text) => text.to_vec(),
            _ => vec![],
        },
    }
}

/// Append all fields but those with content that is to go.
fn copy_without(message: &[u8], out: &mut Vec<u8>, is_gone: impl Fn(u32, &[u8]) -> bool) {
    let mut at = 0;
    for field in Fields::new(message) {
        if let Content::Length(content) = field.content
            && is_gone(field.number, content)
        {
            out.extend_from_slice(&message[at..field.start]);
            at = field.end;
        }
    }
    out.extend_from_slice(&message[at..]);
}

/// Append an attribute with a text.
fn push_text(out: &mut Vec<u8>, key: &[u8], text: &[u8]) {
    let (mut value, mut entry) = (vec![], vec![]);
    push_delimited(&mut value, 1, text);
    push_delimited(&mut entry, 1, key);
    push_delimited(&mut entry, 2, &value);
    push_delimited(out, RECORD_ATTRIBUTES, &entry);
}
