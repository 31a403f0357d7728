//! What predicates cost, in nanoseconds per span: `cargo run --release -p airis-kernels --example predicate_cost`; with
//! a word behind, those with this word in their names.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use airis_kernels::buffers::Buffer;
use airis_kernels::fields::{Level, Source};
use airis_kernels::otlp::Signal;
use airis_kernels::pattern::{Extent, Pattern};
use airis_kernels::predicate::{Comparison, Expression, Leaf, Literal, Operand, Predicate, Test};
use airis_kernels::scan::scan;
use airis_kernels::wire::{push_delimited, push_varint};

/// Spans in all runs of one measurement.
const SPANS_PER_MEASUREMENT: usize = 3_000_000;
const SPANS: usize = 512;

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

fn mixed(number: usize) -> usize {
    let mut mixed = (number as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ mixed >> 31) as usize
}

/// Some 410 bytes with ten attributes, as in the other measurements; two of them are of different lengths.
fn span(number: usize) -> Vec<u8> {
    let chance = mixed(number);
    let mut span = vec![];
    push_delimited(&mut span, 1, &(number as u128 | 1 << 100).to_be_bytes());
    push_delimited(&mut span, 2, &(number as u64).to_be_bytes());
    push_delimited(&mut span, 4, &(number as u64 + 1).to_be_bytes());
    push_delimited(&mut span, 5, format!("GET /products/{}", chance % 8).as_bytes());
    push_varint(&mut span, 6 << 3);
    push_varint(&mut span, 2);
    for field in [7, 8] {
        push_varint(&mut span, field << 3 | 1);
        span.extend_from_slice(&1_700_000_000_000_000_000_u64.to_le_bytes());
    }
    for (key, value) in [
        ("http.request.method", "GET"),
        ("url.path", &*format!("/products/{}", chance % 97)),
        ("url.scheme", "https"),
        ("server.address", "shop.example"),
        ("client.address", &*format!("10.0.{}.{}", (chance >> 8) % 7, (chance >> 16) % 251)),
        ("user_agent.original", "okhttp/4.12.0 (Android 14; Pixel 8 Pro)"),
        ("network.protocol.version", "1.1"),
        ("http.route", "/products/{id}"),
    ] {
        push_delimited(&mut span, 9, &attribute(key, &text(value)));
    }
    push_delimited(&mut span, 9, &attribute("http.response.status_code", &[0x18, 0xc8, 0x01]));
    push_delimited(&mut span, 9, &attribute("server.port", &[0x18, 0xbb, 0x03]));
    span
}

fn payload() -> Buffer {
    let (mut scope, mut owner, mut resource, mut payload) = (vec![], vec![], vec![], vec![]);
    for number in 0..10 {
        push_delimited(&mut resource, 1, &attribute(&format!("resource.attribute.{number}"), &text("value")));
    }
    (0..SPANS).for_each(|number| push_delimited(&mut scope, 2, &span(number)));
    push_delimited(&mut owner, 1, &resource);
    push_delimited(&mut owner, 2, &scope);
    push_delimited(&mut payload, 1, &owner);
    Arc::new(payload)
}

/// The best of many short runs: whatever else the machine does disturbs the fewest of those.
fn best_ns(mut work: impl FnMut()) -> f64 {
    let times = (0..SPANS_PER_MEASUREMENT / SPANS).map(|_| {
        let start = Instant::now();
        work();
        start.elapsed().as_nanos() as f64 / SPANS as f64
    });
    times.fold(f64::INFINITY, f64::min)
}

fn key(key: &str) -> Source {
    Source::attribute(Signal::Traces, Level::Item, key, vec![]).expect("spans have attributes")
}

fn field(name: &str) -> Source {
    Source::field(Signal::Traces, Level::Item, name, vec![]).expect("spans have it")
}

fn leaf(source: Source, test: Test) -> Expression {
    Expression::Leaf(Leaf { source, test }.into())
}

fn is(source: Source, comparison: Comparison, literal: Literal) -> Expression {
    leaf(source, Test::Compare(comparison, Operand::Literal(literal)))
}

fn matches(source: Source, pattern: &str) -> Expression {
    leaf(source, Test::Matches(Pattern::new(pattern, Extent::Anywhere).expect("a pattern")))
}

fn main() {
    let words = |text: &str| Literal::Text(text.as_bytes().into());
    let resource = Source::attribute(Signal::Traces, Level::Resource, "resource.attribute.3", vec![]);
    let resource = resource.expect("resources have attributes");
    let expressions = [
        ("kind == 2", is(field("kind"), Comparison::Equal, Literal::Whole(2))),
        ("name == text", is(field("name"), Comparison::Equal, words("GET /products/7"))),
        ("status.code == 2, which is absent", is(field("status.code"), Comparison::Equal, Literal::Whole(2))),
        ("duration > 1 ms", is(field("duration"), Comparison::Greater, Literal::Whole(1_000_000))),
        ("the first attribute == text", is(key("http.request.method"), Comparison::Equal, words("GET"))),
        ("the fifth attribute == text", is(key("client.address"), Comparison::Equal, words("10.0.1.1"))),
        ("the ninth attribute >= 500", is(key("http.response.status_code"), Comparison::AtLeast, Literal::Whole(500))),
        ("no attribute", is(key("http.request.header"), Comparison::Equal, words("GET"))),
        ("the second attribute =~ [0-9]{2}$", matches(key("url.path"), "[0-9]{2}$")),
        ("name =~ ^GET /products/[0-7]", matches(field("name"), "^GET /products/[0-7]")),
        ("resource attribute == text", is(resource, Comparison::Equal, words("value"))),
        (
            "three attributes, all of which hold",
            Expression::All(vec![
                is(key("url.scheme"), Comparison::Equal, words("https")),
                is(key("server.port"), Comparison::Equal, Literal::Whole(443)),
                is(key("http.route"), Comparison::Equal, words("/products/{id}")),
            ]),
        ),
    ];
    let view = scan(Signal::Traces, payload()).expect("a sound payload");
    println!("ns per span, best of many, {SPANS} spans");
    let only = std::env::args().nth(1).unwrap_or_default();
    for (name, expression) in expressions.into_iter().filter(|named| named.0.contains(&only)) {
        let predicate = Predicate::compile(Signal::Traces, expression);
        let cost = best_ns(|| drop(black_box(predicate.mask(&view))));
        println!("{name:40}{cost:>8.1}");
    }
}
