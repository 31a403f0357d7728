//! A span's trace state (W3C Trace Context, 3.3) with OpenTelemetry's own member of it, `ot`.

use super::threshold::{read_randomness, read_threshold};

const MAX_BYTES: usize = 1024;
const MAX_MEMBERS: usize = 32;
const MAX_VALUE_BYTES: usize = 256;

/// What is known of earlier sampling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceState<'a> {
    text: &'a [u8],
    /// The value of OpenTelemetry's member, empty where it has none.
    own: &'a [u8],
    pub randomness: Option<u64>,
    pub threshold: Option<(&'a [u8], u64)>,
}

impl<'a> TraceState<'a> {
    /// From text; None for what is no trace state. Of several members of OpenTelemetry the last counts.
    pub fn read(text: &'a [u8]) -> Option<Self> {
        let mut state = Self { text, ..Self::default() };
        if text.len() > MAX_BYTES || members(text).count() > MAX_MEMBERS {
            return None;
        }
        for member in members(text) {
            let (key, value) = cut(member, b'=')?;
            if !is_key(key) || !is_value(value) {
                return None;
            }
            if key == b"ot" {
                state = Self { text, ..Self::read_own(value)? };
            }
        }
        Some(state)
    }

    fn read_own(own: &'a [u8]) -> Option<Self> {
        let mut state = Self { own, ..Self::default() };
        for field in own.split(|byte| *byte == b';') {
            let (name, value) = cut(field, b':')?;
            let (first, others) = name.split_first()?;
            let is_name = first.is_ascii_lowercase()
                && others.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
            let is_content = value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte));
            if !is_name || !is_content {
                return None;
            }
            match name {
                b"rv" => state.randomness = Some(read_randomness(value)?),
                b"th" => state.threshold = Some((value, read_threshold(value)?)),
                _ => {}
            }
        }
        Some(state)
    }

    /// Append the trace state with another threshold and, where it is given, other randomness; OpenTelemetry's member
    /// comes first. False, and nothing is written, where there is no room for it.
    pub fn write(&self, randomness: Option<&[u8]>, threshold: &[u8], out: &mut Vec<u8>) -> bool {
        let start = out.len();
        let fields = || self.own.split(|byte| *byte == b';').filter_map(|field| cut(field, b':'));
        let before = fields().rfind(|field| field.0 == b"rv").map(|field| field.1);
        out.extend_from_slice(b"ot=");
        if let Some(randomness) = randomness.or(before) {
            write_field(b"rv", randomness, out);
        }
        write_field(b"th", threshold, out);
        for (name, value) in fields().filter(|(name, _)| !matches!(*name, b"rv" | b"th")) {
            write_field(name, value, out);
        }
        // Behind the last field there is nothing that parts it from a next one.
        out.pop();
        let is_long = out.len() - start - b"ot=".len() > MAX_VALUE_BYTES;
        let mut count = 1;
        for member in members(self.text).filter(|member| !member.starts_with(b"ot=")) {
            out.push(b',');
            out.extend_from_slice(member);
            count += 1;
        }
        let has_room = !is_long && count <= MAX_MEMBERS && out.len() - start <= MAX_BYTES;
        if !has_room {
            out.truncate(start);
        }
        has_room
    }
}

fn write_field(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    out.push(b':');
    out.extend_from_slice(value);
    out.push(b';');
}

/// Members without the white space around them; there may be nothing between two commas.
fn members(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    text.split(|byte| *byte == b',').filter_map(move |member| {
        let start = member.iter().position(|byte| !is_blank(byte))?;
        let end = member.iter().rposition(|byte| !is_blank(byte))?;
        member.get(start..=end)
    })
}

/// What is before and what is behind the first such byte.
fn cut(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|byte| *byte == at)?;
    Some((&text[..at], &text[at + 1..]))
}

fn is_key(key: &[u8]) -> bool {
    let is_plain = |part: &[u8], most: usize| {
        let allowed = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/".contains(byte);
        (1..=most).contains(&part.len()) && part.iter().all(allowed)
    };
    let begins_with_letter = |part: &[u8]| part.first().is_some_and(u8::is_ascii_lowercase);
    match cut(key, b'@') {
        None => is_plain(key, 256) && begins_with_letter(key),
        Some((tenant, system)) => {
            is_plain(tenant, 241)
                && is_plain(system, 14)
                && tenant.first().is_some_and(|first| first.is_ascii_lowercase() || first.is_ascii_digit())
                && begins_with_letter(system)
        }
    }
}

fn is_value(value: &[u8]) -> bool {
    let allowed = |byte: &u8| matches!(byte, 0x20..=0x7e) && !matches!(byte, b',' | b'=');
    (1..=MAX_VALUE_BYTES).contains(&value.len()) && value.iter().all(allowed) && !value.ends_with(b" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_member_changes() {
        for (before, after) in [
            ("", "ot=rv:1;th:c"),
            ("a=b", "ot=rv:1;th:c,a=b"),
            ("a=b , ot=p:1;th:8;q:", "ot=rv:1;th:c;p:1;q:,a=b"),
            ("ot=th:1,1t@sys=x y,ot=a:b,,", "ot=rv:1;th:c;a:b,1t@sys=x y"),
        ] {
            let mut out = vec![];
            let state = TraceState::read(before.as_bytes()).unwrap_or_default();
            assert!(state.write(Some(b"1"), b"c", &mut out));
            assert_eq!(String::from_utf8_lossy(&out), after);
        }
    }

    #[test]
    fn hostile_text_is_none() {
        for text in ["=", "a", "a=", "A=b", "a=b=c", "ot=", "ot=th:", "ot=th:8;", "ot=rv:1", "\u{fc}=1", "a=\u{7f}"] {
            assert_eq!(TraceState::read(text.as_bytes()), None, "{text}");
        }
    }
}
