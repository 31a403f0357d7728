//! RE2's syntax (github.com/google/re2/wiki/Syntax), read as Go's regexp reads it.

use regex_syntax::hir::{Capture, Hir, Look, Repetition};

use super::PatternError;
use super::classes::ranges;

/// Go allows 1000; nobody needs them, and what walks the tree must not run out of stack.
const MAX_DEPTH: u32 = 250;
/// Copies that repetitions inside one another may make of what is innermost.
const MAX_COPIES: u32 = 1000;

/// What a pattern says.
pub struct Parsed {
    pub hir: Hir,
    /// The names of the groups, without the whole match; None for a group without a name.
    pub groups: Vec<Option<Box<str>>>,
}

/// Read a pattern.
pub fn parse(pattern: &str) -> Result<Parsed, PatternError> {
    let flags = Flags { fold: false, multi_line: false, dot_all: false, swap_greed: false };
    let mut parser = Parser { pattern, at: 0, flags, groups: vec![], depth: 0, ranges: 0, has_no_more_posix: false };
    let whole = parser.alternation()?;
    if parser.at < pattern.len() {
        return Err(parser.fault("unexpected", parser.at, parser.at + 1));
    }
    Ok(Parsed { hir: whole.hir, groups: parser.groups })
}

#[derive(Clone, Copy)]
pub(super) struct Flags {
    /// `i`
    pub(super) fold: bool,
    /// `m`
    multi_line: bool,
    /// `s`
    dot_all: bool,
    /// `U`
    swap_greed: bool,
}

/// A part of the pattern that a repetition can stand behind.
pub(super) struct Part {
    pub(super) hir: Hir,
    /// How many copies of something repetitions make inside.
    pub(super) copies: u32,
}

impl Part {
    pub(super) fn new(hir: Hir) -> Self {
        Self { hir, copies: 1 }
    }
}

pub(super) struct Parser<'p> {
    pub(super) pattern: &'p str,
    pub(super) at: usize,
    pub(super) flags: Flags,
    groups: Vec<Option<Box<str>>>,
    depth: u32,
    pub(super) ranges: usize,
    /// There is no `:]` ahead; a search for each `[:` would take quadratic time.
    pub(super) has_no_more_posix: bool,
}

impl<'p> Parser<'p> {
    pub(super) fn rest(&self) -> &'p str {
        &self.pattern[self.at..]
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn take(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    pub(super) fn take_if(&mut self, text: &str) -> bool {
        let is_next = self.rest().starts_with(text);
        if is_next {
            self.at += text.len();
        }
        is_next
    }

    /// What is wrong, with the piece of the pattern that is.
    #[cold]
    pub(super) fn fault(&self, reason: &str, start: usize, end: usize) -> PatternError {
        PatternError::new(self.pattern, format!("{reason} `{}`", &self.pattern[start..end]), start)
    }

    fn alternation(&mut self) -> Result<Part, PatternError> {
        let first = self.concatenation()?;
        let mut copies = first.copies;
        let mut branches = vec![first.hir];
        while self.take_if("|") {
            let branch = self.concatenation()?;
            copies = copies.max(branch.copies);
            branches.push(branch.hir);
        }
        Ok(Part { hir: Hir::alternation(branches), copies })
    }

    fn concatenation(&mut self) -> Result<Part, PatternError> {
        let mut parts: Vec<Part> = vec![];
        // Where the repetition began that stands directly before, if one does.
        let mut repetition = None;
        while let Some(next) = self.peek() {
            let start = self.at;
            let before = repetition.take();
            match next {
                '|' | ')' => break,
                '(' => parts.extend(self.group()?),
                '*' | '+' | '?' => {
                    self.at += 1;
                    let bounds = match next {
                        '*' => (0, None),
                        '+' => (1, None),
                        _ => (0, Some(1)),
                    };
                    self.repeat(&mut parts, bounds, start, before)?;
                    repetition = Some(start);
                }
                '{' => match self.counts() {
                    Some(bounds) => {
                        self.repeat(&mut parts, bounds, start, before)?;
                        repetition = Some(start);
                    }
                    None => {
                        self.at += 1;
                        parts.push(self.literal('{')?);
                    }
                },
                '[' => parts.push(self.class()?),
                '.' => {
                    self.at += 1;
                    let any: &[(u32, u32)] =
                        if self.flags.dot_all { &[(0, 0x10ffff)] } else { &[(0, 9), (11, 0x10ffff)] };
                    parts.push(self.characters(ranges(any))?);
                }
                '^' | '$' => {
                    self.at += 1;
                    parts.push(Part::new(Hir::look(match (next, self.flags.multi_line) {
                        ('^', false) => Look::Start,
                        ('^', true) => Look::StartLF,
                        (_, false) => Look::End,
                        (_, true) => Look::EndLF,
                    })));
                }
                '\\' => self.escaped(&mut parts)?,
                _ => {
                    self.at += next.len_utf8();
                    parts.push(self.literal(next)?);
                }
            }
        }
        let copies = parts.iter().map(|part| part.copies).max().unwrap_or(1);
        Ok(Part { hir: Hir::concat(parts.into_iter().map(|part| part.hir).collect()), copies })
    }

    /// Repeat the last part; the operator began at `start`, and one directly before it at `before`.
    fn repeat(
        &mut self,
        parts: &mut Vec<Part>,
        (min, max): (u32, Option<u32>),
        start: usize,
        before: Option<usize>,
    ) -> Result<(), PatternError> {
        let greedy = self.take_if("?") == self.flags.swap_greed;
        if let Some(before) = before {
            return Err(self.fault("invalid nested repetition operator", before, self.at));
        }
        let Some(part) = parts.pop() else {
            return Err(self.fault("missing argument to repetition operator", start, self.at));
        };
        let most = max.unwrap_or(min);
        let is_counted = self.pattern[start..].starts_with('{');
        let copies = match max {
            Some(0) => 1,
            _ if is_counted => most.max(1).saturating_mul(part.copies),
            _ => part.copies,
        };
        let is_out_of_order = max.is_some_and(|max| min > max);
        if is_out_of_order || min > MAX_COPIES || most > MAX_COPIES || (min.max(most) > 1 && copies > MAX_COPIES) {
            return Err(self.fault(
                "invalid repetition count (at most 1000 copies, the smaller first)",
                start,
                self.at,
            ));
        }
        parts.push(Part { hir: Hir::repetition(Repetition { min, max, greedy, sub: Box::new(part.hir) }), copies });
        Ok(())
    }

    /// `{n}`, `{n,}` or `{n,m}`; anything else in braces is text.
    fn counts(&mut self) -> Option<(u32, Option<u32>)> {
        let rest = self.rest().strip_prefix('{')?;
        let inner = &rest[..rest.find(|next: char| !next.is_ascii_digit() && next != ',')?];
        if !rest[inner.len()..].starts_with('}') {
            return None;
        }
        let (min, max) = match inner.split_once(',') {
            None => (count(inner)?, Some(count(inner)?)),
            Some((min, "")) => (count(min)?, None),
            Some((min, max)) => (count(min)?, Some(count(max)?)),
        };
        self.at += inner.len() + 2;
        Some((min, max))
    }

    /// From an opening parenthesis to the closing one; None where it only sets flags.
    fn group(&mut self) -> Result<Option<Part>, PatternError> {
        let start = self.at;
        let outer = self.flags;
        self.at += 1;
        let mut index = None;
        if self.rest().starts_with('?') {
            if let Some(name) = self.name(start)? {
                self.groups.push(Some(name.into()));
                index = Some(self.groups.len());
            } else if !self.set_flags(start)? {
                return Ok(None);
            }
        } else {
            self.groups.push(None);
            index = Some(self.groups.len());
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(PatternError::new(self.pattern, format!("more than {MAX_DEPTH} groups in one another"), start));
        }
        let inner = self.alternation()?;
        if !self.take_if(")") {
            return Err(self.fault("missing closing ) of", start, self.pattern.len()));
        }
        self.depth -= 1;
        self.flags = outer;
        let hir = match index {
            // Names are kept here: Go lets two groups have the same.
            Some(index) => Hir::capture(Capture { index: index as u32, name: None, sub: Box::new(inner.hir) }),
            None => inner.hir,
        };
        Ok(Some(Part { hir, copies: inner.copies }))
    }

    /// The name in `(?P<name>` or `(?<name>`.
    fn name(&mut self, start: usize) -> Result<Option<&'p str>, PatternError> {
        let rest = &self.pattern[start..];
        let Some(text) = rest.strip_prefix("(?P<").or_else(|| rest.strip_prefix("(?<")) else {
            return Ok(None);
        };
        if rest.starts_with("(?<=") || rest.starts_with("(?<!") {
            return Err(self.fault("look-behind is not there in RE2:", start, start + 4));
        }
        let Some((name, _)) = text.split_once('>') else {
            return Err(self.fault("invalid named capture", start, self.pattern.len()));
        };
        self.at = start + (rest.len() - text.len()) + name.len() + 1;
        if name.is_empty() || !name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric()) {
            return Err(self.fault("invalid named capture", start, self.at));
        }
        Ok(Some(name))
    }

    /// `(?i)` sets flags up to the end of the group around it, and gives false; `(?i:` begins a group that has them.
    fn set_flags(&mut self, start: usize) -> Result<bool, PatternError> {
        self.at = start + 2;
        let mut flags = self.flags;
        let (mut value, mut is_complete) = (true, true);
        while let Some(next) = self.take() {
            match next {
                'i' => flags.fold = value,
                'm' => flags.multi_line = value,
                's' => flags.dot_all = value,
                'U' => flags.swap_greed = value,
                '-' if value => {
                    (value, is_complete) = (false, false);
                    continue;
                }
                ':' | ')' if is_complete => {
                    self.flags = flags;
                    return Ok(next == ':');
                }
                '=' | '!' if self.at == start + 3 => {
                    return Err(self.fault("look-ahead is not there in RE2:", start, self.at));
                }
                _ => break,
            }
            is_complete = true;
        }
        Err(self.fault("invalid or unsupported group", start, self.at))
    }

    /// What begins with a backslash outside of a class.
    fn escaped(&mut self, parts: &mut Vec<Part>) -> Result<(), PatternError> {
        let start = self.at;
        let look = match self.rest()[1..].chars().next() {
            Some('A') => Look::Start,
            Some('z') => Look::End,
            Some('b') => Look::WordAscii,
            Some('B') => Look::WordAsciiNegate,
            Some('C') => return Err(self.fault("a single byte of a character cannot be matched:", start, start + 2)),
            Some('Q') => {
                let text = &self.rest()[2..];
                let (quoted, length) = match text.split_once("\\E") {
                    Some((quoted, _)) => (quoted, quoted.len() + 2),
                    None => (text, text.len()),
                };
                for character in quoted.chars() {
                    parts.push(self.literal(character)?);
                }
                self.at += 2 + length;
                return Ok(());
            }
            _ => {
                let part = match self.named_class()? {
                    Some(class) => self.characters(class)?,
                    None => {
                        let point = self.escape()?;
                        self.point(point)?
                    }
                };
                parts.push(part);
                return Ok(());
            }
        };
        self.at += 2;
        parts.push(Part::new(Hir::look(look)));
        Ok(())
    }
}

/// A number of copies: digits without a leading zero. One that is far too large is no less wrong for being cut.
fn count(digits: &str) -> Option<u32> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let has_leading_zero = digits.len() > 1 && digits.starts_with('0');
    (is_number && !has_leading_zero).then(|| digits.parse().unwrap_or(u32::MAX))
}
