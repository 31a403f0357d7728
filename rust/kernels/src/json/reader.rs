//! JSON as text (RFC 8259), read from front to back without a tree.
//!
//! It is strict but for two things that senders do: a byte order mark, and strings that are not UTF-8 or have halves of
//! surrogate pairs, which become U+FFFD.

use super::number::{Number, parse_number};
use super::string::{Text, escape_size, plain_run};

/// Arrays and objects in one another.
pub const MAX_NESTED: usize = 1024;

/// Why a text is no JSON, and where.
#[derive(Debug, PartialEq, Eq)]
pub struct NotJson {
    pub reason: &'static str,
    pub at: usize,
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
                    match escape_size(&self.data[self.at..]) {
                        Some(size) => self.at += size,
                        None => return self.fault("an escape that there is not"),
                    }
                }
                Some(_) => return self.fault("a control character in a string"),
                None => return self.unexpected(),
            }
        }
        let raw = &self.data[start..self.at];
        self.at += 1;
        Ok(Text { raw, has_escapes, is_ascii })
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

    fn number(&mut self) -> Result<Number> {
        match parse_number(&self.data[self.at..]) {
            Ok((number, size)) => {
                self.at += size;
                Ok(number)
            }
            Err(size) => {
                self.at += size;
                self.unexpected()
            }
        }
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
}
