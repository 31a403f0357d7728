//! Samples as the bodies of remote-write requests.

use std::collections::HashMap;

use super::native::{NativeHistogram, Spans};
use super::{Exemplar, Samples, Value, pairs};
use crate::remote_write::Version;
use crate::wire::{push_delimited, push_varint};

/// Bodies of at most `max_bytes` each, but for a series that is larger by itself; series stay in one piece.
///
/// With `metadata` the bodies of 1.0 begin with the families; those of 2.0 have them with their series.
pub fn encode(samples: &Samples, version: Version, max_bytes: usize, metadata: bool) -> Vec<Vec<u8>> {
    let mut bodies = vec![];
    let mut body = Body::default();
    if version == Version::V1 && metadata {
        for family in &samples.families {
            let mut message = vec![];
            push_number(&mut message, 0x08, family.type_number.into());
            push_text(&mut message, 2, &family.name);
            push_text(&mut message, 4, &family.help);
            push_text(&mut message, 5, &family.unit);
            let mut field = vec![];
            push_delimited(&mut field, 3, &message);
            if !body.is_empty() && body.size_with(&field, &[]) > max_bytes {
                body.flush(&mut bodies);
            }
            body.add(&field, vec![]);
        }
        body.flush(&mut bodies);
    }
    let (points, exemplars) = by_series(samples);
    for series in 0..samples.series() {
        let of_series = (points[series].as_slice(), exemplars[series].as_slice());
        let (mut field, mut new) = series_field(samples, series, of_series, version, &body.symbols);
        if !body.is_empty() && body.size_with(&field, &new) > max_bytes {
            body.flush(&mut bodies);
            (field, new) = series_field(samples, series, of_series, version, &body.symbols);
        }
        body.add(&field, new);
    }
    body.flush(&mut bodies);
    bodies
}

/// A series as a field of its request, and the symbols that it adds to those that are known.
fn series_field(
    samples: &Samples,
    series: usize,
    of_series: (&[usize], &[usize]),
    version: Version,
    known: &HashMap<Vec<u8>, u32>,
) -> (Vec<u8>, Vec<Vec<u8>>) {
    let mut symbols = Symbols { known, new: vec![], places: HashMap::new() };
    let (mut message, mut field) = (vec![], vec![]);
    write_series(samples, series, of_series, version, &mut symbols, &mut message);
    push_delimited(&mut field, if version == Version::V1 { 1 } else { 5 }, &message);
    (field, symbols.new.into_iter().map(<[u8]>::to_vec).collect())
}

/// Which points and exemplars each series has.
fn by_series(samples: &Samples) -> (Vec<Vec<usize>>, Vec<Vec<usize>>) {
    let mut points = vec![vec![]; samples.series()];
    let mut exemplars = points.clone();
    samples.points.iter().enumerate().for_each(|(index, point)| points[point.0 as usize].push(index));
    samples.exemplars.iter().enumerate().for_each(|(index, (series, _))| exemplars[*series as usize].push(index));
    (points, exemplars)
}

/// A request in the making.
#[derive(Default)]
struct Body {
    symbols: HashMap<Vec<u8>, u32>,
    table: Vec<u8>,
    fields: Vec<u8>,
}

impl Body {
    fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    fn size_with(&self, field: &[u8], new: &[Vec<u8>]) -> usize {
        let symbols: usize = new.iter().map(|text| delimited_size(text)).sum();
        self.table.len() + self.fields.len() + field.len() + symbols
    }

    fn add(&mut self, field: &[u8], new: Vec<Vec<u8>>) {
        for text in new {
            push_delimited(&mut self.table, 4, &text);
            self.symbols.insert(text, self.symbols.len() as u32);
        }
        self.fields.extend_from_slice(field);
    }

    fn flush(&mut self, bodies: &mut Vec<Vec<u8>>) {
        if !self.is_empty() {
            bodies.push([std::mem::take(&mut self.table), std::mem::take(&mut self.fields)].concat());
            self.symbols.clear();
        }
    }
}

/// How many bytes a text takes as a field with a number below 16.
fn delimited_size(text: &[u8]) -> usize {
    1 + (usize::BITS - (text.len() | 1).leading_zeros()).div_ceil(7) as usize + text.len()
}

/// The symbols of a body, and those that a series adds.
struct Symbols<'a, 'k> {
    known: &'k HashMap<Vec<u8>, u32>,
    new: Vec<&'a [u8]>,
    places: HashMap<&'a [u8], u32>,
}

impl<'a> Symbols<'a, '_> {
    fn index(&mut self, text: &'a [u8]) -> u32 {
        if self.known.is_empty() && self.new.is_empty() {
            self.add(b"");
        }
        match self.known.get(text).or_else(|| self.places.get(text)) {
            Some(&index) => index,
            None => self.add(text),
        }
    }

    fn add(&mut self, text: &'a [u8]) -> u32 {
        let index = (self.known.len() + self.new.len()) as u32;
        self.new.push(text);
        self.places.insert(text, index);
        index
    }
}

fn write_series<'a>(
    samples: &'a Samples,
    series: usize,
    (points, exemplars): (&[usize], &[usize]),
    version: Version,
    symbols: &mut Symbols<'a, '_>,
    out: &mut Vec<u8>,
) {
    let labels = pairs(&samples.labels[series]);
    match version {
        Version::V1 => labels.iter().for_each(|label| push_label(out, label)),
        Version::V2 => push_refs(out, labels.iter().copied(), symbols),
    }
    let (histograms_tag, exemplars_tag) = if version == Version::V1 { (4, 3) } else { (3, 4) };
    let write_exemplars = |out: &mut Vec<u8>, symbols: &mut Symbols<'a, '_>| {
        for &index in exemplars {
            let mut message = vec![];
            write_exemplar(&samples.exemplars[index].1, version, symbols, &mut message);
            push_delimited(out, exemplars_tag, &message);
        }
    };
    for (_, start, time, value) in points.iter().map(|&index| &samples.points[index]) {
        if let Value::Sample(value) = value {
            let mut message = vec![];
            push_double(&mut message, 0x09, *value);
            push_number(&mut message, 0x10, *time as u64);
            if version == Version::V2 {
                push_number(&mut message, 0x18, *start as u64);
            }
            push_delimited(out, 2, &message);
        }
    }
    if version == Version::V1 {
        write_exemplars(out, symbols);
    }
    for (_, start, time, value) in points.iter().map(|&index| &samples.points[index]) {
        if let Value::Histogram(histogram) = value {
            let mut message = vec![];
            let start = if version == Version::V2 { *start } else { 0 };
            write_histogram(histogram, start, *time, &mut message);
            push_delimited(out, histograms_tag, &message);
        }
    }
    if version == Version::V2 {
        write_exemplars(out, symbols);
        let family = &samples.families[samples.family_of[series] as usize];
        let mut message = vec![];
        push_number(&mut message, 0x08, family.type_number.into());
        push_number(&mut message, 0x18, symbols.index(&family.help).into());
        push_number(&mut message, 0x20, symbols.index(&family.unit).into());
        push_delimited(out, 5, &message);
    }
}

fn write_exemplar<'a>(exemplar: &'a Exemplar, version: Version, symbols: &mut Symbols<'a, '_>, out: &mut Vec<u8>) {
    let labels = exemplar.labels.iter().map(|(name, value)| (name.as_slice(), value.as_slice()));
    match version {
        Version::V1 => labels.for_each(|label| push_label(out, &label)),
        Version::V2 => push_refs(out, labels, symbols),
    }
    push_double(out, 0x11, exemplar.value);
    push_number(out, 0x18, exemplar.time as u64);
}

fn write_histogram(histogram: &NativeHistogram, start: i64, time: i64, out: &mut Vec<u8>) {
    // Zeros in a oneof are written: they say which member it is.
    out.push(0x08);
    push_varint(out, histogram.count);
    push_double(out, 0x19, histogram.sum);
    push_number(out, 0x20, zigzag(histogram.schema.into()));
    push_double(out, 0x29, histogram.zero_threshold);
    out.push(0x30);
    push_varint(out, histogram.zero_count);
    write_side(&histogram.negative, 8, out);
    write_side(&histogram.positive, 11, out);
    push_number(out, 0x78, time as u64);
    if start != 0 {
        out.extend_from_slice(&[0x88, 0x01]);
        push_varint(out, start as u64);
    }
}

fn write_side(side: &Spans, number: u32, out: &mut Vec<u8>) {
    for &(offset, length) in &side.spans {
        let mut message = vec![];
        push_number(&mut message, 0x08, zigzag(offset.into()) as u32 as u64);
        push_number(&mut message, 0x10, length.into());
        push_delimited(out, number, &message);
    }
    if !side.deltas.is_empty() {
        let mut packed = vec![];
        side.deltas.iter().for_each(|&delta| push_varint(&mut packed, zigzag(delta)));
        push_delimited(out, number + 1, &packed);
    }
}

fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63) as u64
}

fn push_label(out: &mut Vec<u8>, (name, value): &(&[u8], &[u8])) {
    // Most labels are short: their sizes take a byte each.
    if !name.is_empty() && !value.is_empty() && name.len() + value.len() < 0x7c {
        out.extend_from_slice(&[0x0a, (name.len() + value.len() + 4) as u8, 0x0a, name.len() as u8]);
        out.extend_from_slice(name);
        out.extend_from_slice(&[0x12, value.len() as u8]);
        return out.extend_from_slice(value);
    }
    let mut message = vec![];
    push_text(&mut message, 1, name);
    push_text(&mut message, 2, value);
    push_delimited(out, 1, &message);
}

fn push_refs<'a>(out: &mut Vec<u8>, labels: impl Iterator<Item = (&'a [u8], &'a [u8])>, symbols: &mut Symbols<'a, '_>) {
    let mut packed = vec![];
    for text in labels.flat_map(|(name, value)| [name, value]) {
        push_varint(&mut packed, symbols.index(text).into());
    }
    if !packed.is_empty() {
        push_delimited(out, 1, &packed);
    }
}

fn push_text(out: &mut Vec<u8>, number: u32, text: &[u8]) {
    if !text.is_empty() {
        push_delimited(out, number, text);
    }
}

fn push_number(out: &mut Vec<u8>, tag: u8, number: u64) {
    if number != 0 {
        out.push(tag);
        push_varint(out, number);
    }
}

fn push_double(out: &mut Vec<u8>, tag: u8, number: f64) {
    if number.to_bits() != 0 {
        out.push(tag);
        out.extend_from_slice(&number.to_le_bytes());
    }
}
