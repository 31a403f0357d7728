//! What can be read of an item on one way through it, together with whatever else is asked of the same one.

use super::super::otlp::Signal;
use super::super::trail::{Hit, Trail, Wanted};
use super::super::view::item_attributes;
use super::super::wire::{Content, Field};
use super::scalars::At;
use super::{Datum, Level, Read, Source, Unusual};

/// The numbers that attributes of items have are below.
const MAX_ATTRIBUTES: usize = 16;

/// How a source is read out of what was spotted in an item.
#[derive(Clone, Copy)]
pub enum Quick {
    /// By the number of its key.
    Attribute(usize),
    At(At),
    Duration,
}

/// What was seen of the fields and attributes that were looked for in one item.
pub struct Spotted<'a> {
    /// By the numbers of the keys.
    attributes: Vec<Seen<&'a [u8]>>,
    missing: usize,
    fields: Vec<(u32, Seen<Field<'a>>)>,
}

#[derive(Clone, Copy)]
enum Seen<T> {
    Nothing,
    Once(T),
    /// Several times where the last one counts, or not in the form in which nearly all is written.
    Unusual,
}

impl Source {
    /// How it can be read on the way through an item, and ask for it there; None where it cannot.
    pub fn quick(&self, wanted: &mut Wanted) -> Option<Quick> {
        if self.level != Level::Item || !self.path.is_empty() {
            return None;
        }
        match &self.read {
            Read::Attribute(key) => Some(Quick::Attribute(wanted.key(key))),
            Read::At(at) if at.is_single() => {
                wanted.field(at.outer());
                Some(Quick::At(*at))
            }
            Read::Duration => {
                [7, 8].iter().for_each(|number| wanted.field(*number));
                Some(Quick::Duration)
            }
            _ => None,
        }
    }
}

impl Quick {
    /// What an item has there; an error for what has to be read as a whole.
    #[inline(always)]
    pub fn read<'a>(&self, spotted: &Spotted<'a>) -> Result<Option<Datum<'a>>, Unusual> {
        match self {
            Self::Attribute(number) => match spotted.attributes[*number] {
                Seen::Nothing => Ok(None),
                Seen::Once(value) => Datum::plain(value).map(Some).ok_or(Unusual),
                Seen::Unusual => Err(Unusual),
            },
            Self::At(at) => Ok(at.read_field(spotted.field(at.outer())?)),
            Self::Duration => {
                let [start, end] =
                    [spotted.field(7)?, spotted.field(8)?].map(|field| match field.map(|field| field.content) {
                        Some(Content::Fixed64(time)) => i128::from(time),
                        _ => 0,
                    });
                Ok(Some(Datum::Whole(end - start)))
            }
        }
    }
}

/// Spots in one item after the other all that is wanted.
pub struct Spotter<'a> {
    /// With the number of the attributes of the items that are looked at.
    wanted: Wanted,
    /// By the number of the attributes, on which it depends what is another field.
    trails: [Trail; MAX_ATTRIBUTES],
    spotted: Spotted<'a>,
}

impl<'a> Spotter<'a> {
    /// Of items that are yet to come.
    pub fn new(wanted: &Wanted) -> Self {
        Self { wanted: wanted.clone(), trails: Default::default(), spotted: Spotted::new(wanted) }
    }

    /// The items that follow are of this signal, and points of data of this kind.
    #[inline(always)]
    pub fn expect(&mut self, signal: Signal, kind: u32) {
        if !self.wanted.keys().is_empty() {
            self.wanted.attributes = item_attributes(signal, kind);
        }
    }

    /// See what an item has of all that is wanted, on one way through it.
    #[inline(never)]
    pub fn spot(&mut self, message: &'a [u8]) {
        if self.wanted.is_empty() {
            return;
        }
        self.spotted.clear();
        let (spotted, number) = (&mut self.spotted, self.wanted.attributes as usize);
        self.trails[number % MAX_ATTRIBUTES].walk(message, &self.wanted, |hit| spotted.note(hit));
    }

    /// What the last item had of it.
    #[inline(always)]
    pub fn spotted(&self) -> &Spotted<'a> {
        &self.spotted
    }
}

impl<'a> Spotted<'a> {
    /// Room for what is wanted.
    fn new(wanted: &Wanted) -> Self {
        let fields = wanted.fields().map(|number| (number, Seen::Nothing)).collect();
        Self { attributes: vec![Seen::Nothing; wanted.keys().len()], missing: 0, fields }
    }

    /// Begin with another item.
    #[inline(always)]
    fn clear(&mut self) {
        self.missing = self.attributes.len();
        self.attributes.iter_mut().for_each(|seen| *seen = Seen::Nothing);
        self.fields.iter_mut().for_each(|(_, seen)| *seen = Seen::Nothing);
    }

    /// Take note of what was found, and tell whether to go on: of attributes the first counts, of fields the last.
    #[inline(always)]
    fn note(&mut self, hit: Hit<'a>) -> bool {
        match hit {
            Hit::Attribute(entry) => {
                if let Some(number) = entry.number
                    && matches!(self.attributes[number], Seen::Nothing)
                {
                    self.attributes[number] = entry.plain.map_or(Seen::Unusual, |(_, value)| Seen::Once(value));
                    self.missing -= 1;
                }
                self.missing > 0 || !self.fields.is_empty()
            }
            Hit::Field(field) => {
                if let Some((_, seen)) = self.fields.iter_mut().find(|(number, _)| *number == field.number) {
                    *seen = if matches!(seen, Seen::Nothing) { Seen::Once(field) } else { Seen::Unusual };
                }
                true
            }
        }
    }

    #[inline(always)]
    fn field(&self, number: u32) -> Result<Option<&Field<'a>>, Unusual> {
        match self.fields.iter().find(|(known, _)| *known == number) {
            Some((_, Seen::Once(field))) => Ok(Some(field)),
            Some((_, Seen::Unusual)) => Err(Unusual),
            _ => Ok(None),
        }
    }
}
