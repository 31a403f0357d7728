//! Regular expressions as RE2 and Go's regexp understand them: linear time, leftmost-first, no look-around.
//!
//! A text is UTF-8. Bytes that are not may be searched as well: no character of a pattern matches them (Go takes each
//! for U+FFFD).

mod characters;
mod classes;
mod syntax;

use std::fmt;
use std::sync::{Mutex, PoisonError};

use regex_automata::meta::{Cache, Config, Regex};
use regex_automata::nfa::thompson::WhichCaptures;
use regex_automata::util::primitives::NonMaxUsize;
use regex_automata::{Input, MatchKind};
use regex_syntax::hir::{Hir, Look};

/// Of a pattern's text, in bytes.
const MAX_LENGTH: usize = 1 << 17;
/// Of a compiled pattern, in bytes; another such program may be made of it to search backwards.
const MAX_PROGRAM: usize = 16 << 20;

/// A pattern that cannot be used, and where that shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError {
    reason: String,
    /// In characters, from 0; None for what concerns the whole.
    at: Option<usize>,
}

impl PatternError {
    /// With the byte at which it shows.
    #[cold]
    fn new(pattern: &str, reason: String, at: usize) -> Self {
        Self { reason, at: Some(pattern[..at].chars().count()) }
    }
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A hostile or generated pattern may be long.
        match self.reason.char_indices().nth(200) {
            Some((end, _)) => write!(f, "{}…", &self.reason[..end])?,
            None => f.write_str(&self.reason)?,
        }
        self.at.map_or(Ok(()), |at| write!(f, ", at character {}", at + 1))
    }
}

/// Where a match has to lie.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    Anywhere,
    Whole,
}

/// A compiled pattern.
pub struct Pattern {
    regex: Regex,
    groups: Vec<Option<Box<str>>>,
    /// Whether it could match between the bytes of a character, which only `\B` does.
    may_split: bool,
    /// What a search writes to, for the next one to use.
    caches: Mutex<Vec<Cache>>,
}

impl Pattern {
    /// Compile; memory and time are bounded whatever the pattern is.
    pub fn new(pattern: &str, extent: Extent) -> Result<Self, PatternError> {
        if pattern.len() > MAX_LENGTH {
            return Err(PatternError { reason: format!("longer than {MAX_LENGTH} bytes"), at: None });
        }
        let syntax::Parsed { hir, groups } = syntax::parse(pattern)?;
        let hir = match extent {
            Extent::Anywhere => hir,
            Extent::Whole => Hir::concat(vec![Hir::look(Look::Start), hir, Hir::look(Look::End)]),
        };
        let properties = hir.properties();
        let may_split = properties.minimum_len() == Some(0) && properties.look_set().contains(Look::WordAsciiNegate);
        let config = Config::new()
            .match_kind(MatchKind::LeftmostFirst)
            // The engine's own way is for valid UTF-8 alone.
            .utf8_empty(false)
            .which_captures(WhichCaptures::All)
            .nfa_size_limit(Some(MAX_PROGRAM));
        let regex = Regex::builder().configure(config).build_from_hir(&hir).map_err(|error| PatternError {
            reason: match error.size_limit() {
                Some(limit) => format!("too large: it would need more than {} MiB when compiled", limit >> 20),
                None => format!("cannot be compiled: {error}"),
            },
            at: None,
        })?;
        Ok(Self { regex, groups, may_split, caches: Mutex::default() })
    }

    /// The names of the groups in order, without the whole match; None for one without a name.
    pub fn groups(&self) -> &[Option<Box<str>>] {
        &self.groups
    }

    /// What searches, as often as wanted.
    pub fn matcher(&self) -> Matcher<'_> {
        let cache = self.caches.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Matcher { pattern: self, cache: Some(cache.unwrap_or_else(|| self.regex.create_cache())), slots: vec![] }
    }
}

/// Of one match the places of the whole and of every group, None for a group that took no part.
pub type Places = Vec<Option<(usize, usize)>>;

/// A pattern with what a search needs; one thread at a time can use it.
pub struct Matcher<'p> {
    pattern: &'p Pattern,
    cache: Option<Cache>,
    slots: Vec<Option<NonMaxUsize>>,
}

impl Matcher<'_> {
    /// Whether the pattern matches.
    #[inline]
    pub fn is_match(&mut self, text: &[u8]) -> bool {
        if self.pattern.may_split {
            return self.captures(text).is_some();
        }
        let input = Input::new(text).earliest(true);
        self.cache.as_mut().is_some_and(|cache| self.pattern.regex.search_half_with(cache, &input).is_some())
    }

    /// Of the first match the places of the whole and of every group, None for a group that took no part.
    pub fn captures(&mut self, text: &[u8]) -> Option<Places> {
        self.captures_from(text, 0)
    }

    /// Of every match, as Go's `FindAll` tells them: none overlap, and an empty one does not touch the one before.
    pub fn all_captures(&mut self, text: &[u8]) -> Vec<Places> {
        let mut found = vec![];
        let (mut from, mut last_end) = (0, None);
        while from <= text.len() {
            let Some(places) = self.captures_from(text, from) else { break };
            let Some(Some((start, end))) = places.first().copied() else { break };
            let is_apart = end > from || last_end != Some(start);
            from = if end > from { end } else { from + character_size(&text[from..]) };
            last_end = Some(end);
            if is_apart {
                found.push(places);
            }
        }
        found
    }

    fn captures_from(&mut self, text: &[u8], mut from: usize) -> Option<Places> {
        loop {
            self.slots.clear();
            self.slots.resize(2 + 2 * self.pattern.groups.len(), None);
            let cache = self.cache.as_mut()?;
            let input = Input::new(text).range(from..);
            self.pattern.regex.search_slots_with(cache, &input, &mut self.slots)?;
            let mut places = self.slots.chunks_exact(2).map(|pair| Some((pair[0]?.get(), pair[1]?.get())));
            let (start, end) = places.next()??;
            if self.pattern.may_split && start == end && is_inside_character(text, start) {
                from = start + 1;
                continue;
            }
            return Some(std::iter::once(Some((start, end))).chain(places).collect());
        }
    }
}

/// Of the character that a text begins with, 1 where it is none.
fn character_size(text: &[u8]) -> usize {
    let longest = text.len().min(4);
    (1..=longest).find(|&size| std::str::from_utf8(&text[..size]).is_ok()).unwrap_or(1)
}

/// Whether a character begins before a place and ends behind it.
fn is_inside_character(text: &[u8], at: usize) -> bool {
    (1..=at.min(3)).any(|back| {
        let rest = &text[at - back..];
        (back + 1..=rest.len().min(4))
            .any(|length| std::str::from_utf8(&rest[..length]).is_ok_and(|character| character.chars().count() == 1))
    })
}

impl Drop for Matcher<'_> {
    fn drop(&mut self) {
        if let Some(cache) = self.cache.take() {
            self.pattern.caches.lock().unwrap_or_else(PoisonError::into_inner).push(cache);
        }
    }
}
