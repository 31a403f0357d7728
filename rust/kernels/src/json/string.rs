//! Strings as they stand in a text: where they end, and what their escapes mean.

use std::borrow::Cow;

/// The inside of a string, as it was written.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    pub raw: &'a [u8],
    pub has_escapes: bool,
    pub is_ascii: bool,
}

impl<'a> Text<'a> {
    /// As bytes that can be taken as they are; None where something has to be done to them.
    #[inline(always)]
    pub fn plain(&self) -> Option<&'a [u8]> {
        (!self.has_escapes && self.is_ascii).then_some(self.raw)
    }

    /// As UTF-8.
    #[inline(always)]
    pub fn content(&self) -> Cow<'a, [u8]> {
        self.plain().map_or_else(|| Cow::Owned(self.written()), Cow::Borrowed)
    }

    #[cold]
    fn written(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.raw.len());
        self.write(&mut out);
        out
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

/// The size of the escape that begins with this backslash; None for one that there is not.
pub fn escape_size(text: &[u8]) -> Option<usize> {
    match text.get(1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
        b'u' => hex4(text.get(2..)?).map(|_| 6),
        _ => None,
    }
}

fn hex4(text: &[u8]) -> Option<u32> {
    let digits = text.first_chunk::<4>()?;
    digits.iter().try_fold(0, |sum, digit| Some(sum << 4 | char::from(*digit).to_digit(16)?))
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
        let found =
            (is_zero(word ^ (ONES * u64::from(b'"'))) | is_zero(word ^ (ONES * u64::from(b'\\'))) | control) & HIGH;
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
