//! Runs every kernel once on fixed payloads, and says their names in that order.
//!
//! Under callgrind (`count_instructions.py`) the instructions of each run are counted: what comes after one call of
//! `between_kernels` and before the next. Before a kernel's turn it has run once, so that memory is there and symbols
//! are found.

use std::hint::black_box;
use std::sync::Arc;

use airis_kernels::arrow::{Column, Kind as Type, table};
use airis_kernels::blocks::Tables;
use airis_kernels::buffers::Buffer;
use airis_kernels::edits::{Algorithm, Edit, Edits, Given as Value, Level as At, Name, Source, When};
use airis_kernels::fields::{Level as Asked, Source as Field};
use airis_kernels::json::{from_json, to_json};
use airis_kernels::logs::Logs;
use airis_kernels::metrics::Metrics;
use airis_kernels::otlp::Signal;
use airis_kernels::scan::scan;
use airis_kernels::series::Registered;
use airis_kernels::split::{Limits, split};
use airis_kernels::traces::Traces;
use airis_kernels::validate::{count_items, validate};
use airis_kernels::view::{Level, View};
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
    payload: Buffer,
    json: Vec<u8>,
    edits: Edits,
    columns: Vec<Column>,
    attributes: Vec<Column>,
    /// Its metric series.
    known: Registered,
}

type Kernel = (&'static str, &'static [(&'static str, Kind)], fn(&Given));

/// A kernel is a line here: its name, what it is run on, and a call whose result nobody may leave out.
#[rustfmt::skip]
const KERNELS: &[Kernel] = &[
    ("validate", ALL, |given| keep(validate(given.signal, given.bytes()))),
    ("count", ALL, |given| keep(count_items(given.signal, given.bytes()))),
    ("split", ALL, |given| keep(split(given.signal, given.payload.clone(), Limits { items: 100, bytes: usize::MAX, level: Level::Item }))),
    ("scan", ALL, |given| keep(given.view())),
    ("scan, attribute", ALL, |given| keep(given.view().attribute(b"http.route", Level::Item).len())),
    ("scan, every other item, bytes", ALL, |given| keep(given.view().select(&[0, 1].repeat(ITEMS / 2)).map(|view| view.encode().to_vec()))),
    ("scan, set, delete, hash, bytes", ALL, edit),
    ("scan, Arrow table of five columns", ALL, |given| keep(table(&given.view(), &given.columns))),
    ("scan, Arrow table of all attributes", ALL, |given| keep(table(&given.view(), &given.attributes))),
    ("from JSON", ALL, |given| keep(from_json(given.signal, &given.json))),
    ("to JSON", ALL, |given| keep(to_json(given.signal, given.bytes()))),
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

impl Given {
    fn bytes(&self) -> &[u8] {
        (*self.payload).as_ref()
    }

    fn view(&self) -> View {
        scan(self.signal, self.payload.clone()).expect("a payload is well-formed")
    }
}

fn given(kind: Kind) -> Given {
    let signal = Signal::from_name(kind.signal()).expect("the kernels know every signal");
    let bytes = payload(kind, ITEMS, 1, NOW).bytes;
    let json = to_json(signal, &bytes).expect("a payload is well-formed");
    let attribute = |key: &str| Source { level: At::Item, name: Name::Attribute(key.as_bytes().into()), path: vec![] };
    let edits = Edits::new(&[
        Edit::Set {
            target: attribute("deployment.environment"),
            value: Value::Literal(b"\x0a\x04prod".to_vec()),
            when: When::Always,
        },
        Edit::Delete(attribute("user_agent.original")),
        Edit::Hash(attribute("url.path"), Algorithm::Sha256),
    ]);
    let asked = |level, name: &str, kind| column(Field::field(signal, level, name, vec![]), kind);
    let asked_attribute = |level, key: &str, kind| column(Field::attribute(signal, level, key, vec![]), kind);
    let columns = vec![
        asked_attribute(Asked::Resource, "service.name", Type::Dictionary),
        asked(Asked::Scope, "name", Type::Dictionary),
        asked(Asked::Item, "flags", Type::Uint32),
        asked_attribute(Asked::Item, "http.route", Type::Text),
        asked_attribute(Asked::Item, "http.response.status_code", Type::Int64),
    ];
    let attributes = vec![asked(Asked::Item, "attributes", Type::Map)];
    let (payload, known) = (Arc::new(bytes), Registered::new(SERIES));
    let mut given = Given { signal, payload, json, edits, columns, attributes, known };
    if signal == Signal::Metrics {
        let new = Metrics::encode(&given.view(), NOW, &given.known);
        given.known.add(&new.registered, &new.signed);
    }
    given
}

fn column(source: Result<Field, String>, kind: Type) -> Column {
    Column { name: c"column".to_owned(), source: source.expect("all items have it"), kind, words: vec![] }
}

fn edit(given: &Given) {
    let stages = given.edits.stages(given.signal).expect("all items have attributes");
    keep(stages.apply(&given.view(), None).map(|view| view.map(|view| view.encode().to_vec())));
}

fn blocks(given: &Given, known: &Registered) {
    let view = given.view();
    let tables: Box<dyn Tables> = match given.signal {
        Signal::Traces => Box::new(Traces::encode(&view, NOW)),
        Signal::Logs => Box::new(Logs::encode(&view, NOW)),
        Signal::Metrics => Box::new(Metrics::encode(&view, NOW, known)),
        Signal::Profiles => return,
    };
    keep(tables.blocks().iter().map(|block| block.parts().len()).sum::<usize>());
}
