//! Points by their metrics, scopes and resources, and the payload that they make.

use std::collections::HashMap;

use super::STALE_MARKER;
use super::announced::{Announced, Family, Learned, Target};
use super::histogram::Histogram;
use super::request::Labels;
use crate::prometheus_names::{PROMETHEUS_TYPE, TRANSLATOR};
use crate::series::push_sized;
use crate::wire::{Malformed, push_delimited, push_varint};

const TYPES: [&[u8]; 8] =
    [b"unknown", b"counter", b"gauge", b"histogram", b"gaugehistogram", b"summary", b"info", b"stateset"];
const CUMULATIVE: u64 = 2;
const NO_RECORDED_VALUE: u64 = 1;
const NANO_PER_MILLI: i64 = 1_000_000;

/// What OTLP makes of a series.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Data {
    Gauge,
    Counter,
    Sum,
    Explicit,
    Exponential,
}

impl Data {
    /// Of the samples of a series whose family has this type.
    ///
    /// The series that a classic histogram or a summary comes in stay series of their own: nothing says that one
    /// request has them all.
    pub fn of_samples(name: &[u8], type_number: u32) -> Self {
        let ends_with = |suffixes: &[&[u8]]| suffixes.iter().any(|suffix| name.ends_with(suffix));
        match type_number {
            1 => Self::Counter,
            3 if ends_with(&[b"_bucket", b"_sum", b"_count"]) => Self::Counter,
            5 if ends_with(&[b"_sum", b"_count"]) => Self::Counter,
            6 | 7 => Self::Sum,
            _ => Self::Gauge,
        }
    }

    fn field(self) -> u32 {
        match self {
            Self::Gauge => 5,
            Self::Counter | Self::Sum => 7,
            Self::Explicit => 9,
            Self::Exponential => 10,
        }
    }

    /// The tag of a point's attributes.
    fn attributes_tag(self) -> u8 {
        match self {
            Self::Gauge | Self::Counter | Self::Sum => 0x3a,
            Self::Explicit => 0x4a,
            Self::Exponential => 0x0a,
        }
    }
}

/// A time in milliseconds as OTLP has it; None for one that it cannot have.
pub fn nano(milli: i64) -> Option<u64> {
    if milli <= 0 { None } else { milli.checked_mul(NANO_PER_MILLI).map(|nano| nano as u64) }
}

/// Where the points of a series belong.
pub struct Place<'a> {
    pub name: &'a [u8],
    family: Family<'a>,
    job: &'a [u8],
    instance: &'a [u8],
    scope_name: &'a [u8],
    scope_version: &'a [u8],
    scope_schema_url: &'a [u8],
    scope_attributes: Labels<'a>,
    labels: &'a Labels<'a>,
    /// The attributes of a point of samples, with their tags.
    attributes: Vec<u8>,
}

impl<'a> Place<'a> {
    /// `room` is a buffer to use again.
    pub fn new(labels: &'a Labels<'a>, name: &'a [u8], family: Family<'a>, mut room: Vec<u8>) -> Self {
        room.clear();
        let mut place = Self {
            name,
            family,
            job: &[],
            instance: &[],
            scope_name: &[],
            scope_version: &[],
            scope_schema_url: &[],
            scope_attributes: vec![],
            labels,
            attributes: room,
        };
        for &(name, value) in labels {
            match name {
                b"__name__" => {}
                b"job" => place.job = value,
                b"instance" => place.instance = value,
                b"otel_scope_name" => place.scope_name = value,
                b"otel_scope_version" => place.scope_version = value,
                b"otel_scope_schema_url" => place.scope_schema_url = value,
                _ => match scope_attribute(name) {
                    Some(attribute) => place.scope_attributes.push((attribute, value)),
                    None => push_attribute(&mut place.attributes, Data::Gauge.attributes_tag(), name, value),
                },
            }
        }
        if place.scope_name.is_empty() && place.scope_version.is_empty() {
            place.scope_name = TRANSLATOR.as_bytes();
        }
        place
    }

    /// The buffer that it was given.
    pub fn into_room(self) -> Vec<u8> {
        self.attributes
    }

    fn push_attributes(&self, out: &mut Vec<u8>, data: Data) {
        let others = |name: &[u8]| matches!(name, b"__name__" | b"job" | b"instance") || is_of_scope(name);
        for (name, value) in self.labels.iter().filter(|(name, _)| !others(name)) {
            push_attribute(out, data.attributes_tag(), name, value);
        }
    }

    fn write_resource_key(&self, out: &mut Vec<u8>) {
        push_sized(out, self.job);
        push_sized(out, self.instance);
    }

    fn write_scope_key(&self, out: &mut Vec<u8>) {
        push_sized(out, self.scope_name);
        push_sized(out, self.scope_version);
        push_sized(out, self.scope_schema_url);
        for (name, value) in &self.scope_attributes {
            push_sized(out, name);
            push_sized(out, value);
        }
    }

    fn scope_size(&self) -> usize {
        let attributes = self.scope_attributes.iter().map(|(name, value)| name.len() + value.len());
        self.scope_name.len() + self.scope_version.len() + self.scope_schema_url.len() + attributes.sum::<usize>()
    }
}

/// Exemplars as OTLP, with their times, and the points that have them.
#[derive(Default)]
pub struct Exemplars {
    pub list: Vec<(u64, Vec<u8>)>,
    /// For every exemplar the number of its point.
    pub assigned: Vec<Option<usize>>,
    pub taken: usize,
}

impl Exemplars {
    /// Give each exemplar to the first point at its time or later, else to the last; None is a point that there is not.
    pub fn assign(&mut self, times: &[Option<u64>]) {
        let last = times.iter().rposition(Option::is_some);
        let point = |exemplar: u64| times.iter().position(|time| time.is_some_and(|time| time >= exemplar)).or(last);
        self.assigned = self.list.iter().map(|(time, _)| point(*time)).collect();
        self.taken = self.assigned.iter().flatten().count();
    }

    /// Those of a point.
    pub fn of(&self, point: usize) -> impl Iterator<Item = &[u8]> {
        let of_point = self.list.iter().zip(&self.assigned).filter(move |(_, assigned)| **assigned == Some(point));
        of_point.map(|((_, message), _)| message.as_slice())
    }
}

struct Metric {
    name: Vec<u8>,
    help: Vec<u8>,
    unit: Vec<u8>,
    type_number: u32,
    data: Data,
    /// The messages of all points, with tags and sizes.
    points: Vec<u8>,
}

struct Scope {
    message: Vec<u8>,
    schema_url: Vec<u8>,
    metrics: Vec<usize>,
}

struct Resource {
    target: Target,
    scopes: Vec<usize>,
}

/// All that a request becomes.
pub struct Tree {
    limit: usize,
    size: usize,
    resources: Vec<Resource>,
    scopes: Vec<Scope>,
    metrics: Vec<Metric>,
    /// Where each stands, by what it is.
    resource_keys: HashMap<Vec<u8>, usize>,
    scope_keys: HashMap<Vec<u8>, usize>,
    metric_keys: HashMap<Vec<u8>, usize>,
    key: Vec<u8>,
    last: Option<(Vec<u8>, usize)>,
    point: Vec<u8>,
}

impl Tree {
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            size: 0,
            resources: vec![],
            scopes: vec![],
            metrics: vec![],
            resource_keys: HashMap::new(),
            scope_keys: HashMap::new(),
            metric_keys: HashMap::new(),
            key: vec![],
            last: None,
            point: vec![],
        }
    }

    /// Count bytes of the payload before they are there.
    pub fn spend(&mut self, bytes: usize) -> Result<(), Malformed> {
        self.size = self.size.saturating_add(bytes);
        if self.size > self.limit { Err(Malformed::new("larger as OTLP than is allowed", 0)) } else { Ok(()) }
    }

    /// The number of a metric, which is added where it is new.
    pub fn metric(&mut self, place: &Place, data: Data) -> Result<usize, Malformed> {
        let mut key = std::mem::take(&mut self.key);
        key.clear();
        place.write_resource_key(&mut key);
        push_sized(&mut key, place.name);
        push_sized(&mut key, place.family.unit);
        key.extend_from_slice(&place.family.type_number.to_le_bytes());
        key.push(data as u8);
        place.write_scope_key(&mut key);
        let found = match &self.last {
            Some((last, metric)) if *last == key => Some(*metric),
            _ => self.metric_keys.get(&key).copied(),
        };
        let metric = match found {
            Some(metric) => {
                self.describe(metric, place.family.help)?;
                metric
            }
            None => self.add_metric(place, data)?,
        };
        match &mut self.last {
            Some((last, last_metric)) if *last_metric != metric => {
                std::mem::swap(last, &mut key);
                *last_metric = metric;
            }
            Some(_) => {}
            None => self.last = Some((key.clone(), metric)),
        }
        if found.is_none() {
            let whole = self.last.as_ref().map_or_else(Vec::new, |(last, _)| last.clone());
            self.metric_keys.insert(whole, metric);
        }
        self.key = key;
        Ok(metric)
    }

    /// Of several descriptions the longest is kept.
    fn describe(&mut self, metric: usize, help: &[u8]) -> Result<(), Malformed> {
        if help.len() > self.metrics[metric].help.len() {
            self.spend(help.len())?;
            self.metrics[metric].help = help.to_vec();
        }
        Ok(())
    }

    fn add_metric(&mut self, place: &Place, data: Data) -> Result<usize, Malformed> {
        let mut key = vec![];
        place.write_resource_key(&mut key);
        let resource = match self.resource_keys.get(&key) {
            Some(resource) => *resource,
            None => {
                self.spend(place.job.len() + place.instance.len())?;
                let target = (place.job.to_vec(), place.instance.to_vec());
                self.resources.push(Resource { target, scopes: vec![] });
                self.resource_keys.insert(key.clone(), self.resources.len() - 1);
                self.resources.len() - 1
            }
        };
        place.write_scope_key(&mut key);
        let scope = match self.scope_keys.get(&key) {
            Some(scope) => *scope,
            None => {
                self.spend(place.scope_size())?;
                self.scopes.push(Scope {
                    message: scope_message(place),
                    schema_url: place.scope_schema_url.to_vec(),
                    metrics: vec![],
                });
                let scope = self.scopes.len() - 1;
                self.resources[resource].scopes.push(scope);
                self.scope_keys.insert(key, scope);
                scope
            }
        };
        let family = place.family;
        self.spend(place.name.len() + family.unit.len() + family.help.len())?;
        self.metrics.push(Metric {
            name: place.name.to_vec(),
            help: family.help.to_vec(),
            unit: family.unit.to_vec(),
            type_number: family.type_number,
            data,
            points: vec![],
        });
        let metric = self.metrics.len() - 1;
        self.scopes[scope].metrics.push(metric);
        Ok(metric)
    }

    /// Add a sample to a metric; the times are in nanoseconds, the value as bits.
    pub fn push_sample<'e>(
        &mut self,
        metric: usize,
        place: &Place,
        start: u64,
        time: u64,
        value: u64,
        exemplars: impl Iterator<Item = &'e [u8]>,
    ) -> Result<(), Malformed> {
        let mut point = std::mem::take(&mut self.point);
        point.clear();
        if start > 0 {
            push_fixed(&mut point, 0x11, start);
        }
        push_fixed(&mut point, 0x19, time);
        if value != STALE_MARKER {
            push_fixed(&mut point, 0x21, value);
        }
        exemplars.for_each(|exemplar| push_bytes(&mut point, 0x2a, exemplar));
        point.extend_from_slice(&place.attributes);
        if value == STALE_MARKER {
            point.extend_from_slice(&[0x40, NO_RECORDED_VALUE as u8]);
        }
        self.push_point(metric, point)
    }

    /// Add a native histogram to a metric.
    pub fn push_histogram<'e>(
        &mut self,
        metric: usize,
        place: &Place,
        histogram: &Histogram,
        exemplars: impl Iterator<Item = &'e [u8]>,
    ) -> Result<(), Malformed> {
        let mut point = std::mem::take(&mut self.point);
        point.clear();
        if histogram.is_explicit() {
            histogram.write_explicit(&mut point, exemplars, |out| place.push_attributes(out, Data::Explicit));
        } else {
            histogram.write_exponential(&mut point, exemplars, |out| place.push_attributes(out, Data::Exponential));
        }
        self.push_point(metric, point)
    }

    fn push_point(&mut self, metric: usize, point: Vec<u8>) -> Result<(), Malformed> {
        self.spend(point.len())?;
        push_delimited(&mut self.metrics[metric].points, 1, &point);
        self.point = point;
        Ok(())
    }

    /// The payload; resources have what this request or those before it told of their targets.
    pub fn finish(self, learned: &Learned, announced: &Announced) -> Vec<u8> {
        let mut payload = Vec::with_capacity(self.size + self.size / 8);
        let (mut in_resource, mut in_scope) = (vec![], vec![]);
        for resource in &self.resources {
            in_resource.clear();
            push_bytes(&mut in_resource, 0x0a, &resource_message(&resource.target, learned, announced));
            for scope in resource.scopes.iter().map(|&scope| &self.scopes[scope]) {
                in_scope.clear();
                push_bytes(&mut in_scope, 0x0a, &scope.message);
                scope.metrics.iter().for_each(|&metric| self.metrics[metric].write(&mut in_scope));
                if !scope.schema_url.is_empty() {
                    push_bytes(&mut in_scope, 0x1a, &scope.schema_url);
                }
                push_bytes(&mut in_resource, 0x12, &in_scope);
            }
            push_bytes(&mut payload, 0x0a, &in_resource);
        }
        payload
    }
}

impl Metric {
    /// Append the message with its tag.
    fn write(&self, out: &mut Vec<u8>) {
        let mut head = vec![];
        for (tag, text) in [(0x0a, &self.name), (0x12, &self.help), (0x1a, &self.unit)] {
            if !text.is_empty() {
                push_bytes(&mut head, tag, text);
            }
        }
        let behind: &[u8] = match self.data {
            Data::Gauge => &[],
            Data::Counter => &[0x10, CUMULATIVE as u8, 0x18, 1],
            Data::Sum | Data::Explicit | Data::Exponential => &[0x10, CUMULATIVE as u8],
        };
        push_varint(&mut head, u64::from(self.data.field() << 3 | 2));
        push_varint(&mut head, (self.points.len() + behind.len()) as u64);
        let mut tail = behind.to_vec();
        let type_name = TYPES.get(self.type_number as usize).copied().unwrap_or(TYPES[0]);
        push_attribute(&mut tail, 0x62, PROMETHEUS_TYPE.as_bytes(), type_name);
        out.push(0x12);
        push_varint(out, (head.len() + self.points.len() + tail.len()) as u64);
        out.extend_from_slice(&head);
        out.extend_from_slice(&self.points);
        out.extend_from_slice(&tail);
    }
}

fn resource_message(target: &Target, learned: &Learned, announced: &Announced) -> Vec<u8> {
    let (job, instance) = target;
    let mut identity: Vec<(&[u8], &[u8])> = vec![];
    // As Collectors take it apart; another number of slashes is part of the name.
    match job.iter().position(|&byte| byte == b'/') {
        Some(at) if !job[at + 1..].contains(&b'/') => {
            identity.push((b"service.namespace", &job[..at]));
            identity.push((b"service.name", &job[at + 1..]));
        }
        _ => identity.push((b"service.name", job)),
    }
    identity.push((b"service.instance.id", instance));
    let mut message = vec![];
    for (key, value) in identity.iter().filter(|(_, value)| !value.is_empty()) {
        push_attribute(&mut message, 0x0a, key, value);
    }
    let others = learned.targets.get(target).or_else(|| announced.target(target));
    for (key, value) in others.into_iter().flatten() {
        if ![&b"service.namespace"[..], b"service.name", b"service.instance.id"].contains(&key.as_slice()) {
            push_attribute(&mut message, 0x0a, key, value);
        }
    }
    message
}

fn scope_message(place: &Place) -> Vec<u8> {
    let mut message = vec![];
    for (tag, text) in [(0x0a, place.scope_name), (0x12, place.scope_version)] {
        if !text.is_empty() {
            push_bytes(&mut message, tag, text);
        }
    }
    for (name, value) in &place.scope_attributes {
        push_attribute(&mut message, 0x1a, name, value);
    }
    message
}

/// The attribute of the scope that a label is.
fn scope_attribute(label: &[u8]) -> Option<&[u8]> {
    label.strip_prefix(b"otel_scope_").filter(|rest| !rest.is_empty())
}

fn is_of_scope(label: &[u8]) -> bool {
    scope_attribute(label).is_some()
}

/// How many bytes a varint takes.
fn varint_size(value: usize) -> usize {
    (usize::BITS - (value | 1).leading_zeros()).div_ceil(7) as usize
}

/// Append a `KeyValue` with a text.
pub fn push_attribute(out: &mut Vec<u8>, tag: u8, key: &[u8], value: &[u8]) {
    if key.len() + value.len() < 0x80 - 6 {
        let (key_size, value_size) = (key.len() as u8, value.len() as u8);
        out.reserve(8 + key.len() + value.len());
        out.extend_from_slice(&[tag, key_size + value_size + 6, 0x0a, key_size]);
        out.extend_from_slice(key);
        out.extend_from_slice(&[0x12, value_size + 2, 0x0a, value_size]);
        return out.extend_from_slice(value);
    }
    let any_value = 1 + varint_size(value.len()) + value.len();
    let size = 1 + varint_size(key.len()) + key.len() + 1 + varint_size(any_value) + any_value;
    out.push(tag);
    push_varint(out, size as u64);
    push_bytes(out, 0x0a, key);
    out.push(0x12);
    push_varint(out, any_value as u64);
    push_bytes(out, 0x0a, value);
}

/// Append a length-delimited field.
pub fn push_bytes(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    out.push(tag);
    push_varint(out, content.len() as u64);
    out.extend_from_slice(content);
}

/// Append a field of eight bytes.
pub fn push_fixed(out: &mut Vec<u8>, tag: u8, bits: u64) {
    out.push(tag);
    out.extend_from_slice(&bits.to_le_bytes());
}
