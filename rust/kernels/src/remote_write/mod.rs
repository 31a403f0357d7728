//! Prometheus remote write 1.0 and 2.0 as OTLP.
//!
//! What becomes of what is told in `airis.data.reference.remote_write`.

mod announced;
mod histogram;
mod request;
mod tree;

use std::collections::HashMap;

pub use announced::{Announced, Learned};
use announced::{Family, family_of};
use histogram::Histogram;
use request::{Labels, REQUEST_V1, REQUEST_V2, Request, Series, valid_labels};
use tree::{Data, Exemplars, Place, Tree, nano};

use super::validate::{check, repair};
use super::wire::{Content, Fields, MAX_DEPTH, Malformed};

/// Bits of the value of a stale marker.
pub(crate) const STALE_MARKER: u64 = 0x7ff0_0000_0000_0002;
const MAX_NAME_CHARS: usize = 100;

/// A version of the protocol.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Version {
    V1,
    V2,
}

impl Version {
    /// By its number.
    pub fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::V1),
            2 => Some(Self::V2),
            _ => None,
        }
    }
}

/// Why something was left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    Symbol,
    Labels,
    LabelName,
    DuplicateLabel,
    NoName,
    Empty,
    Time,
    HistogramSchema,
    HistogramBuckets,
    HistogramCount,
    HistogramGauge,
    HistogramFraction,
    HistogramWidth,
    ExemplarLabels,
    ExemplarAlone,
}

/// All reasons with their names, in the order in which they are told.
pub const REASONS: [(Reason, &str); 15] = [
    (Reason::Symbol, "symbol"),
    (Reason::Labels, "labels"),
    (Reason::LabelName, "label_name"),
    (Reason::DuplicateLabel, "duplicate_label"),
    (Reason::NoName, "no_name"),
    (Reason::Empty, "empty"),
    (Reason::Time, "time"),
    (Reason::HistogramSchema, "histogram_schema"),
    (Reason::HistogramBuckets, "histogram_buckets"),
    (Reason::HistogramCount, "histogram_count"),
    (Reason::HistogramGauge, "histogram_gauge"),
    (Reason::HistogramFraction, "histogram_fraction"),
    (Reason::HistogramWidth, "histogram_width"),
    (Reason::ExemplarLabels, "exemplar_labels"),
    (Reason::ExemplarAlone, "exemplar_alone"),
];

/// What a request became.
#[derive(Default)]
pub struct Written {
    pub payload: Vec<u8>,
    /// Data points in the payload.
    pub items: usize,
    /// Samples, histograms and exemplars that were taken.
    pub samples: usize,
    pub histograms: usize,
    pub exemplars: usize,
    pub repaired: usize,
    /// By reason how much was left out, and the name of the first metric that it happened to.
    pub left_out: [(usize, String); REASONS.len()],
    pub learned: Learned,
}

impl Written {
    fn leave_out(&mut self, reason: Reason, count: usize, labels: &Labels) {
        let (total, first) = &mut self.left_out[reason as usize];
        if *total == 0 {
            let mut names = labels.iter().filter(|(name, value)| *name == b"__name__" && !value.is_empty());
            let name = names.next().map_or(&b""[..], |(_, value)| value);
            *first = String::from_utf8_lossy(name).chars().take(MAX_NAME_CHARS).collect();
        }
        *total += count;
    }
}

/// The value of a label.
fn label<'a>(labels: &Labels<'a>, name: &[u8]) -> Option<&'a [u8]> {
    labels.iter().find(|(other, _)| *other == name).map(|(_, value)| *value)
}

/// The OTLP metrics of a decompressed request; it is refused when they would be larger than `limit`.
pub fn from_remote_write(
    version: Version,
    body: &[u8],
    announced: &Announced,
    limit: usize,
) -> Result<Written, Malformed> {
    let layout = if version == Version::V1 { &REQUEST_V1 } else { &REQUEST_V2 };
    let mut written = Written::default();
    let repaired = match check(body, layout)? {
        0 => None,
        _ => repair(body, 0, body.len(), layout, MAX_DEPTH, &mut written.repaired)?,
    };
    let request = Request::read(version, repaired.as_deref().unwrap_or(body));
    let mut strays = strays(&request);
    let mut tree = Tree::new(limit);
    let mut series = Series::default();
    let mut room = vec![];
    for message in request.series() {
        request.read_series(message, &mut series);
        if let Err(reason) = valid_labels(&mut series) {
            let count = (series.samples.len() + series.histograms.len()).max(1);
            written.leave_out(reason, count, &series.labels);
            alone(&mut written, &series.exemplars, &series.labels);
        } else if series.samples.is_empty() && series.histograms.is_empty() {
            if series.exemplars.is_empty() {
                written.leave_out(Reason::Empty, 1, &series.labels);
            }
        } else if is_target(&series.labels) {
            learn(&mut written, &series, &mut tree)?;
        } else {
            let stray = if strays.is_empty() { None } else { strays.remove(series.labels.as_slice()) };
            series.exemplars.extend(stray.unwrap_or_default());
            let conversion = Conversion { request: &request, announced, tree: &mut tree, written: &mut written };
            room = conversion.series(&series, room)?;
        }
    }
    for (labels, exemplars) in request.series_of_strays(strays) {
        alone(&mut written, &exemplars, &labels);
    }
    for (name, family) in &request.families {
        written.learned.families.push((name.to_vec(), family.owned()));
    }
    written.payload = tree.finish(&written.learned, announced);
    Ok(written)
}

fn alone(written: &mut Written, exemplars: &[&[u8]], labels: &Labels) {
    if !exemplars.is_empty() {
        written.leave_out(Reason::ExemplarAlone, exemplars.len(), labels);
    }
}

type Strays<'a> = HashMap<Labels<'a>, Vec<&'a [u8]>>;

/// Exemplars that came apart from the points of their series, as Prometheus sends them.
fn strays<'a>(request: &Request<'a>) -> Strays<'a> {
    let mut strays = Strays::new();
    let mut series = Series::default();
    for message in request.series().filter(|message| request.has_exemplars_alone(message)) {
        request.read_series(message, &mut series);
        if valid_labels(&mut series).is_ok() {
            strays.entry(series.labels.clone()).or_default().append(&mut series.exemplars);
        }
    }
    strays
}

/// Whether a series says what a target is.
fn is_target(labels: &Labels) -> bool {
    let is_identified = labels.iter().any(|(name, _)| [&b"job"[..], b"instance"].contains(name));
    label(labels, b"__name__") == Some(b"target_info") && is_identified
}

/// Remember what a target is; its resource has it.
fn learn(written: &mut Written, series: &Series, tree: &mut Tree) -> Result<(), Malformed> {
    let of = |name: &[u8]| label(&series.labels, name).unwrap_or_default().to_vec();
    let is_other = |name: &[u8]| ![&b"__name__"[..], b"job", b"instance"].contains(&name);
    let is_stale = series.samples.last().is_some_and(|sample| sample.value == STALE_MARKER);
    let kept = series.labels.iter().filter(|(name, _)| is_other(name) && !is_stale);
    let attributes: Vec<_> = kept.map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
    tree.spend(attributes.iter().map(|(name, value)| name.len() + value.len()).sum())?;
    written.learned.targets.insert((of(b"job"), of(b"instance")), attributes);
    written.samples += series.samples.len();
    written.histograms += series.histograms.len();
    alone(written, &series.exemplars, &series.labels);
    Ok(())
}

/// A request on its way to OTLP.
struct Conversion<'a, 'b> {
    request: &'b Request<'a>,
    announced: &'b Announced,
    tree: &'b mut Tree,
    written: &'b mut Written,
}

impl Conversion<'_, '_> {
    /// Add the points of a series; gives the buffer back.
    fn series(mut self, series: &Series, room: Vec<u8>) -> Result<Vec<u8>, Malformed> {
        let mut exemplars = self.exemplars(series);
        let name = label(&series.labels, b"__name__").unwrap_or_default();
        let announced = family_of(self.request, self.announced, name, series.family);
        let place = Place::new(&series.labels, name, announced, room);
        let mut taken = 0;
        if !series.samples.is_empty() {
            self.samples(series, &place, &announced, &mut exemplars)?;
            taken = exemplars.taken;
        }
        if !series.histograms.is_empty() {
            self.histograms(series, &place, &mut exemplars)?;
            taken = taken.max(exemplars.taken);
        }
        self.written.exemplars += taken;
        let lost = exemplars.list.len() - taken;
        if lost > 0 {
            self.written.leave_out(Reason::ExemplarAlone, lost, &series.labels);
        }
        Ok(place.into_room())
    }

    fn samples(
        &mut self,
        series: &Series,
        place: &Place,
        family: &Family,
        exemplars: &mut Exemplars,
    ) -> Result<(), Malformed> {
        if !exemplars.list.is_empty() {
            let times: Vec<_> = series.samples.iter().map(|sample| nano(sample.time)).collect();
            exemplars.assign(&times);
        }
        let data = Data::of_samples(place.name, family.type_number);
        let mut metric = None;
        for (index, sample) in series.samples.iter().enumerate() {
            let Some(time) = nano(sample.time) else {
                self.written.leave_out(Reason::Time, 1, &series.labels);
                continue;
            };
            let metric = match metric {
                Some(metric) => metric,
                None => *metric.insert(self.tree.metric(place, data)?),
            };
            let start = nano(sample.start).unwrap_or(0);
            self.tree.push_sample(metric, place, start, time, sample.value, exemplars.of(index))?;
            self.written.samples += 1;
            self.written.items += 1;
        }
        Ok(())
    }

    fn histograms(&mut self, series: &Series, place: &Place, exemplars: &mut Exemplars) -> Result<(), Malformed> {
        let version = self.request.version;
        let found: Vec<_> = series.histograms.iter().map(|message| Histogram::read(version, message)).collect();
        // Exemplars go to the samples where there are any.
        let times: Vec<_> = found.iter().map(|found| found.as_ref().ok().map(|histogram| histogram.time)).collect();
        if exemplars.taken == 0 {
            exemplars.assign(&times);
        } else {
            exemplars.assigned = vec![None; exemplars.list.len()];
        }
        for (index, found) in found.into_iter().enumerate() {
            match found {
                Err(reason) => self.written.leave_out(reason, 1, &series.labels),
                Ok(mut histogram) => {
                    if histogram.start == 0 {
                        histogram.start = nano(series.created).unwrap_or(0);
                    }
                    let data = if histogram.is_explicit() { Data::Explicit } else { Data::Exponential };
                    let metric = self.tree.metric(place, data)?;
                    self.tree.push_histogram(metric, place, &histogram, exemplars.of(index))?;
                    self.written.histograms += 1;
                    self.written.items += 1;
                }
            }
        }
        Ok(())
    }

    /// The exemplars of a series as OTLP.
    fn exemplars(&mut self, series: &Series) -> Exemplars {
        let mut exemplars = Exemplars::default();
        let mut labels = vec![];
        for message in &series.exemplars {
            match self.request.exemplar_labels(message, &mut labels) {
                Err(reason) => self.written.leave_out(reason, 1, &series.labels),
                Ok(()) => exemplars.list.push(exemplar(message, &labels)),
            }
        }
        exemplars
    }
}

/// The time of an exemplar, 0 where OTLP cannot have it, and its message.
fn exemplar(message: &[u8], labels: &Labels) -> (u64, Vec<u8>) {
    let (mut value, mut time) = (0, 0);
    for field in Fields::new(message) {
        match (field.number, field.content) {
            (2, Content::Fixed64(bits)) => value = bits,
            (3, Content::Varint(milli)) => time = milli as i64,
            _ => {}
        }
    }
    let time = nano(time).unwrap_or(0);
    let (mut trace_id, mut span_id, mut attributes) = (None, None, vec![]);
    for &(name, text) in labels {
        match name {
            b"trace_id" if trace_id.is_none() && id::<16>(text).is_some() => trace_id = id::<16>(text),
            b"span_id" if span_id.is_none() && id::<8>(text).is_some() => span_id = id::<8>(text),
            _ => tree::push_attribute(&mut attributes, 0x3a, name, text),
        }
    }
    let mut out = vec![];
    if time > 0 {
        tree::push_fixed(&mut out, 0x11, time);
    }
    tree::push_fixed(&mut out, 0x19, value);
    if let Some(span_id) = span_id {
        tree::push_bytes(&mut out, 0x22, &span_id);
    }
    if let Some(trace_id) = trace_id {
        tree::push_bytes(&mut out, 0x2a, &trace_id);
    }
    out.extend_from_slice(&attributes);
    (time, out)
}

/// An id in hexadecimal digits; None for another text and for zeros.
fn id<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_chunks::<2>().0) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = (digit(digits[0])? << 4 | digit(digits[1])?) as u8;
    }
    (bytes != [0; N]).then_some(bytes)
}
