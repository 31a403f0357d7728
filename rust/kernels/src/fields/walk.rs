//! The way through a message, past the fields that are not looked for.

use super::super::wire::{Content, Field, Fields, MAX_DEPTH};

/// The fields of a message with a number, for a message that passed `validate`.
pub struct Walk<'a> {
    data: &'a [u8],
    at: usize,
    number: u32,
}

impl<'a> Walk<'a> {
    pub fn new(data: &'a [u8], number: u32) -> Self {
        Self { data, at: 0, number }
    }

    /// The content of the next field that is length-delimited.
    #[inline(always)]
    pub fn next_delimited(&mut self) -> Option<&'a [u8]> {
        loop {
            if let Some(&[tag, size]) = self.data.get(self.at..)?.first_chunk()
                && u32::from(tag) == self.number << 3 | 2
                && size < 0x80
            {
                let body = self.at + 2;
                self.at = body + usize::from(size);
                return self.data.get(body..self.at);
            }
            if self.skip() {
                continue;
            }
            match self.read()? {
                Field { number, content: Content::Length(content), .. } if number == self.number => {
                    return Some(content);
                }
                _ => {}
            }
        }
    }

    /// Pass a field whose tag and length have one byte each, as nearly all have; false for others.
    #[inline(always)]
    fn skip(&mut self) -> bool {
        let Some(&[tag, size]) = self.data.get(self.at..).and_then(<[u8]>::first_chunk) else { return false };
        let length = match tag & 7 {
            2 if size < 0x80 => 2 + usize::from(size),
            1 => 9,
            0 if size < 0x80 => 2,
            5 => 5,
            _ => return false,
        };
        if tag >= 0x80 {
            return false;
        }
        self.at += length;
        true
    }

    /// The field here, of whatever form.
    fn read(&mut self) -> Option<Field<'a>> {
        let field = Fields::within(self.data, self.at, self.data.len(), MAX_DEPTH).next()?;
        self.at = field.end;
        Some(field)
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Field<'a>;

    #[inline(always)]
    fn next(&mut self) -> Option<Field<'a>> {
        loop {
            let tag = *self.data.get(self.at)?;
            if u32::from(tag >> 3) == self.number && tag < 0x80 || !self.skip() {
                let field = self.read()?;
                if field.number == self.number {
                    return Some(field);
                }
            }
        }
    }
}
