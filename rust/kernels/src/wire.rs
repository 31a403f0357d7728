//! Protobuf's wire format without messages (protobuf.dev, "Encoding"), as strict as protobuf's own parsers.

use std::fmt;

/// Messages inside one another below the request: the limit of protobuf's own parsers.
pub const MAX_DEPTH: u32 = 100;

const LENGTH: u32 = 2;
const GROUP_END: u32 = 4;

/// Bytes that cannot be read, and where.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed {
    reason: &'static str,
    at: usize,
}

impl Malformed {
    /// A fault at a byte offset.
    #[cold]
    pub fn new(reason: &'static str, at: usize) -> Self {
        Self { reason, at }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, at byte {}", self.reason, self.at)
    }
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Content<'a> {
    Varint(u64),
    Fixed64(u64),
    Length(&'a [u8]),
    Group,
    Fixed32(u32),
}

/// A field: its tag begins at `start`, its content is `body..end`.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    pub number: u32,
    pub content: Content<'a>,
    pub start: usize,
    pub body: usize,
    pub end: usize,
}

/// The fields of a message, a group being one.
///
/// As an iterator it is for messages that passed `validate`: it ends at what cannot be read.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    data: &'a [u8],
    position: usize,
    depth: u32,
}

impl<'a> Fields<'a> {
    /// The fields of a whole message.
    pub fn new(data: &'a [u8]) -> Self {
        Self { data, position: 0, depth: MAX_DEPTH }
    }

    /// The fields of the message in `data[start..end]`; groups may nest `depth` deep. Offsets stay those in `data`.
    pub fn within(data: &'a [u8], start: usize, end: usize, depth: u32) -> Self {
        Self { data: &data[..end], position: start, depth }
    }

    /// The next field, None at the end.
    #[inline(always)]
    pub fn read(&mut self) -> Result<Option<Field<'a>>, Malformed> {
        let (data, start) = (self.data, self.position);
        if start >= data.len() {
            return Ok(None);
        }
        let (tag, body) = tag(data, start)?;
        let number = tag >> 3;
        if number == 0 {
            return Err(Malformed::new("a field with the number 0", start));
        }
        let field = match tag & 7 {
            0 => {
                let (value, end) = varint(data, body)?;
                Field { number, content: Content::Varint(value), start, body, end }
            }
            1 => {
                let (bytes, end) = fixed(data, body)?;
                Field { number, content: Content::Fixed64(u64::from_le_bytes(bytes)), start, body, end }
            }
            LENGTH => {
                let (body, end) = delimited(data, body)?;
                Field { number, content: Content::Length(&data[body..end]), start, body, end }
            }
            3 => {
                let end = group_end(data, body, number, self.depth)?;
                Field { number, content: Content::Group, start, body, end }
            }
            5 => {
                let (bytes, end) = fixed(data, body)?;
                Field { number, content: Content::Fixed32(u32::from_le_bytes(bytes)), start, body, end }
            }
            _ => return Err(Malformed::new("a wire type that there is not", start)),
        };
        self.position = field.end;
        Ok(Some(field))
    }

    /// Pass over short fields with this number in a row, as long as their contents are `plain`.
    #[inline(always)]
    pub fn pass(&mut self, number: u32, plain: impl Fn(&[u8]) -> bool) {
        while let Some(&[tag, size]) = self.data.get(self.position..).and_then(<[u8]>::first_chunk)
            && u32::from(tag) == number << 3 | LENGTH
            && size < 0x80
        {
            let body = self.position + 2;
            let end = body + usize::from(size);
            match self.data.get(body..end) {
                Some(content) if plain(content) => self.position = end,
                _ => return,
            }
        }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    #[inline(always)]
    fn next(&mut self) -> Option<Field<'a>> {
        self.read().unwrap_or(None)
    }
}

/// The varint at a position, and the position behind it.
#[inline(always)]
pub fn varint(data: &[u8], at: usize) -> Result<(u64, usize), Malformed> {
    match data.get(at) {
        Some(&byte) if byte < 0x80 => Ok((byte.into(), at + 1)),
        _ => long_varint(data, at, 10),
    }
}

fn long_varint(data: &[u8], at: usize, limit: usize) -> Result<(u64, usize), Malformed> {
    let mut value = 0_u64;
    for index in 0..limit {
        let Some(&byte) = data.get(at + index) else {
            return Err(Malformed::new("the message ends inside a number", at));
        };
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Ok((value, at + index + 1));
        }
    }
    Err(Malformed::new("a number that is too long", at))
}

/// A varint of at most five bytes and 32 bits: a tag, a length.
#[inline(always)]
fn short_varint(data: &[u8], at: usize) -> Result<(u32, usize), Malformed> {
    match data.get(at) {
        Some(&byte) if byte < 0x80 => Ok((byte.into(), at + 1)),
        _ => {
            let (value, end) = long_varint(data, at, 5)?;
            let value = u32::try_from(value).map_err(|_| Malformed::new("a number of more than 32 bits", at))?;
            Ok((value, end))
        }
    }
}

#[inline(always)]
fn tag(data: &[u8], at: usize) -> Result<(u32, usize), Malformed> {
    short_varint(data, at)
}

#[inline(always)]
fn fixed<const N: usize>(data: &[u8], at: usize) -> Result<([u8; N], usize), Malformed> {
    match data.get(at..).and_then(<[u8]>::first_chunk) {
        Some(bytes) => Ok((*bytes, at + N)),
        None => Err(Malformed::new("the message ends inside a number", at)),
    }
}

#[inline(always)]
fn delimited(data: &[u8], at: usize) -> Result<(usize, usize), Malformed> {
    let (size, body) = short_varint(data, at)?;
    let size = size as usize;
    if size > data.len() - body {
        return Err(Malformed::new("a field that is longer than what is left", at));
    }
    Ok((body, body + size))
}

/// The position behind the end of a group; groups are long out of use, and skipped.
fn group_end(data: &[u8], mut at: usize, number: u32, depth: u32) -> Result<usize, Malformed> {
    let start = at;
    let mut open = vec![number];
    while at < data.len() {
        if open.len() > depth as usize {
            return Err(Malformed::new("too many groups in one another", start));
        }
        let (tag, body) = tag(data, at)?;
        at = match tag & 7 {
            0 => varint(data, body)?.1,
            1 => fixed::<8>(data, body)?.1,
            LENGTH => delimited(data, body)?.1,
            3 => {
                open.push(tag >> 3);
                body
            }
            GROUP_END => {
                if open.pop() != Some(tag >> 3) {
                    break;
                }
                if open.is_empty() {
                    return Ok(body);
                }
                body
            }
            5 => fixed::<4>(data, body)?.1,
            _ => return Err(Malformed::new("a wire type that there is not", at)),
        };
    }
    Err(Malformed::new("a group without its end", start))
}

/// The key and the value of a `KeyValue` message in the form in which nearly all senders write it.
///
/// None for any other form, also for one that is not well-formed: it has to be taken field by field.
#[inline(always)]
pub fn plain_attribute(data: &[u8]) -> Option<(&[u8], &[u8])> {
    const KEY: u8 = 0x0a;
    const VALUE: u8 = 0x12;
    let (&[tag, size], rest) = data.split_first_chunk()?;
    if tag != KEY || size >= 0x80 {
        return None;
    }
    let (key, rest) = rest.split_at_checked(size.into())?;
    let (&[tag, size], value) = rest.split_first_chunk()?;
    // A size of more than one byte does not pass here.
    (tag == VALUE && size < 0x80 && usize::from(size) == value.len()).then_some((key, value))
}

/// The text of a value that a plain attribute has; None where it is something else.
#[inline(always)]
pub fn plain_text(value: &[u8]) -> Option<&[u8]> {
    const TEXT: u8 = 0x0a;
    let (&[tag, size], text) = value.split_first_chunk()?;
    (tag == TEXT && size < 0x80 && usize::from(size) == text.len()).then_some(text)
}

/// Whether two texts are the same; for short ones, for which a call would take longer.
#[inline(always)]
pub fn same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let (Some(last), Some(other_last)) = (one.last_chunk::<8>(), other.last_chunk::<8>()) else {
        return one.iter().zip(other).all(|(one, other)| one == other);
    };
    let (chunks, others) = (one.as_chunks::<8>().0, other.as_chunks::<8>().0);
    last == other_last && chunks.iter().zip(others).all(|(one, other)| one == other)
}

/// Append a varint.
#[inline(always)]
pub fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The tag and the length that a field begins with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Head {
    // A tag has at most 5 bytes, a length 10.
    bytes: [u8; 15],
    size: u8,
}

impl Head {
    /// Of a field with so many bytes of content.
    #[inline(always)]
    pub fn new(number: u32, content: usize) -> Self {
        let mut head = Self::default();
        head.push_varint(u64::from(number << 3 | LENGTH));
        head.push_varint(content as u64);
        head
    }

    #[inline(always)]
    fn push_varint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.bytes[usize::from(self.size)] = value as u8 | 0x80;
            self.size += 1;
            value >>= 7;
        }
        self.bytes[usize::from(self.size)] = value as u8;
        self.size += 1;
    }

    /// Its bytes.
    #[inline(always)]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.size)]
    }
}

/// The size of a field with its tag and length.
#[inline(always)]
pub fn field_size(number: u32, content: usize) -> usize {
    varint_size(u64::from(number << 3)) + varint_size(content as u64) + content
}

#[inline(always)]
fn varint_size(value: u64) -> usize {
    (value | 1).ilog2() as usize / 7 + 1
}

/// Append a field with its tag and length.
pub fn push_delimited(out: &mut Vec<u8>, number: u32, content: &[u8]) {
    push_varint(out, u64::from(number << 3 | LENGTH));
    push_varint(out, content.len() as u64);
    out.extend_from_slice(content);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_field_is_read_with_its_place() {
        let data = [0x08, 0x96, 0x01, 0x12, 0x02, b'a', b'b', 0x1b, 0x0b, 0x0c, 0x1c, 0x25, 1, 0, 0, 0];
        let fields: Vec<_> = Fields::new(&data).map(|f| (f.number, f.content, f.start..f.end)).collect();
        assert_eq!(
            fields,
            [
                (1, Content::Varint(150), 0..3),
                (2, Content::Length(b"ab"), 3..7),
                (3, Content::Group, 7..11),
                (4, Content::Fixed32(1), 11..16),
            ]
        );
    }

    #[test]
    fn what_cannot_be_read_is_a_fault_and_never_a_panic() {
        for data in [
            &b"\x00\x00"[..],
            b"\x08",
            b"\x08\x80",
            b"\x0a\x01",
            b"\x0a\xff\xff\xff\xff\x0f",
            b"\x0b",
            b"\x0b\x14",
            b"\x0c",
            b"\x0e",
            b"\x88\x80\x80\x80\x80\x00\x00",
            b"\x88\x80\x80\x80\x10\x00",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x09\x00",
            b"\x0d\x00",
        ] {
            assert!(Fields::new(data).read().is_err(), "{data:x?}");
        }
    }

    #[test]
    fn groups_nest_as_deep_as_allowed() {
        let nested = |depth: usize| [vec![0x0b; depth], vec![0x0c; depth]].concat();
        assert!(Fields::within(&nested(3), 0, 6, 3).read().is_ok());
        assert!(Fields::within(&nested(3), 0, 6, 2).read().is_err());
    }
}
