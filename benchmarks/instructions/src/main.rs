//! Runs every kernel once on fixed payloads, and says their names in that order.
//!
//! Under callgrind (`count_instructions.py`) the instructions of each run are counted: what comes after one call of
//! `between_kernels` and before the next. Before a kernel's turn it has run once, so that memory is there and symbols
//! are found.

use std::hint::black_box;

use airis_kernels::blocks::Tables;
use airis_kernels::logs::Logs;
use airis_kernels::metrics::Metrics;
use airis_kernels::otlp::Signal;
use airis_kernels::scan::{Level, scan};
use airis_kernels::series::Registered;
use airis_kernels::split::split;
use airis_kernels::traces::Traces;
use airis_kernels::validate::{count_items, validate};
use airis_payloads::{Kind, payload};

const ITEMS: usize = 512;
const ALL: &[(&str, Kind)] =
    &[("spans", Kind::Spans), ("logs", Kind::Logs), ("numbers", Kind::Numbers), ("histograms", Kind::Histograms)];
const METRICS: &[(&str, Kind)] = ALL.split_at(2).1;
/// 2023-11-14, on the hour.
const NOW: u64 = 1_699_999_200_000_000_000;
const SERIES: usize = 100_000;

/// What a kernel is given.
struct Given {
    signal: Signal,
    payload: Vec<u8>,
    /// Its metric series.
    known: Registered,
}

type Kernel = (&'static str, &'static [(&'static str, Kind)], fn(&Given));

/// A kernel is a line here: its name, what it is run on, and a call whose result nobody may leave out.
#[rustfmt::skip]
const KERNELS: &[Kernel] = &[
    ("validate", ALL, |given| keep(validate(given.signal, &given.payload))),
    ("count", ALL, |given| keep(count_items(given.signal, &given.payload))),
    ("split", ALL, |given| keep(split(given.signal, &given.payload, 100))),
    ("scan", ALL, |given| keep(scan(given.signal, &given.payload))),
    ("scan, attribute", ALL, |given| keep(scan(given.signal, &given.payload).map(|index| index.attribute(&given.payload, b"http.route", Level::Item).len()))),
    ("scan, blocks", ALL, |given| blocks(given, &given.known)),
    ("scan, blocks, new series", METRICS, |given| blocks(given, &Registered::new(SERIES))),
];

fn main() {
    for (kernel, payloads, run) in KERNELS {
        for (name, kind) in *payloads {
            let given = given(*kind);
            println!("{kernel}: {name}");
            run(&given);
            between_kernels();
            run(&given);
            between_kernels();
        }
    }
}

/// Where the count is taken and begins anew.
#[inline(never)]
fn between_kernels() {
    black_box(());
}

fn keep<T>(result: T) {
    black_box(result);
}

fn given(kind: Kind) -> Given {
    let signal = Signal::from_name(kind.signal()).expect("the kernels know every signal");
    let payload = payload(kind, ITEMS, 1, NOW).bytes;
    let mut known = Registered::new(SERIES);
    if signal == Signal::Metrics {
        let index = scan(signal, &payload).expect("a payload is well-formed");
        let new = Metrics::encode(&index, &payload, NOW, &known).registered;
        known.add(&new);
    }
    Given { signal, payload, known }
}

fn blocks(given: &Given, known: &Registered) {
    let Given { signal, payload, .. } = given;
    let index = scan(*signal, payload).expect("a payload is well-formed");
    let tables: Box<dyn Tables> = match signal {
        Signal::Traces => Box::new(Traces::encode(&index, payload, NOW)),
        Signal::Logs => Box::new(Logs::encode(&index, payload, NOW)),
        Signal::Metrics => Box::new(Metrics::encode(&index, payload, NOW, known)),
    };
    keep(tables.blocks().iter().map(|block| block.parts().len()).sum::<usize>());
}
