//! Columns, filled item by item.

use super::super::columns::LowCardinality;
use super::super::fields::{Datum, Found, Level, Quick, Spotted};
use super::super::trail::Wanted;
use super::super::values::{Attribute, Value, messages, write_base64};
use super::super::view::Item;
use super::array::{Array, Bits, Buffer, Texts, Validity, list_end};
use super::map::Maps;
use super::{Column, Kind, TooLarge};

/// A column in the making.
pub struct Builder<'c> {
    column: &'c Column,
    quick: Option<Quick>,
    length: usize,
    validity: Validity,
    values: Values,
    /// Of a repeated level the number of elements up to the end of each item, behind a 0.
    ends: Option<Vec<u32>>,
    text: Vec<u8>,
}

/// What is there, in as many rows as the column has.
enum Values {
    Texts(Texts),
    Dictionary(LowCardinality),
    Bools(Bits),
    /// Four bytes each, and what makes them of a value.
    Fours(Vec<u32>, fn(Datum) -> Option<u32>),
    /// Eight bytes each, and what makes them of a value.
    Eights(Vec<u64>, fn(Datum) -> Option<u64>),
    Binary(Texts),
    Maps(Maps),
    Lists(Lists),
}

/// Lists of numbers, or of several numbers each.
struct Lists {
    ends: Vec<u32>,
    parts: Vec<Vec<u64>>,
    /// Append an element to the parts.
    push: fn(Value, &mut [Vec<u64>]),
}

impl<'c> Builder<'c> {
    /// With room for so many items; asks for what is to be spotted in them.
    pub fn new(column: &'c Column, items: usize, wanted: &mut Wanted) -> Self {
        let room = if column.source.level.is_repeated() { 0 } else { items };
        let ends = column.source.level.is_repeated().then(|| vec![0]);
        let lists = |parts, push| Values::Lists(Lists { ends: vec![0], parts: vec![vec![]; parts], push });
        let fours = |number| Values::Fours(Vec::with_capacity(room), number);
        let eights = |number| Values::Eights(Vec::with_capacity(room), number);
        let values = match column.kind {
            Kind::Text => Values::Texts(Texts::default()),
            Kind::Dictionary => Values::Dictionary(LowCardinality::default()),
            Kind::Bool => Values::Bools(Bits::default()),
            Kind::Int32 => fours(|datum| Some(i32::try_from(whole(datum)?).ok()? as u32)),
            Kind::Uint32 => fours(|datum| u32::try_from(whole(datum)?).ok()),
            Kind::Int64 => eights(|datum| Some(i64::try_from(whole(datum)?).ok()? as u64)),
            Kind::Uint64 => eights(|datum| u64::try_from(whole(datum)?).ok()),
            Kind::Float64 => eights(|datum| match datum {
                Datum::Double(number) => Some(number.to_bits()),
                _ => Some((whole(datum)? as f64).to_bits()),
            }),
            // 0 is how OTLP says that a time is not known.
            Kind::Timestamp => eights(|datum| {
                let time = i64::try_from(whole(datum)?).ok().filter(|time| *time != 0)?;
                Some(time as u64)
            }),
            Kind::Binary => Values::Binary(Texts::default()),
            Kind::Map => Values::Maps(Maps::default()),
            Kind::Uint64List | Kind::Float64List => lists(1, |value, parts| parts[0].push(bits(&value))),
            Kind::QuantileList => lists(2, |value, parts| {
                if let Value::Map(entries) = value {
                    let numbers = messages(&entries, 1).map(|entry| bits(&Attribute::read(entry).value));
                    parts.iter_mut().zip(numbers).for_each(|(part, number)| part.push(number));
                }
            }),
        };
        let (quick, validity) = (column.source.quick(wanted), Validity::default());
        Self { column, quick, length: 0, validity, values, ends, text: vec![] }
    }

    /// The level of messages that it is filled from.
    #[inline(always)]
    pub fn level(&self) -> Level {
        self.column.source.level.min(Level::Item)
    }

    /// Add what a message has, for so many items; of an item's own is spotted what was asked for.
    #[inline(always)]
    pub fn push(&mut self, item: &Item, spotted: &Spotted, times: usize) -> Result<(), TooLarge> {
        if let Some(ends) = self.ends.take() {
            return self.push_elements(item, ends);
        }
        if let Some(quick) = self.quick
            && let Ok(found) = quick.read(spotted)
        {
            return self.push_datum(found, times);
        }
        self.push_read(item, &[], times)
    }

    /// Add a row with what the elements of an item have.
    fn push_elements(&mut self, item: &Item, mut ends: Vec<u32>) -> Result<(), TooLarge> {
        for element in self.column.source.level.elements(item) {
            self.push_read(item, element, 1)?;
        }
        ends.push(list_end(self.length)?);
        self.ends = Some(ends);
        Ok(())
    }

    fn push_read(&mut self, item: &Item, element: &[u8], times: usize) -> Result<(), TooLarge> {
        if times == 0 {
            return Ok(());
        }
        if let Values::Maps(maps) = &mut self.values
            && let Some(entries) = self.column.source.attributes(item, element)
        {
            maps.push(entries, times)?;
            self.end_rows(true, times);
            return Ok(());
        }
        let found = self.column.source.read(item, element);
        self.push_datum(found.as_ref().map(Found::datum), times)
    }

    #[inline(always)]
    fn push_datum(&mut self, found: Option<Datum>, times: usize) -> Result<(), TooLarge> {
        if times == 0 {
            return Ok(());
        }
        let is_there = match &mut self.values {
            Values::Texts(texts) => {
                let text = found.map(|datum| text(datum, self.column, &mut self.text));
                texts.push(text.unwrap_or_default(), times)?;
                text.is_some()
            }
            Values::Dictionary(texts) => {
                let text = found.map(|datum| text(datum, self.column, &mut self.text));
                texts.push(text.unwrap_or_default());
                texts.repeat(times - 1);
                text.is_some()
            }
            Values::Bools(bits) => {
                let bit = if let Some(Datum::Bool(bit)) = found { Some(bit) } else { None };
                bits.push(bit.unwrap_or_default(), times);
                bit.is_some()
            }
            Values::Fours(numbers, number) => {
                let number = found.and_then(*number);
                numbers.resize(numbers.len() + times, number.unwrap_or_default());
                number.is_some()
            }
            Values::Eights(numbers, number) => {
                let number = found.and_then(*number);
                numbers.resize(numbers.len() + times, number.unwrap_or_default());
                number.is_some()
            }
            Values::Binary(texts) => {
                let bytes = if let Some(Datum::Bytes(bytes) | Datum::Id(bytes)) = found { Some(bytes) } else { None };
                texts.push(bytes.unwrap_or_default(), times)?;
                bytes.is_some()
            }
            Values::Maps(maps) => {
                if let Some(Datum::Map(entries)) = found {
                    maps.push(messages(entries, 1), times)?;
                    true
                } else {
                    maps.push_empty(times);
                    false
                }
            }
            Values::Lists(lists) => {
                let is_there = matches!(found, Some(Datum::Array(_)));
                (0..times).try_for_each(|_| lists.push(found))?;
                is_there
            }
        };
        self.end_rows(is_there, times);
        Ok(())
    }

    #[inline(always)]
    fn end_rows(&mut self, are_there: bool, times: usize) {
        self.validity.push(are_there, times);
        self.length += times;
    }

    /// The column as an array.
    pub fn finish(self) -> Result<Array, TooLarge> {
        let (length, validity) = (self.length, self.validity);
        let array = match self.values {
            Values::Texts(texts) => Array::new(length, validity, texts.into_text()?),
            Values::Dictionary(found) => {
                let mut texts = Texts::default();
                found.texts().try_for_each(|text| texts.push(text, 1))?;
                let dictionary = Array::full(texts.count(), texts.into_text()?);
                let rows = Array::new(length, validity, [Buffer::Fours(found.into_rows())]);
                Array { dictionary: Some(Box::new(dictionary)), ..rows }
            }
            Values::Bools(bits) => Array::new(length, validity, [bits.into_buffer()]),
            Values::Fours(numbers, _) => Array::new(length, validity, [Buffer::Fours(numbers)]),
            Values::Eights(numbers, _) => Array::new(length, validity, [Buffer::Eights(numbers)]),
            Values::Binary(texts) => Array::new(length, validity, texts.into_binary()),
            Values::Maps(maps) => maps.finish(length, validity)?,
            Values::Lists(lists) => lists.finish(length, validity),
        };
        Ok(match self.ends {
            Some(ends) => Array::full(ends.len() - 1, [Buffer::Fours(ends)]).with(vec![array]),
            None => array,
        })
    }
}

impl Lists {
    /// Add a row.
    fn push(&mut self, found: Option<Datum>) -> Result<(), TooLarge> {
        let list = if let Some(Datum::Array(values)) = found { Some(values) } else { None };
        for value in list.into_iter().flat_map(|values| messages(values, 1)) {
            (self.push)(Value::read(value), &mut self.parts);
        }
        self.ends.push(list_end(self.parts[0].len())?);
        Ok(())
    }

    fn finish(self, length: usize, validity: Validity) -> Array {
        let count = self.parts[0].len();
        let mut parts: Vec<_> = self.parts.into_iter().map(|part| Array::full(count, [Buffer::Eights(part)])).collect();
        let elements = match parts.pop() {
            Some(part) if parts.is_empty() => part,
            last => Array::full(count, []).with(parts.into_iter().chain(last).collect()),
        };
        Array::new(length, validity, [Buffer::Fours(self.ends)]).with(vec![elements])
    }
}

fn whole(datum: Datum) -> Option<i128> {
    if let Datum::Whole(number) = datum { Some(number) } else { None }
}

/// Those of a number; a whole one that was wrapped to 63 bits with a sign is what it was.
fn bits(value: &Value) -> u64 {
    match value {
        Value::Int(number) => *number as u64,
        Value::Double(number) => number.to_bits(),
        _ => 0,
    }
}

/// The text of a value, as `View::attribute` has it, but with words for numbers; `room` is to write it in.
#[inline(always)]
fn text<'v>(datum: Datum<'v>, column: &'v Column, room: &'v mut Vec<u8>) -> &'v [u8] {
    if let Datum::Text(text) = datum {
        return text;
    }
    if let Datum::Whole(number) = datum
        && let Some(word) = usize::try_from(number).ok().and_then(|number| column.words.get(number))
    {
        return word.as_bytes();
    }
    room.clear();
    match datum {
        Datum::Bytes(bytes) => write_base64(bytes, room),
        _ => datum.write_text(room),
    }
    room
}
