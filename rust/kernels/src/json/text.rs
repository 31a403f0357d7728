//! JSON as text (RFC 8259), read from front to back without a tree.
//!
//! It is strict but for two things that senders do: a byte order mark, and strings that are not UTF-8 or have halves of
//! surrogate pairs, which become U+FFFD.

use std::borrow::Cow;

/// Arrays and objects in one another.
pub const MAX_NESTED: usize = 1024;

/// Why a text is no JSON, and where.
#[derive(Debug, PartialEq, Eq)]
pub struct NotJson {
    pub reason: &'static str,
    pub at: usize,
}

/// A number as JSON has it. One without a fraction that 64 bits cannot hold is a double, as in JavaScript.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    Integer(i128),
    Double(f64),
}

/// The inside of a string, as it was written.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    raw: &'a [u8],
    has_escapes: bool,
    is_ascii: bool,
}

/// A value that is no array and no object.
#[derive(Debug)]
pub enum Scalar<'a> {
    Text(Text<'a>),
    Number(Number),
    Bool(bool),
    Null,
}

/// Where reading has come to.
pub struct Reader<'a> {
    data: &'a [u8],
    pub at: usize,
    /// Arrays and objects that are open: a bit for each, set for an object.
    open: [u64; MAX_NESTED / 64],
    pub nested: usize,
}

type Result<T> = std::result::Result<T, NotJson>;

impl<'a> Reader<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        let at = if data.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        Self { data, at, open: [0; MAX_NESTED / 64], nested: 0 }
    }

    #[cold]
    fn fault<T>(&self, reason: &'static str) -> Result<T> {
        Err(NotJson { reason, at: self.at })
    }

    #[cold]
    fn unexpected<T>(&self) -> Result<T> {
        self.fault(if self.at < self.data.len() { "an unexpected character" } else { "an unexpected end" })
    }

    /// The next byte that is no white space, which stays to be read; 0, which is never right, at the end.
    #[inline(always)]
    pub fn peek(&mut self) -> u8 {
        loop {
            match self.data.get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                Some(&byte) => return byte,
                None => return 0,
            }
        }
    }

    #[inline(always)]
    fn expect(&mut self, byte: u8) -> Result<()> {
        if self.peek() != byte {
            return self.unexpected();
        }
        self.at += 1;
        Ok(())
    }

    /// Nothing comes any more.
    pub fn end(&mut self) -> Result<()> {
        self.peek();
        if self.at < self.data.len() { self.unexpected() } else { Ok(()) }
    }

    /// Step into the array or the object that begins here.
    #[inline(always)]
    pub fn enter(&mut self) -> Result<()> {
        if self.nested == MAX_NESTED {
            return self.fault("arrays and objects too deep in one another");
        }
        let (word, bit) = (self.nested / 64, 1 << (self.nested % 64));
        if self.data.get(self.at) == Some(&b'{') {
            self.open[word] |= bit;
        } else {
            self.open[word] &= !bit;
        }
        self.nested += 1;
        self.at += 1;
        Ok(())
    }

    /// Whether there is another element or member in what is open; steps out of it where there is none.
    #[inline(always)]
    pub fn more(&mut self, is_first: bool) -> Result<bool> {
        let innermost = self.nested - 1;
        let is_object = self.open[innermost / 64] >> (innermost % 64) & 1 == 1;
        match self.peek() {
            b'}' if is_object => {}
            b']' if !is_object => {}
            b',' if !is_first => {
                self.at += 1;
                return Ok(true);
            }
            _ if is_first => return Ok(true),
            _ => return self.unexpected(),
        }
        self.at += 1;
        self.nested = innermost;
        Ok(false)
    }

    /// The name of a member; its value comes next.
    #[inline(always)]
    pub fn key(&mut self) -> Result<Text<'a>> {
        if self.peek() != b'"' {
            return self.unexpected();
        }
        let key = self.text()?;
        self.expect(b':')?;
        self.peek();
        Ok(key)
    }

    /// The string whose quote stands here.
    #[inline(always)]
    pub fn text(&mut self) -> Result<Text<'a>> {
        self.at += 1;
        let start = self.at;
        let (mut has_escapes, mut is_ascii) = (false, true);
        loop {
            let (size, seen) = plain_run(&self.data[self.at..]);
            self.at += size;
            is_ascii &= seen;
            match self.data.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    has_escapes = true;
                    self.escape()?;
                }
                Some(_) => return self.fault("a control character in a string"),
                None => return self.unexpected(),
            }
        }
        let raw = &self.data[start..self.at];
        self.at += 1;
        Ok(Text { raw, has_escapes, is_ascii })
    }

    /// Step over an escape.
    fn escape(&mut self) -> Result<()> {
        self.at += match self.data.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
            Some(b'u') if hex4(&self.data[self.at + 2..]).is_some() => 6,
            _ => return self.fault("an escape that there is not"),
        };
        Ok(())
    }

    /// A value that is no array and no object.
    #[inline(always)]
    pub fn scalar(&mut self) -> Result<Scalar<'a>> {
        match self.peek() {
            b'"' => self.text().map(Scalar::Text),
            b'-' | b'0'..=b'9' => self.number().map(Scalar::Number),
            b't' => self.word(b"true", Scalar::Bool(true)),
            b'f' => self.word(b"false", Scalar::Bool(false)),
            b'n' => self.word(b"null", Scalar::Null),
            _ => self.unexpected(),
        }
    }

    fn word(&mut self, word: &[u8], meaning: Scalar<'a>) -> Result<Scalar<'a>> {
        if !self.data[self.at..].starts_with(word) {
            return self.unexpected();
        }
        self.at += word.len();
        Ok(meaning)
    }

    fn digits(&mut self) -> usize {
        let rest = &self.data[self.at..];
        let size = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
        self.at += size;
        size
    }

    fn number(&mut self) -> Result<Number> {
        let start = self.at;
        let is_negative = self.data[start] == b'-';
        self.at += usize::from(is_negative);
        let first = self.at;
        let digits = self.digits();
        if digits == 0 {
            return self.unexpected();
        }
        if digits > 1 && self.data[first] == b'0' {
            self.at = first + 1;
            return self.unexpected();
        }
        let mut is_integer = true;
        if self.data.get(self.at) == Some(&b'.') {
            self.at += 1;
            is_integer = false;
            if self.digits() == 0 {
                return self.unexpected();
            }
        }
        if let Some(b'e' | b'E') = self.data.get(self.at) {
            self.at += 1;
            is_integer = false;
            self.at += usize::from(matches!(self.data.get(self.at), Some(b'+' | b'-')));
            if self.digits() == 0 {
                return self.unexpected();
            }
        }
        if is_integer && digits <= 20 {
            let number = integer(&self.data[first..self.at], is_negative);
            if (i64::MIN.into()..=u64::MAX.into()).contains(&number) {
                return Ok(Number::Integer(number));
            }
        }
        Ok(Number::Double(parse_double(&self.data[start..self.at]).unwrap_or(f64::NAN)))
    }

    /// Step over a value, whatever it is.
    pub fn skip(&mut self) -> Result<()> {
        let outside = self.nested;
        self.skip_value()?;
        self.skip_until(outside)
    }

    /// Step over what is left of the array or object that is open, behind an element.
    pub fn skip_rest(&mut self) -> Result<()> {
        self.skip_until(self.nested - 1)
    }

    /// Step over elements and members until only so many arrays and objects are open.
    fn skip_until(&mut self, nested: usize) -> Result<()> {
        let mut is_first = self.was_entered();
        while self.nested > nested {
            let inside = self.nested;
            if self.more(is_first)? {
                if self.open[(inside - 1) / 64] >> ((inside - 1) % 64) & 1 == 1 {
                    self.key()?;
                }
                self.skip_value()?;
                is_first = self.was_entered();
            } else {
                is_first = false;
            }
        }
        Ok(())
    }

    /// Whether the last byte read opened an array or an object.
    fn was_entered(&self) -> bool {
        matches!(self.at.checked_sub(1).and_then(|before| self.data.get(before)), Some(b'[' | b'{'))
    }

    /// Step over a scalar, or into an array or object.
    fn skip_value(&mut self) -> Result<()> {
        match self.peek() {
            b'[' | b'{' => self.enter(),
            _ => self.scalar().map(drop),
        }
    }
}

impl<'a> Text<'a> {
    /// As bytes that can be taken as they are; None where something has to be done to them.
    #[inline(always)]
    pub fn plain(&self) -> Option<&'a [u8]> {
        (!self.has_escapes && self.is_ascii).then_some(self.raw)
    }

    /// As UTF-8.
    pub fn content(&self) -> Cow<'a, [u8]> {
        if let Some(plain) = self.plain() {
            return plain.into();
        }
        let mut out = Vec::with_capacity(self.raw.len());
        self.write(&mut out);
        out.into()
    }

    /// Append it as UTF-8.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut rest = self.raw;
        while self.has_escapes
            && let Some(at) = rest.iter().position(|byte| *byte == b'\\')
        {
            write_repaired(&rest[..at], out);
            rest = write_escape(&rest[at + 1..], out);
        }
        write_repaired(rest, out);
    }
}

fn write_repaired(text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(String::from_utf8_lossy(text).as_bytes());
}

/// Append what an escape stands for, which is known to be whole; gives what comes behind it.
fn write_escape<'a>(escape: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let Some((&kind, rest)) = escape.split_first() else { return escape };
    let byte = match kind {
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'u' => {
            let (unit, mut rest) = (hex4(rest).unwrap_or(0), rest.get(4..).unwrap_or_default());
            let mut scalar = unit;
            if (0xd800..0xdc00).contains(&unit)
                && let Some(low) = rest.strip_prefix(b"\\u").and_then(hex4)
                && (0xdc00..0xe000).contains(&low)
            {
                scalar = 0x10000 + ((unit - 0xd800) << 10 | (low - 0xdc00));
                rest = rest.get(6..).unwrap_or_default();
            }
            let character = char::from_u32(scalar).unwrap_or(char::REPLACEMENT_CHARACTER);
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            return rest;
        }
        byte => byte,
    };
    out.push(byte);
    rest
}

fn hex4(text: &[u8]) -> Option<u32> {
    let digits = text.first_chunk::<4>()?;
    digits.iter().try_fold(0, |sum, digit| Some(sum << 4 | char::from(*digit).to_digit(16)?))
}

/// An integer of at most 38 digits.
#[inline(always)]
pub fn integer(digits: &[u8], is_negative: bool) -> i128 {
    // 19 digits fit into 64 bits, which are much faster.
    let (head, tail) = digits.split_at(digits.len().min(19));
    let head = head.iter().fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    let absolute = tail.iter().fold(i128::from(head), |sum, digit| sum * 10 + i128::from(digit - b'0'));
    if is_negative { -absolute } else { absolute }
}

/// A double, of digits, a point, an exponent and signs alone.
pub fn parse_double(text: &[u8]) -> Option<f64> {
    let is_number = text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    std::str::from_utf8(text).ok().filter(|_| is_number)?.parse().ok()
}

/// How many bytes there are before a quote, a backslash or a control character, and whether they are ASCII.
#[inline(always)]
pub fn plain_run(text: &[u8]) -> (usize, bool) {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGH: u64 = ONES << 7;
    let mut seen = 0;
    let (words, rest) = text.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        // The lowest bit that is set is right; a borrow can set others above it only.
        let is_zero = |word: u64| word.wrapping_sub(ONES) & !word;
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let found = (is_zero(word ^ ONES * u64::from(b'"')) | is_zero(word ^ ONES * u64::from(b'\\')) | control) & HIGH;
        if found != 0 {
            let before = found.trailing_zeros() / 8;
            seen |= word & ((1_u64 << (before * 8)) - 1);
            return (index * 8 + before as usize, seen & HIGH == 0);
        }
        seen |= word;
    }
    let is_plain = |byte: &u8| !matches!(byte, b'"' | b'\\' | 0..0x20);
    let size = rest.iter().position(|byte| !is_plain(byte)).unwrap_or(rest.len());
    (words.len() * 8 + size, seen & HIGH == 0 && rest[..size].is_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skipped(text: &[u8]) -> Result<usize> {
        let mut reader = Reader::new(text);
        reader.peek();
        reader.skip()?;
        reader.end()?;
        assert_eq!(reader.nested, 0);
        Ok(reader.at)
    }

    #[test]
    fn what_is_json_is_stepped_over() {
        for text in [
            &br#"{"a":[1,{},[],{"b":null}],"c":"\u00e9\"\\","d":-0.5e+3}"#[..],
            b" [ ] ",
            b"\xef\xbb\xbf\t{\n}\r",
            b"true",
            b"\"\xff\xc3\"",
            b"[[[],[]],{\"\":[{}]},0,-0,1e5]",
        ] {
            assert_eq!(skipped(text), Ok(text.len()), "{}", text.escape_ascii());
        }
        for nested in [MAX_NESTED, MAX_NESTED + 1] {
            let text = [vec![b'['; nested], vec![b']'; nested]].concat();
            assert_eq!(skipped(&text).is_ok(), nested == MAX_NESTED);
        }
    }

    #[test]
    fn what_is_not_json_is_a_fault_with_its_place() {
        for (text, at) in [
            (&b""[..], 0),
            (b"{", 1),
            (b"[1,]", 3),
            (b"[,1]", 1),
            (b"[1 2]", 3),
            (b"[1}", 2),
            (b"{\"a\":1]", 6),
            (b"{\"a\" 1}", 5),
            (b"{\"a\":}", 5),
            (b"{1:2}", 1),
            (b"{\"a\":1,}", 7),
            (b"01", 1),
            (b"-", 1),
            (b"1.", 2),
            (b".5", 0),
            (b"1e", 2),
            (b"+1", 0),
            (b"NaN", 0),
            (b"nul", 0),
            (b"\"a", 2),
            (b"\"a\nb\"", 2),
            (b"\"\\x\"", 1),
            (b"\"\\u12g4\"", 1),
            (b"\"\\", 1),
            (b"1 1", 2),
            (b"\xef\xbb\xbf\xef\xbb\xbf1", 3),
            (b"\xff", 0),
            (b"[1]\0", 3),
        ] {
            assert_eq!(skipped(text).map_err(|fault| fault.at), Err(at), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn a_run_ends_at_the_first_byte_that_is_not_plain() {
        for size in 0..40 {
            for end in [b'"', b'\\', 0, 0x1f] {
                for fill in [b'a', 0x20, 0x7f, b'!', b'#', b'[', b']'] {
                    let text = [vec![fill; size], vec![end], vec![b'"'; 9]].concat();
                    assert_eq!(plain_run(&text), (size, true));
                    if size > 0 {
                        let mut text = text;
                        text[size / 2] = 0x80;
                        assert_eq!(plain_run(&text), (size, false));
                        text.truncate(size);
                        assert_eq!(plain_run(&text), (size, false));
                    }
                }
            }
        }
    }
}
