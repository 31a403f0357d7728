//! Cut a payload into smaller ones without reading its items.

use super::otlp::Signal;
use super::validate::{count, is_inside};
use super::wire::{Field, Fields, MAX_DEPTH, Malformed, push_delimited};

/// A message on the way to the items: its field number and all of it that is not on the way.
struct Owner {
    id: usize,
    number: u32,
    header: Vec<u8>,
}

/// An owner in the part that is being written.
struct Open {
    id: usize,
    number: u32,
    body: Vec<u8>,
}

struct Splitter<'a> {
    payload: &'a [u8],
    max_items: usize,
    /// Below what is never cut.
    inside: &'static [&'static [u32]],
    /// Bytes of owners, each time they were begun.
    repeated: usize,
    owners: Vec<Owner>,
    next_id: usize,
    open: Vec<Open>,
    items: usize,
    parts: Vec<Vec<u8>>,
}

/// Owners may be repeated to so many bytes: a sender could make much of little.
const MAX_REPEATED_BYTES: usize = 256 * 1024 * 1024;

/// Payloads of at most `max_items` items, in order; what owns the items is repeated in each part.
///
/// A profile is never cut: one of more samples is a part by itself.
pub fn split(signal: Signal, payload: &[u8], max_items: usize) -> Result<Vec<Vec<u8>>, Malformed> {
    let (outside, inside) = signal.levels().split_at(signal.unit());
    let mut splitter = Splitter {
        payload,
        max_items,
        inside,
        repeated: 0,
        owners: vec![],
        next_id: 0,
        open: vec![],
        items: 0,
        parts: vec![],
    };
    splitter.descend(0, 0, payload.len(), outside)?;
    splitter.close_part();
    Ok(splitter.parts)
}

impl Splitter<'_> {
    /// Take what is below the owner with this field number, which is in `start..end`.
    fn descend(&mut self, number: u32, start: usize, end: usize, levels: &[&[u32]]) -> Result<(), Malformed> {
        let Some((numbers, below)) = levels.split_first() else { return Ok(()) };
        let mut header = Vec::new();
        let mut inside: Vec<Field> = Vec::new();
        let mut fields = Fields::within(self.payload, start, end, MAX_DEPTH);
        while let Some(field) = fields.read()? {
            if is_inside(&field, numbers) {
                if inside.last().is_some_and(|last| last.number != field.number) {
                    // Of a oneof the last member counts, and begins anew.
                    inside.clear();
                }
                inside.push(field);
            } else {
                header.extend_from_slice(&self.payload[field.start..field.end]);
            }
        }
        self.owners.push(Owner { id: self.next_id, number, header });
        self.next_id += 1;
        if inside.is_empty() {
            self.open_owners()?;
        }
        for field in inside {
            if below.is_empty() {
                self.take(&field)?;
            } else {
                self.descend(field.number, field.body, field.end, below)?;
            }
        }
        self.owners.pop();
        Ok(())
    }

    /// Put what is not cut into the open part, or into a new one where there is no room for its items.
    fn take(&mut self, field: &Field) -> Result<(), Malformed> {
        let items = count(self.payload, field.body, field.end, self.inside)?;
        if self.items > 0 && self.items + items > self.max_items {
            self.close_part();
        }
        self.open_owners()?;
        if let Some(owner) = self.open.last_mut() {
            owner.body.extend_from_slice(&self.payload[field.start..field.end]);
        }
        self.items += items;
        Ok(())
    }

    /// Make the open owners those of the present item.
    fn open_owners(&mut self) -> Result<(), Malformed> {
        let shared = self.open.iter().zip(&self.owners).take_while(|(open, owner)| open.id == owner.id).count();
        self.close(shared);
        let missing = self.owners[shared..].iter();
        self.repeated += missing.clone().map(|owner| owner.header.len()).sum::<usize>();
        if self.repeated > MAX_REPEATED_BYTES {
            return Err(Malformed::new("what owns the items would be repeated to more than 256 MiB", 0));
        }
        self.open.extend(missing.map(|o| Open { id: o.id, number: o.number, body: o.header.clone() }));
        Ok(())
    }

    /// Put the innermost owners into those around them until `keep` are left.
    fn close(&mut self, keep: usize) {
        while self.open.len() > keep {
            let Some(closed) = self.open.pop() else { return };
            match self.open.last_mut() {
                Some(around) => push_delimited(&mut around.body, closed.number, &closed.body),
                None => self.parts.push(closed.body),
            }
        }
    }

    fn close_part(&mut self) {
        self.close(0);
        self.items = 0;
    }
}
