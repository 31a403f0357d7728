//! The requests that are sent, made before the first one goes.

use std::io::Write;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use airis_payloads::{Id, Kind, numbers, payload, renumber};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::Fault;
use super::arguments::Arguments;

/// Levels as senders have them by default.
const GZIP_LEVEL: u32 = 6;
const ZSTD_LEVEL: i32 = 3;
/// The flag and the size before a gRPC message.
pub const GRPC_PREFIX: usize = 5;

/// Bytes of one request, ready for a connection.
#[derive(Clone)]
pub struct Body {
    pub bytes: Rc<Vec<u8>>,
    /// Index of the body that it was made of.
    source: usize,
}

struct Source {
    bytes: Rc<Vec<u8>>,
    ids: Vec<Id>,
}

/// How to make the bodies.
pub struct Wanted {
    pub kind: Kind,
    pub items: usize,
    pub variants: usize,
    pub compression: String,
    pub unique_ids: bool,
    pub grpc: bool,
}

impl Wanted {
    pub fn of(arguments: &mut Arguments, grpc: bool) -> Result<Self, Fault> {
        Ok(Self {
            kind: kind(arguments)?,
            items: arguments.number("items", 512)?.max(1) as usize,
            variants: arguments.number("variants", 1)?.max(1) as usize,
            compression: arguments.text("compression", "none"),
            unique_ids: arguments.text("ids", "fixed") == "unique",
            grpc,
        })
    }
}

/// What `--kind` says.
pub fn kind(arguments: &mut Arguments) -> Result<Kind, Fault> {
    let name = arguments.text("kind", "spans");
    Kind::from_name(&name).ok_or_else(|| format!("--kind {name} is not spans, logs, numbers or histograms").into())
}

/// Nanoseconds since the epoch.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

/// Gives a body for every request, from a few that were made before.
pub struct Bodies {
    pub items: usize,
    /// Bytes of all variants together, before compression.
    pub plain_bytes: usize,
    pub wire_bytes: usize,
    unique_ids: bool,
    sources: Vec<Source>,
    next: usize,
    first_id: u64,
    /// Bodies that came back, to be given other ids.
    idle: Vec<Body>,
}

impl Bodies {
    pub fn make(wanted: &Wanted) -> Result<Self, Fault> {
        if wanted.unique_ids && wanted.compression != "none" {
            return Err("--ids unique: ids cannot be changed in a compressed body; use --variants".into());
        }
        let (mut plain_bytes, mut wire_bytes, mut sources) = (0, 0, Vec::new());
        for seed in 1..=wanted.variants as u64 {
            let made = payload(wanted.kind, wanted.items, seed, now());
            plain_bytes += made.bytes.len();
            let content = compressed(&wanted.compression, made.bytes)?;
            let mut bytes = Vec::with_capacity(content.len() + GRPC_PREFIX);
            let mut ids = made.ids;
            if wanted.grpc {
                bytes.push(u8::from(wanted.compression != "none"));
                bytes.extend_from_slice(&u32::try_from(content.len())?.to_be_bytes());
                ids.iter_mut().for_each(|id| id.at += GRPC_PREFIX);
            }
            bytes.extend_from_slice(&content);
            wire_bytes += bytes.len();
            sources.push(Source { bytes: Rc::new(bytes), ids });
        }
        let (items, unique_ids) = (wanted.items, wanted.unique_ids);
        // Another run's ids are others.
        let first_id = now();
        Ok(Self { items, plain_bytes, wire_bytes, unique_ids, sources, next: 0, first_id, idle: Vec::new() })
    }

    pub fn variants(&self) -> usize {
        self.sources.len()
    }

    /// The next body.
    pub fn take(&mut self) -> Body {
        if !self.unique_ids {
            let source = self.next;
            self.next = (self.next + 1) % self.sources.len();
            return Body { bytes: self.sources[source].bytes.clone(), source };
        }
        let mut body = self.idle.pop().unwrap_or_else(|| {
            let source = self.next;
            self.next = (self.next + 1) % self.sources.len();
            Body { bytes: Rc::new(self.sources[source].bytes.as_ref().clone()), source }
        });
        // Copied only where a connection has not sent all of it: its call was answered before.
        let bytes: &mut Vec<u8> = Rc::make_mut(&mut body.bytes);
        renumber(bytes, &self.sources[body.source].ids, self.first_id);
        self.first_id = self.first_id.wrapping_add(numbers(self.items));
        body
    }

    /// A body whose request was answered.
    pub fn give_back(&mut self, body: Body) {
        if self.unique_ids {
            self.idle.push(body);
        }
    }
}

fn compressed(compression: &str, plain: Vec<u8>) -> Result<Vec<u8>, Fault> {
    match compression {
        "none" => Ok(plain),
        "gzip" => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL));
            encoder.write_all(&plain)?;
            Ok(encoder.finish()?)
        }
        "zstd" => Ok(zstd::bulk::compress(&plain, ZSTD_LEVEL)?),
        _ => Err(format!("--compression {compression} is not none, gzip or zstd").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(compression: &str, unique_ids: bool, variants: usize) -> Wanted {
        let compression = compression.to_owned();
        Wanted { kind: Kind::Spans, items: 16, variants, compression, unique_ids, grpc: true }
    }

    #[test]
    fn every_request_has_other_ids_where_that_is_wanted() {
        let mut bodies = Bodies::make(&wanted("none", true, 2)).unwrap();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..20 {
            let body = bodies.take();
            assert!(seen.insert(body.bytes.as_ref().clone()));
            bodies.give_back(body);
        }
        let held = bodies.take();
        let before = held.bytes.as_ref().clone();
        bodies.give_back(held.clone());
        bodies.take();
        assert_eq!(*held.bytes, before, "a body that is still being sent stays as it is");
    }

    #[test]
    fn compressed_bodies_come_back_whole() {
        for compression in ["gzip", "zstd"] {
            let bodies = Bodies::make(&wanted(compression, false, 1)).unwrap();
            let message = &bodies.sources[0].bytes;
            assert_eq!(message[0], 1);
            assert_eq!(u32::from_be_bytes(message[1..5].try_into().unwrap()) as usize, message.len() - 5);
            let mut plain = Vec::new();
            match compression {
                "gzip" => std::io::copy(&mut flate2::read::GzDecoder::new(&message[5..]), &mut plain).unwrap(),
                _ => std::io::copy(&mut zstd::Decoder::new(&message[5..]).unwrap(), &mut plain).unwrap(),
            };
            assert_eq!(plain.len(), bodies.plain_bytes);
        }
        assert!(Bodies::make(&wanted("gzip", true, 1)).is_err());
    }
}
