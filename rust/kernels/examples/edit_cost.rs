//! What edits cost, in nanoseconds per span: `cargo run --release -p airis-kernels --example edit_cost`; with a word
//! behind, those with this word in their names.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use airis_kernels::buffers::Buffer;
use airis_kernels::edits::{Algorithm, Edit, Edits, Given, Level, Name, Source, Stages, When};
use airis_kernels::otlp::Signal;
use airis_kernels::scan::scan;
use airis_kernels::view::View;
use airis_kernels::wire::{push_delimited, push_varint};

/// Spans in all runs of one measurement.
const SPANS_PER_MEASUREMENT: usize = 1_500_000;

fn attribute(key: &str, value: &[u8]) -> Vec<u8> {
    let mut message = vec![];
    push_delimited(&mut message, 1, key.as_bytes());
    push_delimited(&mut message, 2, value);
    message
}

fn text(text: &str) -> Vec<u8> {
    let mut value = vec![];
    push_delimited(&mut value, 1, text.as_bytes());
    value
}

/// Some 410 bytes with ten attributes, as in the other measurements.
fn span(number: usize) -> Vec<u8> {
    let mut span = vec![];
    push_delimited(&mut span, 1, &(number as u128 | 1 << 100).to_be_bytes());
    push_delimited(&mut span, 2, &(number as u64).to_be_bytes());
    push_delimited(&mut span, 4, &(number as u64 + 1).to_be_bytes());
    push_delimited(&mut span, 5, b"GET /products/7");
    push_varint(&mut span, 6 << 3);
    push_varint(&mut span, 2);
    for field in [7, 8] {
        push_varint(&mut span, field << 3 | 1);
        span.extend_from_slice(&1_700_000_000_000_000_000_u64.to_le_bytes());
    }
    for (key, value) in [
        ("http.request.method", "GET"),
        ("url.path", &*format!("/products/{}", number % 97)),
        ("url.scheme", "https"),
        ("server.address", "shop.example"),
        ("client.address", &*format!("10.0.{}.{}", number % 7, number % 251)),
        ("user_agent.original", "benchmark/1.0"),
        ("network.protocol.version", "1.1"),
        ("http.route", "/products/{id}"),
    ] {
        push_delimited(&mut span, 9, &attribute(key, &text(value)));
    }
    push_delimited(&mut span, 9, &attribute("http.response.status_code", &[0x18, 0xc8, 0x01]));
    push_delimited(&mut span, 9, &attribute("server.port", &[0x18, 0xbb, 0x03]));
    span
}

fn payload(spans: usize) -> Vec<u8> {
    let (mut scope, mut owner, mut resource, mut payload) = (vec![], vec![], vec![], vec![]);
    for number in 0..10 {
        push_delimited(&mut resource, 1, &attribute(&format!("resource.attribute.{number}"), &text("value")));
    }
    (0..spans).for_each(|number| push_delimited(&mut scope, 2, &span(number)));
    push_delimited(&mut owner, 1, &resource);
    push_delimited(&mut owner, 2, &scope);
    push_delimited(&mut payload, 1, &owner);
    payload
}

fn at(level: Level, key: &str) -> Source {
    Source { level, name: Name::Attribute(key.as_bytes().into()), path: vec![] }
}

fn set(key: &str, value: Given) -> Edit {
    Edit::Set { target: at(Level::Item, key), value, when: When::Always }
}

fn hash(algorithm: &str) -> Edit {
    let algorithm = Algorithm::from_name(algorithm, b"secret").expect("the name of an algorithm");
    Edit::Hash(at(Level::Item, "client.address"), algorithm)
}

/// The best of many short runs: whatever else the machine does disturbs the fewest of those.
fn best_ns(spans: usize, mut work: impl FnMut()) -> f64 {
    let times = (0..SPANS_PER_MEASUREMENT.div_ceil(spans)).map(|_| {
        let start = Instant::now();
        work();
        start.elapsed().as_nanos() as f64 / spans as f64
    });
    times.fold(f64::INFINITY, f64::min)
}

/// The view after edits, and the bytes of all that is in it behind one another.
fn edit_and_encode(stages: &Stages, view: &View) -> usize {
    let edited = stages.apply(view, None).expect("less than 1 GiB");
    edited.as_ref().unwrap_or(view).encode().to_vec().len()
}

fn main() {
    let literal = || Given::Literal(text("production"));
    let rename = Edit::Rename {
        level: Level::Resource,
        old: b"resource.attribute.3"[..].into(),
        new: b"new"[..].into(),
        overwrites: true,
    };
    let delete = || Edit::Delete(at(Level::Item, "user_agent.original"));
    let programs = [
        ("nothing that is there", vec![Edit::Delete(at(Level::Item, "http.request.header"))]),
        ("set a new one", vec![set("deployment", literal())]),
        ("set one that is there", vec![set("url.scheme", literal())]),
        ("copy one of the resource", vec![set("deployment", Given::Copy(at(Level::Resource, "resource.attribute.5")))]),
        ("delete", vec![delete()]),
        ("hash with sha256", vec![hash("sha256")]),
        ("hash with hmac_sha256", vec![hash("hmac_sha256")]),
        ("hash with xxh3_64", vec![hash("xxh3_64")]),
        ("set, delete, hash with sha256", vec![set("deployment", literal()), delete(), hash("sha256")]),
        ("set, delete, hash with xxh3_64", vec![set("deployment", literal()), delete(), hash("xxh3_64")]),
        (
            "keep three keys",
            vec![Edit::KeepKeys {
                level: Level::Item,
                keys: ["url.path", "url.scheme", "http.route"].map(|key| key.as_bytes().into()).to_vec(),
            }],
        ),
        ("rename on the resource", vec![rename]),
    ];
    println!(
        "{:34}{:>12}{:>12}{:>12}{:>12}",
        "ns per span, best of many", "512 spans", "8192 spans", "512 + bytes", "8192 + bytes"
    );
    let views = [512, 8192].map(|spans| {
        let buffer: Buffer = Arc::new(payload(spans));
        (spans, buffer.clone(), scan(Signal::Traces, buffer).expect("a sound payload"))
    });
    let costs = |work: &dyn Fn(&Buffer, &View)| {
        views.each_ref().map(|(spans, buffer, view)| best_ns(*spans, || work(buffer, view)))
    };
    let [small, large] = costs(&|buffer, _| {
        black_box(scan(Signal::Traces, buffer.clone()).is_ok());
    });
    println!("{:34}{small:>12.1}{large:>12.1}", "scan");
    let only = std::env::args().nth(1).unwrap_or_default();
    for (name, edits) in programs.iter().filter(|program| program.0.contains(&only)) {
        let edits = Edits::new(edits);
        let stages = edits.stages(Signal::Traces).expect("edits for spans");
        let [small, large] = costs(&|_, view| {
            black_box(stages.apply(view, None).is_ok());
        });
        let [small_bytes, large_bytes] = costs(&|_, view| {
            black_box(edit_and_encode(stages, view));
        });
        println!("{name:34}{small:>12.1}{large:>12.1}{small_bytes:>12.1}{large_bytes:>12.1}");
    }
}
