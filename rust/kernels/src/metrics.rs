//! Metrics as series and their points: who a series is, and what is kept of each point.

use std::collections::HashMap;

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::blocks::{ARRIVAL, Block, KIND, LC, MAP, POINT_SOURCE, SENT, TIME, Tables, column};
use super::buffers::Bytes;
use super::columns::{Attributes, Fixed, List, LowCardinality, Map, Nullable, Text};
use super::owners::{ResourceColumns, ScopeColumns};
use super::prometheus_names::{PROMETHEUS_TYPE, TRANSLATOR, family_name, labels};
use super::series::{Registered, SeriesKey, Sign, Signed, push_set, push_sized, push_sized_with, sort};
use super::values::{Attribute, messages, write_integer};
use super::view::{Metric, Owner, Scope, View};
use super::wire::{Content, Field, Fields, varint};

const EXPLICIT_BOUNDS_SCHEMA: i32 = -53;
/// Bits of the value of a point that says that nothing was recorded (Prometheus' stale marker).
const STALE_MARKER: u64 = 0x7ff0_0000_0000_0002;
/// Bits of the value of a point that has none and does not say why.
const NO_VALUE: u64 = 0x7ff0_0000_0000_0003;
const NO_RECORDED_VALUE: u32 = 1;
const SECOND_NANO: u64 = 1_000_000_000;
const HOUR_NANO: u64 = 3600 * SECOND_NANO;
const TEMPORALITIES: [&[u8]; 3] = [b"unspecified", b"delta", b"cumulative"];
const SERVICE_NAME: &[u8] = b"service.name";
const SERVICE_NAMESPACE: &[u8] = b"service.namespace";
const SERVICE_INSTANCE: &[u8] = b"service.instance.id";

/// The kind of a metric's data, by its field number, with its number in the store.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Gauge = 1,
    Sum = 2,
    Histogram = 3,
    ExponentialHistogram = 4,
    Summary = 5,
}

impl Kind {
    fn of_field(number: u32) -> Self {
        match number {
            5 => Self::Gauge,
            7 => Self::Sum,
            9 => Self::Histogram,
            10 => Self::ExponentialHistogram,
            _ => Self::Summary,
        }
    }

    /// The number of the field with the attributes of its points.
    fn attributes(self) -> u32 {
        match self {
            Self::Gauge | Self::Sum | Self::Summary => 7,
            Self::Histogram => 9,
            Self::ExponentialHistogram => 1,
        }
    }
}

/// The value of a point or an exemplar.
#[derive(Clone, Copy, Default)]
pub(crate) enum Number {
    #[default]
    Absent,
    Double(f64),
    Int(i64),
}

impl Number {
    /// As it is stored: the value, and what is to be added to it for the integer that was sent.
    fn stored(self, flags: u32) -> (f64, i16) {
        match self {
            _ if flags & NO_RECORDED_VALUE > 0 => (f64::from_bits(STALE_MARKER), 0),
            Self::Absent => (f64::from_bits(NO_VALUE), 0),
            Self::Double(value) => (value, 0),
            Self::Int(number) => {
                let value = number as f64;
                (value, (i128::from(number) - value as i128) as i16)
            }
        }
    }
}

/// A data point of any kind, with what that kind has.
#[derive(Default)]
pub(crate) struct Point<'a> {
    pub(crate) attributes: Vec<Attribute<'a>>,
    pub(crate) exemplars: Vec<&'a [u8]>,
    pub(crate) start: u64,
    pub(crate) time: u64,
    pub(crate) flags: u32,
    pub(crate) number: Number,
    pub(crate) count: u64,
    pub(crate) sum: Option<f64>,
    pub(crate) min: Option<f64>,
    pub(crate) max: Option<f64>,
    pub(crate) scale: i32,
    pub(crate) zero_count: u64,
    pub(crate) zero_threshold: f64,
    pub(crate) bounds: Vec<f64>,
    pub(crate) positive: Buckets,
    pub(crate) negative: Buckets,
    pub(crate) quantiles: Vec<f64>,
    pub(crate) values: Vec<f64>,
}

#[derive(Default)]
pub(crate) struct Buckets {
    pub(crate) offset: i32,
    pub(crate) counts: Vec<u64>,
}

impl<'a> Point<'a> {
    /// Read a point in the place of this one, whose room is used again.
    pub(crate) fn read(&mut self, kind: Kind, data: &'a [u8]) {
        let together = self.read_bare(kind, data);
        self.read_attributes(kind, together.unwrap_or(data));
    }

    /// Read a point in the place of this one without its attributes: the bytes of these, if they stand together.
    fn read_bare(&mut self, kind: Kind, data: &'a [u8]) -> Option<&'a [u8]> {
        self.attributes.clear();
        self.exemplars.clear();
        for list in [&mut self.bounds, &mut self.quantiles, &mut self.values] {
            list.clear();
        }
        for buckets in [&mut self.positive, &mut self.negative] {
            buckets.counts.clear();
            buckets.offset = 0;
        }
        (self.start, self.time, self.flags, self.number) = (0, 0, 0, Number::Absent);
        (self.count, self.sum, self.min, self.max) = (0, None, None, None);
        (self.scale, self.zero_count, self.zero_threshold) = (0, 0, 0.0);
        let (mut attributes, mut are_together) = (0..0, true);
        for field in Fields::new(data) {
            match (field.number, field.content) {
                (2, Content::Fixed64(time)) => self.start = time,
                (3, Content::Fixed64(time)) => self.time = time,
                (number, Content::Length(_)) if number == kind.attributes() => {
                    are_together &= attributes.is_empty() || attributes.end == field.start;
                    let start = if attributes.is_empty() { field.start } else { attributes.start };
                    attributes = start..field.end;
                }
                _ => match kind {
                    Kind::Gauge | Kind::Sum => self.read_number(&field),
                    Kind::Histogram => self.read_explicit(&field),
                    Kind::ExponentialHistogram => self.read_exponential(&field),
                    Kind::Summary => self.read_summary(&field),
                },
            }
        }
        data.get(attributes).filter(|_| are_together)
    }

    fn read_attributes(&mut self, kind: Kind, data: &'a [u8]) {
        self.attributes.extend(messages(data, kind.attributes()).map(Attribute::read));
    }

    /// What tells the series of a point from others of its metric and owner: made in `out` of its attributes as they
    /// were sent.
    fn sign(&self, common: Sign, attributes: &[u8], out: &mut Vec<u8>) -> Sign {
        out.clear();
        out.extend(common.to_le_bytes());
        out.push(matches!(self.number, Number::Int(_)).into());
        push_sized_with(out, |out| self.bounds.iter().for_each(|bound| out.extend(bound.to_le_bytes())));
        out.extend_from_slice(attributes);
        xxh3_128(out)
    }

    fn read_number(&mut self, field: &Field<'a>) {
        match (field.number, field.content) {
            (4, Content::Fixed64(bits)) => self.number = Number::Double(f64::from_bits(bits)),
            (5, Content::Length(exemplar)) => self.exemplars.push(exemplar),
            (6, Content::Fixed64(bits)) => self.number = Number::Int(bits as i64),
            (8, Content::Varint(flags)) => self.flags = flags as u32,
            _ => {}
        }
    }

    fn read_explicit(&mut self, field: &Field<'a>) {
        match (field.number, field.content) {
            (4, Content::Fixed64(count)) => self.count = count,
            (5, Content::Fixed64(bits)) => self.sum = Some(f64::from_bits(bits)),
            (6, content) => read_fixed(content, |bits| self.positive.counts.push(bits)),
            (7, content) => read_fixed(content, |bits| self.bounds.push(f64::from_bits(bits))),
            (8, Content::Length(exemplar)) => self.exemplars.push(exemplar),
            (10, Content::Varint(flags)) => self.flags = flags as u32,
            (11, Content::Fixed64(bits)) => self.min = Some(f64::from_bits(bits)),
            (12, Content::Fixed64(bits)) => self.max = Some(f64::from_bits(bits)),
            _ => {}
        }
    }

    fn read_exponential(&mut self, field: &Field<'a>) {
        match (field.number, field.content) {
            (4, Content::Fixed64(count)) => self.count = count,
            (5, Content::Fixed64(bits)) => self.sum = Some(f64::from_bits(bits)),
            (6, Content::Varint(number)) => self.scale = unzigzag(number),
            (7, Content::Fixed64(count)) => self.zero_count = count,
            (8, Content::Length(data)) => self.positive.merge(data),
            (9, Content::Length(data)) => self.negative.merge(data),
            (10, Content::Varint(flags)) => self.flags = flags as u32,
            (11, Content::Length(exemplar)) => self.exemplars.push(exemplar),
            (12, Content::Fixed64(bits)) => self.min = Some(f64::from_bits(bits)),
            (13, Content::Fixed64(bits)) => self.max = Some(f64::from_bits(bits)),
            (14, Content::Fixed64(bits)) => self.zero_threshold = f64::from_bits(bits),
            _ => {}
        }
    }

    fn read_summary(&mut self, field: &Field<'a>) {
        match (field.number, field.content) {
            (4, Content::Fixed64(count)) => self.count = count,
            (5, Content::Fixed64(bits)) => self.sum = Some(f64::from_bits(bits)),
            (6, Content::Length(data)) => {
                let (mut quantile, mut value) = (0, 0);
                for field in Fields::new(data) {
                    match (field.number, field.content) {
                        (1, Content::Fixed64(bits)) => quantile = bits,
                        (2, Content::Fixed64(bits)) => value = bits,
                        _ => {}
                    }
                }
                self.quantiles.push(f64::from_bits(quantile));
                self.values.push(f64::from_bits(value));
            }
            (8, Content::Varint(flags)) => self.flags = flags as u32,
            _ => {}
        }
    }
}

impl Buckets {
    fn merge(&mut self, data: &[u8]) {
        for field in Fields::new(data) {
            match (field.number, field.content) {
                (1, Content::Varint(number)) => self.offset = unzigzag(number),
                (2, Content::Varint(count)) => self.counts.push(count),
                (2, Content::Length(packed)) => {
                    let mut at = 0;
                    while let Ok((count, end)) = varint(packed, at) {
                        self.counts.push(count);
                        at = end;
                    }
                }
                _ => {}
            }
        }
    }
}

/// The numbers of a repeated field of eight bytes each, packed or not.
fn read_fixed(content: Content, mut push: impl FnMut(u64)) {
    match content {
        Content::Fixed64(bits) => push(bits),
        Content::Length(packed) => packed.as_chunks().0.iter().for_each(|chunk| push(u64::from_le_bytes(*chunk))),
        _ => {}
    }
}

fn unzigzag(number: u64) -> i32 {
    let number = number as u32;
    (number >> 1) as i32 ^ -((number & 1) as i32)
}

#[derive(Default)]
struct Series {
    rows: usize,
    id: Fixed<u64>,
    metric: LowCardinality,
    otel_name: LowCardinality,
    kind: Fixed<u8>,
    unit: LowCardinality,
    temporality: LowCardinality,
    monotonic: Fixed<bool>,
    integer: Fixed<bool>,
    labels: Map,
    attributes: Attributes,
    resource: ResourceColumns,
    scope: ScopeColumns,
    metadata: Attributes,
    bounds: List<f64>,
    help: Text,
    resource_id: Fixed<u64>,
    time: Fixed<u32>,
}

/// What all tables of points have.
#[derive(Default)]
struct Points {
    rows: usize,
    metric: LowCardinality,
    id: Fixed<u64>,
    time: Fixed<u64>,
    start: Fixed<u64>,
    flags: Fixed<u32>,
    source: Fixed<u8>,
}

#[derive(Default)]
struct Samples {
    points: Points,
    value: Fixed<f64>,
    residue: Fixed<i16>,
}

#[derive(Default)]
struct Histograms {
    points: Points,
    count: Fixed<u64>,
    sum: Nullable,
    schema: Fixed<i32>,
    zero_threshold: Fixed<f64>,
    zero_count: Fixed<u64>,
    positive_offset: Fixed<i32>,
    positive: List<u64>,
    negative_offset: Fixed<i32>,
    negative: List<u64>,
    min: Nullable,
    max: Nullable,
}

#[derive(Default)]
struct Summaries {
    points: Points,
    count: Fixed<u64>,
    sum: Fixed<f64>,
    quantiles: List<f64>,
    values: List<f64>,
}

#[derive(Default)]
struct Exemplars {
    rows: usize,
    metric: LowCardinality,
    id: Fixed<u64>,
    time: Fixed<u64>,
    point_time: Fixed<u64>,
    value: Fixed<f64>,
    residue: Fixed<i16>,
    integer: Fixed<bool>,
    trace_id: Text,
    span_id: Text,
    attributes: Attributes,
}

/// The columns of all tables of metrics.
#[derive(Default)]
pub struct Metrics {
    /// The series that are registered here, with their hour.
    pub registered: HashMap<SeriesKey, u64>,
    /// The signs of points whose series is registered here, or was before.
    pub signed: Signed,
    series: Series,
    samples: Samples,
    histograms: Histograms,
    summaries: Summaries,
    exemplars: Exemplars,
}

/// What the points of a resource share.
struct ResourcePart<'a> {
    owner: &'a Owner,
    id: u64,
    /// The part of the identity of its series.
    identity: Vec<u8>,
    /// Labels that Prometheus derives from a resource.
    derived: Vec<(&'static str, Vec<u8>)>,
    /// Whether the last row of a series has it.
    written: bool,
}

/// What the points of a scope share.
struct ScopePart<'a> {
    scope: &'a Scope,
    identity: Vec<u8>,
    /// Labels that it has with Prometheus.
    labels: Vec<(String, Vec<u8>)>,
    written: bool,
}

/// What the points of a metric share.
pub(crate) struct MetricPart<'a> {
    pub(crate) kind: Kind,
    pub(crate) name: &'a [u8],
    pub(crate) description: &'a [u8],
    pub(crate) unit: &'a [u8],
    /// Its message without the data.
    pub(crate) message: &'a [u8],
    pub(crate) temporality: Vec<u8>,
    pub(crate) monotonic: bool,
    /// Whether it was Prometheus' before it was OTLP: its names are, and a series is its labels.
    pub(crate) is_prometheus: bool,
    pub(crate) family: String,
}

impl Metrics {
    /// The rows of all points in a view; series are registered unless they are known.
    pub fn encode(view: &View, arrived: u64, known: &Registered) -> Self {
        let (mut metrics, bytes) = (Self::default(), view.open());
        for owner in view.owners.iter().filter(|owner| !owner.items.is_empty()) {
            let mut resource = ResourcePart::new(owner, &bytes);
            for scope in view.scopes[owner.scopes.clone()].iter().filter(|scope| !scope.items.is_empty()) {
                let mut scope = ScopePart::new(scope, &bytes);
                let all = view.metrics[scope.scope.metrics.clone()].iter();
                for metric in all.filter(|metric| !metric.items.is_empty()) {
                    metrics.push(view, &bytes, arrived, known, metric, &mut resource, &mut scope);
                }
            }
        }
        metrics
    }

    #[expect(clippy::too_many_arguments)]
    fn push(
        &mut self,
        view: &View,
        bytes: &Bytes,
        arrived: u64,
        known: &Registered,
        metric: &Metric,
        resource: &mut ResourcePart,
        scope: &mut ScopePart,
    ) {
        let part = MetricPart::new(metric, bytes);
        let hour = arrived / HOUR_NANO;
        let (mut point, mut sorted, mut identity) = (Point::default(), Vec::new(), Vec::new());
        let common = part.sign(resource, scope);
        for item in &view.items[metric.items.clone()] {
            let data = bytes.at(*item);
            let together = point.read_bare(part.kind, data);
            let sign = together.map(|attributes| point.sign(common, attributes, &mut identity));
            if let Some(id) = sign.and_then(|sign| known.id_of(sign, hour)) {
                self.push_point(id, &part, &point, arrived);
                continue;
            }
            point.read_attributes(part.kind, together.unwrap_or(data));
            sorted.clear();
            sorted.extend(point.attributes.iter().cloned());
            sort(&mut sorted);
            let integer = matches!(point.number, Number::Int(_));
            identity.clear();
            part.push_identity(&mut identity, integer);
            push_sized_with(&mut identity, |out| push_set(out, &sorted));
            identity.extend_from_slice(&scope.identity);
            identity.extend_from_slice(&resource.identity);
            push_sized_with(&mut identity, |out| point.bounds.iter().for_each(|b| out.extend(b.to_le_bytes())));
            let id = xxh3_64(&identity);
            let key = (id, resource.id);
            if !self.registered.contains_key(&key) && !known.knows(&key, hour) {
                self.registered.insert(key, hour);
                let series = &mut self.series;
                series.push(id, &part, &point, &sorted, integer, resource, scope, arrived);
                resource.write(&mut series.resource, bytes);
                scope.write(&mut series.scope, bytes);
            }
            self.signed.extend(sign.map(|sign| (sign, (id, hour))));
            self.push_point(id, &part, &point, arrived);
        }
    }

    fn push_point(&mut self, id: u64, part: &MetricPart, point: &Point, arrived: u64) {
        match part.kind {
            Kind::Gauge | Kind::Sum => {
                let table = &mut self.samples;
                table.points.push(id, part, point, arrived);
                let (value, residue) = point.number.stored(point.flags);
                table.value.push(value);
                table.residue.push(residue);
            }
            Kind::Histogram | Kind::ExponentialHistogram => {
                let table = &mut self.histograms;
                let explicit = part.kind == Kind::Histogram;
                table.points.push(id, part, point, arrived);
                table.count.push(point.count);
                table.sum.push(point.sum);
                table.schema.push(if explicit { EXPLICIT_BOUNDS_SCHEMA } else { point.scale });
                table.zero_threshold.push(point.zero_threshold);
                table.zero_count.push(point.zero_count);
                table.positive_offset.push(point.positive.offset);
                table.positive.push(&point.positive.counts);
                table.negative_offset.push(point.negative.offset);
                table.negative.push(&point.negative.counts);
                table.min.push(point.min);
                table.max.push(point.max);
            }
            Kind::Summary => {
                let table = &mut self.summaries;
                table.points.push(id, part, point, arrived);
                table.count.push(point.count);
                table.sum.push(point.sum.unwrap_or(0.0));
                table.quantiles.push(&point.quantiles);
                table.values.push(&point.values);
            }
        }
        for exemplar in &point.exemplars {
            self.exemplars.push(exemplar, id, part, stored_time(point, arrived).0);
        }
    }
}

impl<'a> ResourcePart<'a> {
    fn new(owner: &'a Owner, bytes: &Bytes) -> Self {
        let mut attributes: Vec<_> = messages(bytes.message(owner.resource), 1).map(Attribute::read).collect();
        let first = |key: &[u8]| -> Vec<u8> {
            let found = attributes.iter().find(|attribute| attribute.key == key);
            found.map(|attribute| attribute.value.clone().into_text().into_owned()).unwrap_or_default()
        };
        let (service, namespace, instance) = (first(SERVICE_NAME), first(SERVICE_NAMESPACE), first(SERVICE_INSTANCE));
        let job = if service.is_empty() || namespace.is_empty() {
            service
        } else {
            [namespace, b"/".to_vec(), service].concat()
        };
        let derived = [("instance", instance), ("job", job)].into_iter().filter(|(_, text)| !text.is_empty());
        let derived = derived.collect();
        sort(&mut attributes);
        let mut set = vec![];
        push_set(&mut set, &attributes);
        let id = xxh3_64(&set);
        // The attributes that make a resource another one: its service's, or all when it names no instance.
        if attributes.iter().any(|attribute| attribute.key == SERVICE_INSTANCE) {
            attributes.retain(|a| [SERVICE_NAME, SERVICE_NAMESPACE, SERVICE_INSTANCE].contains(&a.key));
        }
        let mut identity = vec![];
        push_sized_with(&mut identity, |out| push_set(out, &attributes));
        Self { owner, id, identity, derived, written: false }
    }

    fn write(&mut self, columns: &mut ResourceColumns, bytes: &Bytes) {
        if std::mem::replace(&mut self.written, true) {
            columns.repeat(1);
        } else {
            columns.push(bytes.message(self.owner.resource), bytes.at(self.owner.schema_url));
        }
    }
}

impl<'a> ScopePart<'a> {
    fn new(scope: &'a Scope, bytes: &Bytes) -> Self {
        let (mut name, mut version) = (&b""[..], &b""[..]);
        let message = bytes.message(scope.scope);
        for field in Fields::new(message) {
            match (field.number, field.content) {
                (1, Content::Length(text)) => name = text,
                (2, Content::Length(text)) => version = text,
                _ => {}
            }
        }
        let mut attributes: Vec<_> = messages(message, 3).map(Attribute::read).collect();
        sort(&mut attributes);
        let mut identity = vec![];
        push_sized(&mut identity, name);
        push_sized(&mut identity, version);
        push_sized_with(&mut identity, |out| push_set(out, &attributes));
        let mut labels = vec![];
        if name != TRANSLATOR.as_bytes() {
            let named = [("otel_scope_name", name), ("otel_scope_version", version)];
            let given = named.into_iter().filter(|(_, text)| !text.is_empty());
            labels.extend(given.map(|(label, text)| (label.to_owned(), text.to_vec())));
            labels.extend(attributes.iter().map(|attribute| {
                let label = format!("otel_scope_{}", String::from_utf8_lossy(attribute.key));
                (label, attribute.value.clone().into_text().into_owned())
            }));
        }
        Self { scope, identity, labels, written: false }
    }

    fn write(&mut self, columns: &mut ScopeColumns, bytes: &Bytes) {
        if std::mem::replace(&mut self.written, true) {
            columns.repeat(1);
        } else {
            columns.push(bytes.message(self.scope.scope), bytes.at(self.scope.schema_url));
        }
    }
}

impl<'a> MetricPart<'a> {
    pub(crate) fn new(metric: &Metric, bytes: &Bytes<'a>) -> Self {
        let message = bytes.at(metric.rest);
        let kind = Kind::of_field(metric.kind);
        let (mut name, mut description, mut unit) = (&b""[..], &b""[..], &b""[..]);
        for field in Fields::new(message) {
            match (field.number, field.content) {
                (1, Content::Length(text)) => name = text,
                (2, Content::Length(text)) => description = text,
                (3, Content::Length(text)) => unit = text,
                _ => {}
            }
        }
        let (mut temporality, mut monotonic) = (0, false);
        if !matches!(kind, Kind::Gauge | Kind::Summary) {
            for field in Fields::new(bytes.at(metric.data_rest)) {
                match (field.number, field.content) {
                    (2, Content::Varint(number)) => temporality = number as i32,
                    (3, Content::Varint(number)) if kind == Kind::Sum => monotonic = number != 0,
                    _ => {}
                }
            }
        }
        let mut temporality_name = vec![];
        match usize::try_from(temporality).ok().and_then(|index| TEMPORALITIES.get(index)) {
            Some(known) => temporality_name.extend_from_slice(known),
            None => write_integer(temporality.into(), &mut temporality_name),
        }
        // Both passed `validate`, so that nothing is lost here.
        let is_prometheus = messages(message, 12).any(|data| Attribute::read(data).key == PROMETHEUS_TYPE.as_bytes());
        let text = String::from_utf8_lossy(name);
        let family = if is_prometheus {
            text.into_owned()
        } else {
            let unit = String::from_utf8_lossy(unit);
            family_name(&text, &unit, kind == Kind::Sum && monotonic, kind == Kind::Gauge)
        };
        Self { kind, name, description, unit, message, temporality: temporality_name, monotonic, is_prometheus, family }
    }

    /// What all points of a metric have in their signs: as much as tells its series, and their resources, from others.
    fn sign(&self, resource: &ResourcePart, scope: &ScopePart) -> Sign {
        let mut common = vec![];
        self.push_identity(&mut common, false);
        push_sized(&mut common, &scope.identity);
        push_sized(&mut common, &resource.identity);
        common.extend(resource.id.to_le_bytes());
        xxh3_128(&common)
    }

    fn push_identity(&self, out: &mut Vec<u8>, integer: bool) {
        let flag = |yes: bool| if yes { b"1" } else { b"0" };
        push_sized(out, self.name);
        if self.is_prometheus {
            return push_sized(out, PROMETHEUS_TYPE.as_bytes());
        }
        push_sized(out, self.unit);
        push_sized(out, &[b'0' + self.kind as u8]);
        push_sized(out, &self.temporality);
        push_sized(out, flag(self.monotonic));
        push_sized(out, flag(integer));
    }
}

impl Series {
    #[expect(clippy::too_many_arguments)]
    fn push(
        &mut self,
        id: u64,
        part: &MetricPart,
        point: &Point,
        sorted: &[Attribute],
        integer: bool,
        resource: &ResourcePart,
        scope: &ScopePart,
        arrived: u64,
    ) {
        self.rows += 1;
        self.id.push(id);
        self.metric.push(part.family.as_bytes());
        self.otel_name.push(part.name);
        self.kind.push(part.kind as u8);
        self.unit.push(part.unit);
        self.temporality.push(&part.temporality);
        self.monotonic.push(part.monotonic);
        self.integer.push(integer);
        point.attributes.iter().for_each(|attribute| self.attributes.add_attribute(attribute));
        self.attributes.end_row();
        messages(part.message, 12).for_each(|data| self.metadata.add(data));
        self.metadata.end_row();
        self.bounds.push(&point.bounds);
        self.help.push(part.description);
        self.resource_id.push(resource.id);
        self.time.push((arrived / SECOND_NANO) as u32);
        self.push_labels(sorted, part.is_prometheus, resource, scope);
    }

    fn push_labels(&mut self, sorted: &[Attribute], is_prometheus: bool, resource: &ResourcePart, scope: &ScopePart) {
        let texts: Vec<_> = sorted
            .iter()
            .map(|attribute| (String::from_utf8_lossy(attribute.key), attribute.value.clone().into_text()))
            .collect();
        let mut derived: Vec<_> = resource.derived.iter().map(|(name, text)| (*name, text.as_slice())).collect();
        if is_prometheus {
            derived.extend(scope.labels.iter().map(|(name, text)| (name.as_str(), text.as_slice())));
        }
        let labels = labels(texts.iter().map(|(key, text)| (key.as_ref(), text.as_ref())), &derived, is_prometheus);
        for (name, text) in &labels {
            self.labels.add_text(name.as_bytes(), text);
        }
        self.labels.end_row();
    }
}

/// The time that is stored for a point, and where it comes from.
fn stored_time(point: &Point, arrived: u64) -> (u64, u8) {
    if point.time > 0 { (point.time, SENT) } else { (arrived, ARRIVAL) }
}

impl Points {
    fn push(&mut self, id: u64, part: &MetricPart, point: &Point, arrived: u64) {
        let (time, source) = stored_time(point, arrived);
        self.rows += 1;
        self.metric.push(part.family.as_bytes());
        self.id.push(id);
        self.time.push(time);
        self.start.push(point.start);
        self.flags.push(point.flags);
        self.source.push(source);
    }
}

impl Exemplars {
    fn push(&mut self, exemplar: &[u8], id: u64, part: &MetricPart, point_time: u64) {
        let (mut time, mut number) = (0, Number::Absent);
        let (mut trace_id, mut span_id) = (&b""[..], &b""[..]);
        for field in Fields::new(exemplar) {
            match (field.number, field.content) {
                (2, Content::Fixed64(nano)) => time = nano,
                (3, Content::Fixed64(bits)) => number = Number::Double(f64::from_bits(bits)),
                (4, Content::Length(bytes)) => span_id = bytes,
                (5, Content::Length(bytes)) => trace_id = bytes,
                (6, Content::Fixed64(bits)) => number = Number::Int(bits as i64),
                (7, Content::Length(data)) => self.attributes.add(data),
                _ => {}
            }
        }
        let (value, residue) = number.stored(0);
        self.rows += 1;
        self.metric.push(part.family.as_bytes());
        self.id.push(id);
        self.time.push(time);
        self.point_time.push(point_time);
        self.value.push(value);
        self.residue.push(residue);
        self.integer.push(matches!(number, Number::Int(_)));
        self.trace_id.push_hex(trace_id);
        self.span_id.push_hex(span_id);
        self.attributes.end_row();
    }
}

impl Tables for Metrics {
    fn blocks(&self) -> Vec<Block<'_>> {
        let mut blocks = vec![
            self.series.block(),
            self.samples.block(),
            self.histograms.block(),
            self.summaries.block(),
            self.exemplars.block(),
        ];
        blocks.retain(|block| block.rows > 0);
        blocks
    }
}

impl Series {
    fn block(&self) -> Block<'_> {
        let Self { resource, scope, .. } = self;
        let columns = vec![
            column("id", "UInt64", &self.id),
            column("metric", LC, &self.metric),
            column("otel_name", LC, &self.otel_name),
            column("kind", KIND, &self.kind),
            column("unit", LC, &self.unit),
            column("temporality", LC, &self.temporality),
            column("monotonic", "Bool", &self.monotonic),
            column("integer", "Bool", &self.integer),
            column("service", LC, &resource.service),
            column("labels", MAP, &self.labels),
            column("attributes", MAP, &self.attributes.map),
            column("attributes_types", LC, &self.attributes.types),
            column("resource", MAP, &resource.attributes.map),
            column("resource_types", LC, &resource.attributes.types),
            column("resource_schema_url", LC, &resource.schema_url),
            column("resource_dropped_attributes_count", "UInt32", &resource.dropped),
            column("resource_entity_refs", "String", &resource.entity_refs),
            column("scope_name", LC, &scope.name),
            column("scope_version", LC, &scope.version),
            column("scope_attributes", MAP, &scope.attributes.map),
            column("scope_attributes_types", LC, &scope.attributes.types),
            column("scope_schema_url", LC, &scope.schema_url),
            column("scope_dropped_attributes_count", "UInt32", &scope.dropped),
            column("metadata", MAP, &self.metadata.map),
            column("metadata_types", LC, &self.metadata.types),
            column("bounds", "Array(Float64)", &self.bounds),
            column("help", "String", &self.help),
            column("resource_id", "UInt64", &self.resource_id),
            column("min_time", "DateTime", &self.time),
            column("max_time", "DateTime", &self.time),
        ];
        Block { table: "metric_series", rows: self.rows, columns }
    }
}

impl Samples {
    fn block(&self) -> Block<'_> {
        let columns = vec![
            column("metric", LC, &self.points.metric),
            column("id", "UInt64", &self.points.id),
            column("ts", TIME, &self.points.time),
            column("value", "Float64", &self.value),
            column("start", TIME, &self.points.start),
            column("flags", "UInt32", &self.points.flags),
            column("value_residue", "Int16", &self.residue),
            column("ts_source", POINT_SOURCE, &self.points.source),
        ];
        Block { table: "metric_samples", rows: self.points.rows, columns }
    }
}

impl Histograms {
    fn block(&self) -> Block<'_> {
        let columns = vec![
            column("metric", LC, &self.points.metric),
            column("id", "UInt64", &self.points.id),
            column("ts", TIME, &self.points.time),
            column("start", TIME, &self.points.start),
            column("count", "UInt64", &self.count),
            column("sum", "Nullable(Float64)", &self.sum),
            column("schema", "Int32", &self.schema),
            column("zero_threshold", "Float64", &self.zero_threshold),
            column("zero_count", "UInt64", &self.zero_count),
            column("pos_offset", "Int32", &self.positive_offset),
            column("pos", "Array(UInt64)", &self.positive),
            column("neg_offset", "Int32", &self.negative_offset),
            column("neg", "Array(UInt64)", &self.negative),
            column("min", "Nullable(Float64)", &self.min),
            column("max", "Nullable(Float64)", &self.max),
            column("flags", "UInt32", &self.points.flags),
            column("ts_source", POINT_SOURCE, &self.points.source),
        ];
        Block { table: "metric_histograms", rows: self.points.rows, columns }
    }
}

impl Summaries {
    fn block(&self) -> Block<'_> {
        let columns = vec![
            column("metric", LC, &self.points.metric),
            column("id", "UInt64", &self.points.id),
            column("ts", TIME, &self.points.time),
            column("start", TIME, &self.points.start),
            column("count", "UInt64", &self.count),
            column("sum", "Float64", &self.sum),
            column("quantiles", "Array(Float64)", &self.quantiles),
            column("values", "Array(Float64)", &self.values),
            column("flags", "UInt32", &self.points.flags),
            column("ts_source", POINT_SOURCE, &self.points.source),
        ];
        Block { table: "metric_summaries", rows: self.points.rows, columns }
    }
}

impl Exemplars {
    fn block(&self) -> Block<'_> {
        let columns = vec![
            column("metric", LC, &self.metric),
            column("id", "UInt64", &self.id),
            column("ts", TIME, &self.time),
            column("point_ts", TIME, &self.point_time),
            column("value", "Float64", &self.value),
            column("value_residue", "Int16", &self.residue),
            column("integer", "Bool", &self.integer),
            column("trace_id", "String", &self.trace_id),
            column("span_id", "String", &self.span_id),
            column("attributes", MAP, &self.attributes.map),
            column("attributes_types", LC, &self.attributes.types),
        ];
        Block { table: "metric_exemplars", rows: self.rows, columns }
    }
}
