//! The messages of both versions, read as series.

use std::collections::HashMap;

use super::announced::Family;
use super::{Reason, Version};
use crate::otlp::{Kind, Message};
use crate::values::messages;
use crate::wire::{Content, Fields, plain_attribute, varint};

/// More labels than this no series has, and no larger ones: a reference of a byte can stand for a megabyte.
const MAX_LABELS: usize = 4096;
const MAX_LABEL_BYTES: usize = 1 << 20;

const O: Kind = Kind::Other;
const T: Kind = Kind::Text;
const SPANS: Kind = Kind::Message(&SPAN);

pub static REQUEST_V1: Message = Message(&[O, Kind::Message(&SERIES_V1), O, Kind::Message(&FAMILY_V1)]);
static SERIES_V1: Message =
    Message(&[O, Kind::Message(&LABEL), Kind::Message(&FLAT), Kind::Message(&EXEMPLAR_V1), Kind::Message(&HISTOGRAM)]);
static FAMILY_V1: Message = Message(&[O, O, T, O, T, T]);
static LABEL: Message = Message(&[O, T, T]);
static EXEMPLAR_V1: Message = Message(&[O, Kind::Message(&LABEL)]);
/// A message of numbers alone.
static FLAT: Message = Message(&[]);

pub static REQUEST_V2: Message = Message(&[O, O, O, O, T, Kind::Message(&SERIES_V2)]);
static SERIES_V2: Message = Message(&[
    O,
    Kind::Varints,
    Kind::Message(&FLAT),
    Kind::Message(&HISTOGRAM),
    Kind::Message(&EXEMPLAR_V2),
    Kind::Message(&FLAT),
]);
static EXEMPLAR_V2: Message = Message(&[O, Kind::Varints]);

static HISTOGRAM: Message = Message(&[
    O,
    O,
    O,
    O,
    O,
    O,
    O,
    O,
    SPANS,
    Kind::Varints,
    Kind::Fixed64s,
    SPANS,
    Kind::Varints,
    Kind::Fixed64s,
    O,
    O,
    Kind::Fixed64s,
]);
static SPAN: Message = Message(&[]);

/// Names and values.
pub type Labels<'a> = Vec<(&'a [u8], &'a [u8])>;

/// A sample: times in milliseconds, the bits of the value.
#[derive(Clone, Copy)]
pub struct Sample {
    pub start: i64,
    pub time: i64,
    pub value: u64,
}

/// What stands in a series.
#[derive(Default)]
pub struct Series<'a> {
    pub labels: Labels<'a>,
    pub samples: Vec<Sample>,
    pub histograms: Vec<&'a [u8]>,
    pub exemplars: Vec<&'a [u8]>,
    pub family: Family<'a>,
    /// When it began, in milliseconds, where its points do not say.
    pub created: i64,
    fault: Option<Reason>,
}

/// A request whose strings are UTF-8.
pub struct Request<'a> {
    pub version: Version,
    body: &'a [u8],
    symbols: Vec<&'a [u8]>,
    /// What 1.0 tells of families apart from their series, in order.
    pub families: Vec<(&'a [u8], Family<'a>)>,
    by_name: HashMap<&'a [u8], usize>,
}

impl<'a> Request<'a> {
    /// Read what is not a series.
    pub fn read(version: Version, body: &'a [u8]) -> Self {
        let mut request = Self { version, body, symbols: vec![], families: vec![], by_name: HashMap::new() };
        match version {
            Version::V1 => messages(body, 3).for_each(|message| request.add_family(message)),
            Version::V2 => request.symbols.extend(messages(body, 4)),
        }
        request
    }

    fn add_family(&mut self, message: &'a [u8]) {
        let (mut name, mut family) = (&b""[..], Family::default());
        for field in Fields::new(message) {
            match (field.number, field.content) {
                (1, Content::Varint(number)) => family.type_number = number as u32,
                (2, Content::Length(text)) => name = text,
                (4, Content::Length(text)) => family.help = text,
                (5, Content::Length(text)) => family.unit = text,
                _ => {}
            }
        }
        if !name.is_empty() {
            self.by_name.insert(name, self.families.len());
            self.families.push((name, family));
        }
    }

    /// What this request tells of a family.
    pub fn family(&self, name: &[u8]) -> Option<Family<'a>> {
        self.by_name.get(name).map(|&index| self.families[index].1)
    }

    /// The messages of all series.
    pub fn series(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        messages(self.body, if self.version == Version::V1 { 1 } else { 5 })
    }

    /// Whether a series has exemplars and no points.
    pub fn has_exemplars_alone(&self, message: &[u8]) -> bool {
        let (exemplars, histograms) = if self.version == Version::V1 { (3, 4) } else { (4, 3) };
        let mut found = false;
        for field in Fields::new(message).filter(|field| matches!(field.content, Content::Length(_))) {
            if field.number == 2 || field.number == histograms {
                return false;
            }
            found |= field.number == exemplars;
        }
        found
    }

    /// Read a series in the place of another one, whose room is used again.
    pub fn read_series(&self, message: &'a [u8], series: &mut Series<'a>) {
        series.labels.clear();
        series.samples.clear();
        series.histograms.clear();
        series.exemplars.clear();
        (series.family, series.created, series.fault) = (Family::default(), 0, None);
        match self.version {
            Version::V1 => {
                for field in Fields::new(message) {
                    match (field.number, field.content) {
                        (1, Content::Length(label)) => push_label(&mut series.labels, label),
                        (2, Content::Length(sample)) => series.samples.push(read_sample(sample, self.version)),
                        (3, Content::Length(exemplar)) => series.exemplars.push(exemplar),
                        (4, Content::Length(histogram)) => series.histograms.push(histogram),
                        _ => {}
                    }
                }
            }
            Version::V2 => self.read_series_of_refs(message, series),
        }
        if series.created != 0 {
            for sample in series.samples.iter_mut().filter(|sample| sample.start == 0) {
                sample.start = series.created;
            }
        }
    }

    fn read_series_of_refs(&self, message: &'a [u8], series: &mut Series<'a>) {
        let mut refs = Refs::new(&self.symbols);
        let (mut help, mut unit) = (0, 0);
        for field in Fields::new(message) {
            match (field.number, field.content) {
                (1, content) => refs.push(content, &mut series.labels),
                (2, Content::Length(sample)) => series.samples.push(read_sample(sample, self.version)),
                (3, Content::Length(histogram)) => series.histograms.push(histogram),
                (4, Content::Length(exemplar)) => series.exemplars.push(exemplar),
                (5, Content::Length(metadata)) => {
                    for field in Fields::new(metadata) {
                        match (field.number, field.content) {
                            (1, Content::Varint(number)) => series.family.type_number = number as u32,
                            (3, Content::Varint(index)) => help = index as u32,
                            (4, Content::Varint(index)) => unit = index as u32,
                            _ => {}
                        }
                    }
                }
                (6, Content::Varint(milli)) => series.created = milli as i64,
                _ => {}
            }
        }
        // Without metadata there need not be a symbol for its absence.
        let mut text = |index: u32| match self.symbols.get(index as usize) {
            Some(text) => *text,
            None => {
                refs.is_bad |= index > 0;
                &[]
            }
        };
        (series.family.help, series.family.unit) = (text(help), text(unit));
        series.fault = refs.fault();
    }

    /// The labels of an exemplar, those with a name and a value.
    pub fn exemplar_labels(&self, message: &'a [u8], labels: &mut Labels<'a>) -> Result<(), Reason> {
        labels.clear();
        let mut refs = Refs::new(&self.symbols);
        for field in Fields::new(message) {
            match (self.version, field.number, field.content) {
                (Version::V1, 1, Content::Length(label)) => push_label(labels, label),
                (Version::V2, 1, content) => refs.push(content, labels),
                _ => {}
            }
        }
        if refs.fault().is_some() || are_too_large(labels) {
            return Err(Reason::ExemplarLabels);
        }
        labels.retain(|(name, value)| !name.is_empty() && !value.is_empty());
        Ok(())
    }

    /// What is left of the strays, in the order of the series they came with.
    pub fn series_of_strays(&self, mut strays: HashMap<Labels<'a>, Vec<&'a [u8]>>) -> Vec<(Labels<'a>, Vec<&'a [u8]>)> {
        let mut left = vec![];
        let mut series = Series::default();
        for message in self.series() {
            if strays.is_empty() {
                break;
            }
            if self.has_exemplars_alone(message) {
                self.read_series(message, &mut series);
                if valid_labels(&mut series).is_ok() {
                    left.extend(strays.remove_entry(series.labels.as_slice()));
                }
            }
        }
        left
    }
}

/// References to symbols on their way to labels.
struct Refs<'a, 'b> {
    symbols: &'b [&'a [u8]],
    name: Option<&'a [u8]>,
    is_bad: bool,
    is_too_large: bool,
}

impl<'a, 'b> Refs<'a, 'b> {
    fn new(symbols: &'b [&'a [u8]]) -> Self {
        Self { symbols, name: None, is_bad: false, is_too_large: false }
    }

    /// Take the references of a field, packed or not.
    fn push(&mut self, content: Content, labels: &mut Labels<'a>) {
        match content {
            Content::Varint(index) => self.push_one(index, labels),
            Content::Length(packed) => {
                let mut at = 0;
                while let Ok((index, end)) = varint(packed, at) {
                    self.push_one(index, labels);
                    at = end;
                }
            }
            _ => {}
        }
    }

    fn push_one(&mut self, index: u64, labels: &mut Labels<'a>) {
        let Some(text) = self.symbols.get(index as u32 as usize) else {
            self.is_bad = true;
            return;
        };
        match self.name.take() {
            None => self.name = Some(text),
            Some(_) if labels.len() > MAX_LABELS => self.is_too_large = true,
            Some(name) => labels.push((name, text)),
        }
    }

    fn fault(&self) -> Option<Reason> {
        if self.is_bad || self.name.is_some() {
            return Some(Reason::Symbol);
        }
        self.is_too_large.then_some(Reason::Labels)
    }
}

fn push_label<'a>(labels: &mut Labels<'a>, message: &'a [u8]) {
    // A label looks like an attribute whose value is not wrapped.
    if let Some(label) = plain_attribute(message) {
        return labels.push(label);
    }
    let (mut name, mut value) = (&b""[..], &b""[..]);
    for field in Fields::new(message) {
        match (field.number, field.content) {
            (1, Content::Length(text)) => name = text,
            (2, Content::Length(text)) => value = text,
            _ => {}
        }
    }
    labels.push((name, value));
}

fn read_sample(message: &[u8], version: Version) -> Sample {
    let mut sample = Sample { start: 0, time: 0, value: 0 };
    for field in Fields::new(message) {
        match (field.number, field.content) {
            (1, Content::Fixed64(bits)) => sample.value = bits,
            (2, Content::Varint(milli)) => sample.time = milli as i64,
            (3, Content::Varint(milli)) if version == Version::V2 => sample.start = milli as i64,
            _ => {}
        }
    }
    sample
}

fn are_too_large(labels: &Labels) -> bool {
    let bytes = labels.iter().map(|(name, value)| name.len() + value.len());
    labels.len() > MAX_LABELS || bytes.sum::<usize>() > MAX_LABEL_BYTES
}

/// Bring the labels into order, without those that have no value: for Prometheus they are not there.
pub fn valid_labels(series: &mut Series) -> Result<(), Reason> {
    if let Some(fault) = series.fault {
        return Err(fault);
    }
    let labels = &mut series.labels;
    if are_too_large(labels) {
        return Err(Reason::Labels);
    }
    labels.retain(|(_, value)| !value.is_empty());
    if !labels.is_sorted_by(|(one, _), (other, _)| one < other) {
        labels.sort_by_key(|(name, _)| *name);
        if labels.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(Reason::DuplicateLabel);
        }
    }
    if labels.first().is_some_and(|(name, _)| name.is_empty()) {
        return Err(Reason::LabelName);
    }
    if !labels.iter().any(|(name, _)| *name == b"__name__") {
        return Err(Reason::NoName);
    }
    Ok(())
}
