//! OTLP metrics as Prometheus' series and samples.
//!
//! What becomes of what is told in `airis.data.reference.samples`.

mod encode;
mod native;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use xxhash_rust::xxh3::xxh3_64;

pub use encode::encode;
use native::NativeHistogram;

use crate::buffers::Bytes;
use crate::metrics::{Kind, MetricPart, Number, Point};
use crate::prometheus_names::{PROMETHEUS_TYPE, Strategy, TRANSLATOR, label_name, unit_text};
use crate::series::push_sized;
use crate::values::{Attribute, messages, write_hex, write_plain};
use crate::view::{Metric, Owner, Scope, View};
use crate::wire::{Content, Fields};

const STALE_MARKER: u64 = 0x7ff0_0000_0000_0002;
const NO_RECORDED_VALUE: u32 = 1;
const NANO_PER_MILLI: u64 = 1_000_000;
const IDENTITY: [&[u8]; 3] = [b"service.namespace", b"service.name", b"service.instance.id"];
/// More characters than these the labels of an exemplar must not have.
const MAX_EXEMPLAR_CHARS: usize = 128;
const TYPES: [&[u8]; 8] =
    [b"unknown", b"counter", b"gauge", b"histogram", b"gaugehistogram", b"summary", b"info", b"stateset"];

/// How names and labels are made.
pub struct Naming {
    pub strategy: Strategy,
    /// What stands in front of every name, with `_` between; empty for nothing.
    pub namespace: String,
    /// Labels that every series has, unless it has them of its own.
    pub external: Vec<(String, String)>,
    /// Whether the attributes of the resource are labels.
    pub resource_labels: bool,
    /// Whether those that say which service it is are not.
    pub except_service: bool,
    pub target_info: bool,
    pub scope_labels: bool,
}

/// Why points were left out, by number.
#[derive(Clone, Copy)]
pub enum LeftOut {
    Temporality,
    Value,
    Scale,
}

/// The reasons' names.
pub const LEFT_OUT: [&str; 3] = ["temporality", "value", "scale"];

/// A metric family.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Family {
    pub name: Vec<u8>,
    pub type_number: u8,
    pub help: Vec<u8>,
    pub unit: Vec<u8>,
}

pub(crate) struct Exemplar {
    pub labels: Vec<(Vec<u8>, Vec<u8>)>,
    pub value: f64,
    pub time: i64,
}

/// What a series has at a time.
pub(crate) enum Value {
    Sample(f64),
    Histogram(Box<NativeHistogram>),
}

/// Series, and their samples in the order of the points that they were.
#[derive(Default)]
pub struct Samples {
    /// The labels of each series, sorted: texts with their sizes in front.
    pub(crate) labels: Vec<Vec<u8>>,
    pub(crate) families: Vec<Family>,
    pub(crate) family_of: Vec<u32>,
    /// Series, start and time in milliseconds, and value.
    pub(crate) points: Vec<(u32, i64, i64, Value)>,
    pub(crate) exemplars: Vec<(u32, Exemplar)>,
    pub left_out: [usize; LEFT_OUT.len()],
    by_labels: HashMap<Vec<u8>, u32>,
    by_family: HashMap<Family, u32>,
    scratch: Vec<u8>,
}

/// Names and values by name.
type LabelSet<'a> = BTreeMap<Cow<'a, str>, Cow<'a, [u8]>>;

impl Samples {
    /// The samples of all points; a point without a time has that of its arrival.
    pub fn collect(view: &View, arrived: u64, naming: &Naming) -> Self {
        let bytes = view.open();
        let mut samples = Self::default();
        for owner in view.owners.iter().filter(|owner| !owner.items.is_empty()) {
            let resource = Resource::new(owner, &bytes);
            let mut latest = 0;
            for scope in &view.scopes[owner.scopes.clone()] {
                let scope_labels = scope_labels(scope, &bytes);
                let metrics = view.metrics[scope.metrics.clone()].iter();
                for metric in metrics.filter(|metric| !metric.items.is_empty()) {
                    let found = samples.metric(view, &bytes, arrived, naming, metric, &resource, &scope_labels);
                    latest = latest.max(found);
                }
            }
            if naming.target_info {
                samples.target_info(&resource, latest, naming);
            }
        }
        samples
    }

    /// How many series there are.
    pub fn series(&self) -> usize {
        self.labels.len()
    }

    /// The labels of a series.
    pub fn labels(&self, series: usize) -> Vec<(&[u8], &[u8])> {
        self.labels.get(series).map_or_else(Vec::new, |labels| pairs(labels))
    }

    /// A hash of each series' labels.
    pub fn hashes(&self) -> impl Iterator<Item = u64> {
        self.labels.iter().map(|labels| xxh3_64(labels))
    }

    /// Of every sample that is a number the series, the time in milliseconds and the value.
    pub fn samples(&self) -> impl Iterator<Item = (u32, i64, f64)> {
        self.points.iter().filter_map(|(series, _, time, value)| match value {
            Value::Sample(value) => Some((*series, *time, *value)),
            Value::Histogram(_) => None,
        })
    }

    /// How many native histograms there are.
    pub fn histograms(&self) -> usize {
        self.points.len() - self.samples().count()
    }

    /// How many exemplars there are.
    pub fn exemplars(&self) -> usize {
        self.exemplars.len()
    }

    #[expect(clippy::too_many_arguments)]
    fn metric(
        &mut self,
        view: &View,
        bytes: &Bytes,
        arrived: u64,
        naming: &Naming,
        metric: &Metric,
        resource: &Resource,
        scope_labels: &[(String, Vec<u8>)],
    ) -> u64 {
        let part = MetricPart::new(metric, bytes);
        let points = metric.items.len();
        let mut point = Point::default();
        let mut latest = 0;
        let is_cumulative = matches!(part.kind, Kind::Gauge | Kind::Summary) || part.temporality == b"cumulative";
        let name = family_name(&part, naming);
        let family = self.family(&part, &name);
        for item in &view.items[metric.items.clone()] {
            point.read(part.kind, bytes.at(*item));
            let nano = if point.time > 0 { point.time } else { arrived };
            latest = latest.max(nano);
            if !is_cumulative {
                continue;
            }
            let base = base_labels(&point, &part, resource, scope_labels, naming);
            let mut emit = Emit {
                samples: self,
                base,
                name: &name,
                family,
                start: (point.start / NANO_PER_MILLI) as i64,
                time: (nano / NANO_PER_MILLI) as i64,
                is_stale: point.flags & NO_RECORDED_VALUE > 0,
                is_utf8: naming.strategy.is_utf8() || part.is_prometheus,
            };
            emit.point(&part, &point);
        }
        if !is_cumulative {
            self.left_out[LeftOut::Temporality as usize] += points;
        }
        latest
    }

    fn family(&mut self, part: &MetricPart, name: &str) -> u32 {
        let type_number = match part.kind {
            Kind::Gauge => 2,
            Kind::Sum => 2 - u8::from(part.monotonic),
            Kind::Histogram | Kind::ExponentialHistogram => 3,
            Kind::Summary => 5,
        };
        let unit = String::from_utf8_lossy(part.unit);
        let unit = if part.is_prometheus { unit.into_owned() } else { unit_text(&unit) };
        self.add_family(Family {
            name: name.as_bytes().to_vec(),
            type_number: prometheus_type(part.message).unwrap_or(type_number),
            help: part.description.to_vec(),
            unit: unit.into_bytes(),
        })
    }

    fn add_family(&mut self, family: Family) -> u32 {
        if let Some(&known) = self.by_family.get(&family) {
            return known;
        }
        let number = self.families.len() as u32;
        self.families.push(family.clone());
        self.by_family.insert(family, number);
        number
    }

    /// The number of the series with these labels, those with a value; it is added where it is new.
    fn add_series(&mut self, base: &LabelSet, extras: &[(&str, &[u8])], family: u32) -> u32 {
        let mut labels: Vec<(&str, &[u8])> = Vec::with_capacity(base.len() + extras.len());
        let is_own = |name: &str| extras.iter().any(|(extra, _)| *extra == name);
        labels.extend(base.iter().map(|(name, value)| (&**name, &**value)).filter(|(name, _)| !is_own(name)));
        labels.extend_from_slice(extras);
        labels.sort_unstable_by_key(|(name, _)| *name);
        let mut key = std::mem::take(&mut self.scratch);
        key.clear();
        for (name, value) in labels.iter().filter(|(name, value)| !name.is_empty() && !value.is_empty()) {
            push_sized(&mut key, name.as_bytes());
            push_sized(&mut key, value);
        }
        let number = match self.by_labels.get(&key) {
            Some(&known) => known,
            None => {
                let number = self.labels.len() as u32;
                self.labels.push(key.clone());
                self.family_of.push(family);
                self.by_labels.insert(key.clone(), number);
                number
            }
        };
        self.scratch = key;
        number
    }

    fn target_info(&mut self, resource: &Resource, latest: u64, naming: &Naming) {
        let others = resource.attributes.iter().filter(|attribute| !IDENTITY.contains(&attribute.key));
        let mut labels = LabelSet::new();
        let mut any = false;
        for attribute in others {
            any = true;
            add_attribute(&mut labels, attribute, naming.strategy.is_utf8());
        }
        if !any || resource.derived().next().is_none() {
            return;
        }
        add_others(&mut labels, resource, &[], naming);
        let name = prefixed("target_info", naming);
        let family = Family {
            name: name.clone().into_bytes(),
            type_number: 2,
            help: b"Attributes of the resource".to_vec(),
            unit: vec![],
        };
        let family = self.add_family(family);
        let series = self.add_series(&labels, &[("__name__", name.as_bytes())], family);
        self.points.push((series, 0, (latest / NANO_PER_MILLI) as i64, Value::Sample(1.0)));
    }
}

/// Labels that were written with their sizes.
pub(crate) fn pairs(mut labels: &[u8]) -> Vec<(&[u8], &[u8])> {
    let mut found = vec![];
    while let Some((name, rest)) = sized(labels)
        && let Some((value, rest)) = sized(rest)
    {
        found.push((name, value));
        labels = rest;
    }
    found
}

fn sized(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let (size, rest) = data.split_first_chunk()?;
    rest.split_at_checked(u32::from_le_bytes(*size) as usize)
}

struct Resource<'a> {
    /// Sorted by key.
    attributes: Vec<Attribute<'a>>,
    job: Vec<u8>,
    instance: Vec<u8>,
}

impl<'a> Resource<'a> {
    fn new(owner: &Owner, bytes: &Bytes<'a>) -> Self {
        let mut attributes: Vec<_> = messages(bytes.message(owner.resource), 1).map(Attribute::read).collect();
        let first = |key: &[u8]| -> Vec<u8> {
            let found = attributes.iter().find(|attribute| attribute.key == key);
            found.map(|attribute| attribute.value.clone().into_text().into_owned()).unwrap_or_default()
        };
        let [namespace, service, instance] = IDENTITY.map(first);
        let job = if service.is_empty() || namespace.is_empty() {
            service
        } else {
            [namespace, b"/".to_vec(), service].concat()
        };
        attributes.sort_by_key(|attribute| attribute.key);
        Self { attributes, job, instance }
    }

    fn derived(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        let both = [("instance", self.instance.as_slice()), ("job", self.job.as_slice())];
        both.into_iter().filter(|(_, text)| !text.is_empty())
    }
}

/// What Prometheus' metadata says that a metric is.
fn prometheus_type(message: &[u8]) -> Option<u8> {
    let mut metadata = messages(message, 12).map(Attribute::read);
    let found = metadata.find(|attribute| attribute.key == PROMETHEUS_TYPE.as_bytes())?.value.into_text();
    TYPES.iter().position(|name| *name == found.as_ref()).map(|number| number as u8)
}

fn prefixed(name: &str, naming: &Naming) -> String {
    if naming.namespace.is_empty() { name.to_owned() } else { format!("{}_{name}", naming.namespace) }
}

fn family_name(part: &MetricPart, naming: &Naming) -> String {
    let name = String::from_utf8_lossy(part.name);
    if part.is_prometheus {
        return prefixed(&name, naming);
    }
    let unit = String::from_utf8_lossy(part.unit);
    let is_counter = part.kind == Kind::Sum && part.monotonic;
    let made = naming.strategy.family_name(&name, &unit, is_counter, part.kind == Kind::Gauge);
    prefixed(&made, naming)
}

fn scope_labels(scope: &Scope, bytes: &Bytes) -> Vec<(String, Vec<u8>)> {
    let message = bytes.message(scope.scope);
    let (mut name, mut version) = (&b""[..], &b""[..]);
    for field in Fields::new(message) {
        match (field.number, field.content) {
            (1, Content::Length(text)) => name = text,
            (2, Content::Length(text)) => version = text,
            _ => {}
        }
    }
    if name == TRANSLATOR.as_bytes() {
        return vec![];
    }
    let schema_url = bytes.at(scope.schema_url);
    let mut labels = vec![];
    for (label, text) in [("name", name), ("version", version), ("schema_url", schema_url)] {
        labels.push((format!("otel_scope_{label}"), text.to_vec()));
    }
    labels.extend(messages(message, 3).map(|data| {
        let attribute = Attribute::read(data);
        let label = format!("otel_scope_{}", String::from_utf8_lossy(attribute.key));
        (label, attribute.value.into_text().into_owned())
    }));
    labels.retain(|(_, text)| !text.is_empty());
    labels
}

fn base_labels<'a>(
    point: &Point<'a>,
    part: &MetricPart,
    resource: &'a Resource,
    scope_labels: &'a [(String, Vec<u8>)],
    naming: &'a Naming,
) -> LabelSet<'a> {
    let is_utf8 = naming.strategy.is_utf8() || part.is_prometheus;
    let is_kept = |key: &[u8]| !naming.except_service || !IDENTITY.contains(&key);
    let of_resource = resource.attributes.iter().filter(|attribute| naming.resource_labels && is_kept(attribute.key));
    let of_resource: Vec<&Attribute> = of_resource.collect();
    // The resource's attribute stands in place of a point's with the same key.
    let is_own = |key: &[u8]| of_resource.iter().all(|attribute| attribute.key != key);
    let mut attributes: Vec<&Attribute> = point.attributes.iter().filter(|attribute| is_own(attribute.key)).collect();
    attributes.extend(&of_resource);
    attributes.sort_by_key(|attribute| attribute.key);
    let mut labels = LabelSet::new();
    for attribute in attributes {
        add_attribute(&mut labels, attribute, is_utf8);
    }
    add_others(&mut labels, resource, if naming.scope_labels { scope_labels } else { &[] }, naming);
    labels
}

/// Add a label; the values of keys that become one name are joined.
fn add_attribute<'a>(labels: &mut LabelSet<'a>, attribute: &Attribute<'a>, is_utf8: bool) {
    let key = match std::str::from_utf8(attribute.key) {
        Ok(key) => key,
        Err(_) => return, // it passed `validate`
    };
    let is_plain = |key: &str| key.bytes().all(|byte| byte.is_ascii_lowercase());
    let name = if is_utf8 || is_plain(key) { Cow::Borrowed(key) } else { Cow::Owned(label_name(key)) };
    let value = attribute.value.clone().into_text();
    match labels.get_mut(&name) {
        Some(joined) => {
            let joined = joined.to_mut();
            joined.push(b';');
            joined.extend_from_slice(&value);
        }
        None => {
            labels.insert(name, value);
        }
    }
}

fn add_others<'a>(
    labels: &mut LabelSet<'a>,
    resource: &'a Resource,
    scope_labels: &'a [(String, Vec<u8>)],
    naming: &'a Naming,
) {
    for (name, value) in resource.derived() {
        labels.insert(Cow::Borrowed(name), Cow::Borrowed(value));
    }
    for (name, value) in &naming.external {
        labels.entry(Cow::Borrowed(name)).or_insert(Cow::Borrowed(value.as_bytes()));
    }
    for (name, value) in scope_labels {
        let spelt = if naming.strategy.is_utf8() { Cow::Borrowed(name.as_str()) } else { label_name(name).into() };
        labels.insert(spelt, Cow::Borrowed(value));
    }
}

/// One point on its way to samples.
struct Emit<'a, 's> {
    samples: &'s mut Samples,
    base: LabelSet<'a>,
    name: &'s str,
    family: u32,
    start: i64,
    time: i64,
    is_stale: bool,
    is_utf8: bool,
}

impl Emit<'_, '_> {
    fn point(&mut self, part: &MetricPart, point: &Point) {
        match part.kind {
            Kind::Gauge | Kind::Sum => {
                let value = match point.number {
                    _ if self.is_stale => 0.0,
                    Number::Double(value) => value,
                    Number::Int(value) => value as f64,
                    Number::Absent => return self.samples.left_out[LeftOut::Value as usize] += 1,
                };
                let series = self.sample("", None, value);
                self.exemplars(point, |_| series);
            }
            Kind::Histogram => self.explicit(point),
            Kind::ExponentialHistogram => self.exponential(point),
            Kind::Summary => {
                self.sample("_sum", None, point.sum.unwrap_or(0.0));
                self.sample("_count", None, point.count as f64);
                for (quantile, value) in point.quantiles.iter().zip(&point.values) {
                    let mut text = vec![];
                    write_plain(*quantile, &mut text);
                    self.sample("", Some(("quantile", &text)), *value);
                }
            }
        }
    }

    fn series(&mut self, suffix: &str, extra: Option<(&str, &[u8])>) -> u32 {
        let name = if suffix.is_empty() { Cow::Borrowed(self.name) } else { format!("{}{suffix}", self.name).into() };
        let name = ("__name__", name.as_bytes());
        match extra {
            Some(extra) => self.samples.add_series(&self.base, &[name, extra], self.family),
            None => self.samples.add_series(&self.base, &[name], self.family),
        }
    }

    fn sample(&mut self, suffix: &str, extra: Option<(&str, &[u8])>, value: f64) -> u32 {
        let series = self.series(suffix, extra);
        let value = if self.is_stale { f64::from_bits(STALE_MARKER) } else { value };
        self.samples.points.push((series, self.start, self.time, Value::Sample(value)));
        series
    }

    fn explicit(&mut self, point: &Point) {
        if let Some(sum) = point.sum {
            self.sample("_sum", None, sum);
        }
        self.sample("_count", None, point.count as f64);
        let (mut buckets, mut cumulative, mut text) = (vec![], 0_u64, vec![]);
        for (bound, count) in point.bounds.iter().zip(&point.positive.counts) {
            cumulative = cumulative.wrapping_add(*count);
            text.clear();
            write_plain(*bound, &mut text);
            buckets.push((*bound, self.sample("_bucket", Some(("le", &text)), cumulative as f64)));
        }
        let above = self.sample("_bucket", Some(("le", b"+Inf")), point.count as f64);
        self.exemplars(point, |value| {
            let bucket = buckets.iter().find(|(bound, _)| value <= *bound);
            bucket.map_or(above, |(_, series)| *series)
        });
    }

    fn exponential(&mut self, point: &Point) {
        let histogram = if self.is_stale { Some(NativeHistogram::stale()) } else { NativeHistogram::new(point) };
        let Some(histogram) = histogram else {
            self.samples.left_out[LeftOut::Scale as usize] += 1;
            return;
        };
        let series = self.series("", None);
        self.samples.points.push((series, self.start, self.time, Value::Histogram(Box::new(histogram))));
        self.exemplars(point, |_| series);
    }

    fn exemplars(&mut self, point: &Point, series_of: impl Fn(f64) -> u32) {
        for message in &point.exemplars {
            let exemplar = read_exemplar(message, self.is_utf8);
            self.samples.exemplars.push((series_of(exemplar.value), exemplar));
        }
    }
}

fn read_exemplar(message: &[u8], is_utf8: bool) -> Exemplar {
    let (mut labels, mut others) = (vec![], vec![]);
    let (mut trace_id, mut span_id) = (&b""[..], &b""[..]);
    let (mut value, mut time) = (0.0, 0);
    for field in Fields::new(message) {
        match (field.number, field.content) {
            (2, Content::Fixed64(nano)) => time = nano,
            (3, Content::Fixed64(bits)) => value = f64::from_bits(bits),
            (4, Content::Length(bytes)) => span_id = bytes,
            (5, Content::Length(bytes)) => trace_id = bytes,
            (6, Content::Fixed64(bits)) => value = bits as i64 as f64,
            (7, Content::Length(data)) => others.push(Attribute::read(data)),
            _ => {}
        }
    }
    for (name, id) in [(&b"trace_id"[..], trace_id), (b"span_id", span_id)] {
        if !id.is_empty() {
            let mut text = vec![];
            write_hex(id, &mut text);
            labels.push((name.to_vec(), text));
        }
    }
    let others = others.into_iter().map(|attribute| {
        let key = String::from_utf8_lossy(attribute.key);
        let name = if is_utf8 { key.into_owned() } else { label_name(&key) };
        (name.into_bytes(), attribute.value.into_text().into_owned())
    });
    let others: Vec<_> = others.collect();
    let chars = |text: &[u8]| String::from_utf8_lossy(text).chars().count();
    let total: usize = labels.iter().chain(&others).map(|(name, value)| chars(name) + chars(value)).sum();
    if total <= MAX_EXEMPLAR_CHARS {
        labels.extend(others);
    }
    Exemplar { labels, value, time: (time / NANO_PER_MILLI) as i64 }
}
