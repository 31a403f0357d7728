//! Single characters and classes of them: escape sequences, brackets, names.

use regex_syntax::hir::{Class, ClassUnicode, Hir};

use super::PatternError;
use super::classes::{perl, posix, ranges, unicode};
use super::syntax::{Parser, Part};

/// Ranges of characters in all classes together: a name of three bytes can stand for hundreds.
const MAX_RANGES: usize = 1 << 20;

impl Parser<'_> {
    /// `\d`, `\pN` and the like, None where there is none.
    pub(super) fn named_class(&mut self) -> Result<Option<ClassUnicode>, PatternError> {
        let start = self.at;
        let Some(letter) = self.rest().strip_prefix('\\').and_then(|rest| rest.chars().next()) else {
            return Ok(None);
        };
        if let Some(class) = perl(letter.to_ascii_lowercase()) {
            self.at += 2;
            return Ok(Some(self.folded(class, letter.is_ascii_uppercase())));
        }
        if !matches!(letter, 'p' | 'P') {
            return Ok(None);
        }
        let rest = &self.rest()[2..];
        let (name, length) = match rest.strip_prefix('{') {
            Some(inner) => match inner.split_once('}') {
                Some((name, _)) => (name, name.len() + 2),
                None => return Err(self.fault("missing closing } of", start, self.pattern.len())),
            },
            None => {
                let length = rest.chars().next().map_or(0, char::len_utf8);
                (&rest[..length], length)
            }
        };
        self.at += 2 + length;
        let (name, is_inverted) = match name.strip_prefix('^') {
            Some(name) => (name, true),
            None => (name, false),
        };
        match unicode(name) {
            Some(class) => Ok(Some(self.folded(class, (letter == 'P') != is_inverted))),
            None => Err(self.fault("no Unicode category or script is called", start, self.at)),
        }
    }

    /// `[…]`
    pub(super) fn class(&mut self) -> Result<Part, PatternError> {
        let start = self.at;
        self.at += 1;
        let is_negated = self.take_if("^");
        let mut class = ClassUnicode::empty();
        let mut bounds = vec![];
        let mut is_first = true;
        while is_first || !self.rest().starts_with(']') {
            is_first = false;
            if let Some(named) = self.posix_class()? {
                self.count_ranges(named.ranges().len(), start)?;
                class.union(&named);
                continue;
            }
            if let Some(named) = self.named_class()? {
                self.count_ranges(named.ranges().len(), start)?;
                class.union(&named);
                continue;
            }
            let first_at = self.at;
            let first = self.class_point(start)?;
            let mut last = first;
            let mut after = self.rest().chars();
            if after.next() == Some('-') && after.next().is_some_and(|next| next != ']') {
                self.at += 1;
                last = self.class_point(start)?;
                if last < first {
                    return Err(self.fault("invalid character class range", first_at, self.at));
                }
            }
            bounds.push((first, last));
        }
        self.at += 1;
        let single = ranges(&bounds);
        let single = self.folded(single, false);
        class.union(&single);
        if is_negated {
            class.negate();
        }
        self.characters(class)
    }

    /// A code point in a class, which began at `start`.
    fn class_point(&mut self, start: usize) -> Result<u32, PatternError> {
        match self.peek() {
            None => Err(self.fault("missing closing ] of", start, self.pattern.len())),
            Some('\\') => self.escape(),
            Some(character) => {
                self.at += character.len_utf8();
                Ok(character.into())
            }
        }
    }

    /// `[:name:]` or `[:^name:]` in a class; None where there is none.
    fn posix_class(&mut self) -> Result<Option<ClassUnicode>, PatternError> {
        let start = self.at;
        let Some(rest) = self.rest().strip_prefix("[:").filter(|_| !self.has_no_more_posix) else {
            return Ok(None);
        };
        let Some((name, _)) = rest.split_once(":]") else {
            self.has_no_more_posix = true;
            return Ok(None);
        };
        self.at += name.len() + 4;
        match posix(name.strip_prefix('^').unwrap_or(name)) {
            Some(class) => Ok(Some(self.folded(class, name.starts_with('^')))),
            None => Err(self.fault("no class is called", start, self.at)),
        }
    }

    /// The code point that an escape sequence stands for.
    pub(super) fn escape(&mut self) -> Result<u32, PatternError> {
        let start = self.at;
        self.at += 1;
        let Some(letter) = self.take() else {
            return Err(self.fault("trailing backslash in", 0, self.pattern.len()));
        };
        let point = match letter {
            '0'..='7' => {
                let digits = self.rest().bytes().take(2).take_while(|byte| (b'0'..b'8').contains(byte)).count();
                if letter != '0' && digits == 0 {
                    return Err(self.fault("back references are not there in RE2:", start, self.at));
                }
                self.at += digits;
                u32::from_str_radix(&self.pattern[start + 1..self.at], 8).ok()
            }
            'x' => self.hexadecimal(),
            'a' => Some(7),
            'f' => Some(0xc),
            'n' => Some(0xa),
            'r' => Some(0xd),
            't' => Some(9),
            'v' => Some(0xb),
            _ if letter.is_ascii() && !letter.is_ascii_alphanumeric() => Some(letter.into()),
            _ => None,
        };
        point.ok_or_else(|| self.fault("invalid escape sequence", start, self.at))
    }

    /// `7F` or `{10FFFF}` behind `\x`.
    fn hexadecimal(&mut self) -> Option<u32> {
        let rest = self.rest();
        let (digits, length) = match rest.strip_prefix('{') {
            Some(inner) => inner.split_once('}').map(|(digits, _)| (digits, digits.len() + 2))?,
            None => (rest.get(..2)?, 2),
        };
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        self.at += length;
        // Any number of zeros may stand before it.
        let point = u32::from_str_radix(digits.trim_start_matches('0'), 16);
        point
            .or_else(|fault| if digits.bytes().all(|byte| byte == b'0') { Ok(0) } else { Err(fault) })
            .ok()
            .filter(|&point| point <= 0x10ffff)
    }

    pub(super) fn literal(&mut self, character: char) -> Result<Part, PatternError> {
        self.point(character.into())
    }

    /// One character, in either case where that makes no difference.
    pub(super) fn point(&mut self, point: u32) -> Result<Part, PatternError> {
        if self.flags.fold {
            let class = self.folded(ranges(&[(point, point)]), false);
            return self.characters(class);
        }
        Ok(Part::new(match char::from_u32(point) {
            Some(character) => Hir::literal(character.encode_utf8(&mut [0; 4]).as_bytes()),
            None => Hir::fail(),
        }))
    }

    /// The class as the flags have it: first folded, then inverted.
    fn folded(&self, mut class: ClassUnicode, is_inverted: bool) -> ClassUnicode {
        if self.flags.fold {
            class.case_fold_simple();
        }
        if is_inverted {
            class.negate();
        }
        class
    }

    pub(super) fn characters(&mut self, class: ClassUnicode) -> Result<Part, PatternError> {
        self.count_ranges(class.ranges().len(), self.at)?;
        Ok(Part::new(Hir::class(Class::Unicode(class))))
    }

    fn count_ranges(&mut self, more: usize, at: usize) -> Result<(), PatternError> {
        self.ranges += more;
        if self.ranges > MAX_RANGES {
            return Err(PatternError::new(self.pattern, "too many large classes".to_owned(), at));
        }
        Ok(())
    }
}
