//! What the work on views costs, in nanoseconds per span: `cargo run --release --example view_cost`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use airis_kernels::arrow::{Column, Kind, table};
use airis_kernels::buffers::Buffer;
use airis_kernels::edit::Message;
use airis_kernels::fields::{Level as Asked, Source};
use airis_kernels::otlp::Signal;
use airis_kernels::scan::{outline, scan};
use airis_kernels::split::Limits;
use airis_kernels::validate::check;
use airis_kernels::view::{Level, View};
use airis_kernels::wire::{push_delimited, push_varint};

const SPANS: usize = 8192;
const SPANS_PER_REQUEST: usize = 512;
const ROUNDS: usize = 200;

fn attribute(key: &str, value: &str) -> Vec<u8> {
    let (mut message, mut any) = (vec![], vec![]);
    push_delimited(&mut any, 1, value.as_bytes());
    push_delimited(&mut message, 1, key.as_bytes());
    push_delimited(&mut message, 2, &any);
    message
}

/// About 410 bytes, as in the reference measurements.
fn span(number: usize) -> Vec<u8> {
    let mut span = vec![];
    push_delimited(
        &mut span,
        1,
        &(number as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes(),
    );
    push_delimited(&mut span, 2, &(number as u64).to_be_bytes());
    push_delimited(&mut span, 5, b"GET /api/v1/orders");
    push_varint(&mut span, 6 << 3);
    push_varint(&mut span, 2);
    for number in [7, 8] {
        push_varint(&mut span, number << 3 | 1);
        span.extend_from_slice(&1_700_000_000_000_000_000_u64.to_le_bytes());
    }
    for (key, value) in [
        ("http.request.method", "GET"),
        ("url.path", &format!("/api/v1/orders/{number}")),
        ("server.address", "checkout.shop.svc.cluster.local"),
        ("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101"),
        ("network.protocol.version", "1.1"),
        ("http.response.status_code", "200"),
        ("client.address", "10.1.2.3"),
        ("url.scheme", "https"),
    ] {
        push_delimited(&mut span, 9, &attribute(key, value));
    }
    span
}

fn payload() -> Buffer {
    let mut payload = vec![];
    for first in (0..SPANS).step_by(SPANS_PER_REQUEST) {
        let (mut scope, mut owner, mut resource) = (vec![], vec![], vec![]);
        push_delimited(&mut resource, 1, &attribute("service.name", "checkout"));
        (first..first + SPANS_PER_REQUEST).for_each(|number| push_delimited(&mut scope, 2, &span(number)));
        push_delimited(&mut owner, 1, &resource);
        push_delimited(&mut owner, 2, &scope);
        push_delimited(&mut payload, 1, &owner);
    }
    Arc::new(payload)
}

/// The least time of many, which other work on the machine disturbs least.
fn measure(name: &str, mut work: impl FnMut()) {
    let times = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        work();
        start.elapsed()
    });
    let best = times.min().unwrap_or_default();
    println!("{name:40} {:7.1}", best.as_nanos() as f64 / SPANS as f64);
}

fn copied(view: &View) -> View {
    let edited = view.edit(&[Message::Item], None, |_, item, out| {
        out.extend_from_slice(item.message);
        Ok(true)
    });
    edited.ok().flatten().unwrap_or_else(|| view.clone())
}

fn column(source: Result<Source, String>, kind: Kind) -> Option<Column> {
    Some(Column { name: c"column".to_owned(), source: source.ok()?, kind, words: vec![] })
}

fn main() {
    let payload = payload();
    let bytes = (*payload).as_ref();
    println!("{} bytes per span, {SPANS_PER_REQUEST} spans per resource; nanoseconds per span", bytes.len() / SPANS);
    let Ok(view) = scan(Signal::Traces, Arc::clone(&payload)) else { return };
    let mut number = 1_u64;
    let mut half = || {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (number >> 63) as u8
    };
    let mask: Vec<u8> = view.items.iter().map(|_| half()).collect();
    measure("check", || drop(black_box(check(bytes, Signal::Traces.request()))));
    measure("outline", || drop(black_box(outline(Signal::Traces, Arc::clone(&payload)))));
    measure("scan", || drop(black_box(scan(Signal::Traces, Arc::clone(&payload)))));
    measure("select a half at random", || drop(black_box(view.select(&mask))));
    measure("select a half, encode", || drop(black_box(view.select(&mask).map(|view| view.encode().to_vec()))));
    measure("scan, select a half, encode", || {
        let view = scan(Signal::Traces, Arc::clone(&payload)).ok();
        drop(black_box(view.and_then(|view| view.select(&mask)).map(|view| view.encode().to_vec())));
    });
    let trace_id = Source::field(Signal::Traces, Asked::Item, "trace_id", vec![]).into_iter().collect::<Vec<_>>();
    measure("group by trace id, each another one", || drop(black_box(view.group(&trace_id, usize::MAX))));
    let limits = Limits { items: 100, bytes: 100_000, level: Level::Item };
    measure("split by items and bytes, encode", || {
        let parts = view.split(limits).into_iter().flatten();
        parts.for_each(|part| drop(black_box(part.encode().to_vec())));
    });
    let field = |name: &str, kind| column(Source::field(Signal::Traces, Asked::Item, name, vec![]), kind);
    let attribute = |level, key: &str, kind| column(Source::attribute(Signal::Traces, level, key, vec![]), kind);
    let five = [
        attribute(Asked::Resource, "service.name", Kind::Dictionary),
        field("name", Kind::Text),
        field("start_time", Kind::Timestamp),
        field("trace_id", Kind::Binary),
        attribute(Asked::Item, "http.response.status_code", Kind::Text),
    ];
    let five: Vec<_> = five.into_iter().flatten().collect();
    measure("Arrow table of five columns", || drop(black_box(table(&view, &five))));
    for column in &five {
        let name = format!("Arrow table of {:?}", column.kind);
        measure(&name, || drop(black_box(table(&view, std::slice::from_ref(column)))));
    }
    let all: Vec<_> = field("attributes", Kind::Map).into_iter().collect();
    measure("Arrow table of all attributes", || drop(black_box(table(&view, &all))));
    measure("edit that copies every span", || drop(black_box(copied(&view))));
    measure("edit that copies every span, encode", || drop(black_box(copied(&view).encode().to_vec())));
    measure("memory copy of the payload", || drop(black_box(bytes.to_vec())));
}
