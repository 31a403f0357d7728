//! Data points: as many series as points, in metrics of some dozens each.

use super::protobuf::{double, fixed64, integer_attribute, message, packed64, text, text_attribute, varint};
use super::{Made, mixed};

/// Points of one metric; half of the metrics of numbers are gauges.
const PER_METRIC: usize = 64;
const CUMULATIVE: u64 = 2;
const BOUNDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
const MINUTE: u64 = 60_000_000_000;

fn attributes(out: &mut Vec<u8>, field: u32, place: usize) {
    text_attribute(out, field, "http.request.method", if place % 4 == 3 { "POST" } else { "GET" });
    text_attribute(out, field, "url.scheme", "https");
    text_attribute(out, field, "server.address", "shop.example");
    text_attribute(out, field, "network.protocol.version", "1.1");
    text_attribute(out, field, "http.route", &format!("/products/{}", place % PER_METRIC));
    integer_attribute(out, field, "http.response.status_code", if place % 16 == 7 { 500 } else { 200 });
    integer_attribute(out, field, "server.port", 443);
}

/// Metrics whose points are written one by one.
fn metrics(items: usize, write: impl Fn(&mut Vec<u8>, usize, std::ops::Range<usize>)) -> Made {
    let mut made = Made::default();
    for (number, first) in (0..items).step_by(PER_METRIC).enumerate() {
        let mut metric = Vec::new();
        write(&mut metric, number, first..items.min(first + PER_METRIC));
        made.push(2, &metric, &[]);
    }
    made
}

pub fn numbers(items: usize, seed: u64, now: u64) -> Made {
    metrics(items, |metric, number, places| {
        let is_counter = number % 2 == 1;
        text(metric, 1, &format!("shop.{}.{number}", if is_counter { "requests" } else { "queue" }));
        text(metric, 3, "{request}");
        message(metric, if is_counter { 7 } else { 5 }, |data| {
            for place in places {
                let value = mixed(seed << 32 | place as u64) % 100_000;
                message(data, 1, |point| {
                    fixed64(point, 2, now - MINUTE);
                    fixed64(point, 3, now);
                    if is_counter {
                        fixed64(point, 6, value);
                    } else {
                        double(point, 4, value as f64 / 16.0);
                    }
                    attributes(point, 7, place);
                });
            }
            if is_counter {
                varint(data, 2, CUMULATIVE);
                varint(data, 3, 1);
            }
        });
    })
}

pub fn histograms(items: usize, seed: u64, now: u64) -> Made {
    metrics(items, |metric, number, places| {
        text(metric, 1, &format!("http.server.request.duration.{number}"));
        text(metric, 3, "s");
        message(metric, 9, |data| {
            for place in places {
                let counts: Vec<u64> =
                    (0..=BOUNDS.len()).map(|bucket| mixed(seed << 32 | (place * 16 + bucket) as u64) % 1000).collect();
                let count: u64 = counts.iter().sum();
                message(data, 1, |point| {
                    fixed64(point, 2, now - MINUTE);
                    fixed64(point, 3, now);
                    fixed64(point, 4, count);
                    double(point, 5, count as f64 / 8.0);
                    packed64(point, 6, counts);
                    packed64(point, 7, BOUNDS.map(f64::to_bits));
                    attributes(point, 9, place);
                    double(point, 11, 0.001);
                    double(point, 12, 9.5);
                });
            }
            varint(data, 2, CUMULATIVE);
        });
    })
}
