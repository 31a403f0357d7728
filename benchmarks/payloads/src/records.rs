//! Spans and log records.

use super::protobuf::{bytes, fixed64, integer_attribute, message, text, text_attribute, varint};
use super::{Id, Made, mixed};

/// Spans, and log records, of one trace.
const PER_TRACE: usize = 8;

/// What one request of a shop is like.
struct Visit {
    product: u64,
    client: String,
    status: u64,
    duration: u64,
}

impl Visit {
    fn new(seed: u64, place: usize) -> Self {
        let chance = mixed(seed << 32 | place as u64);
        Self {
            product: chance % 97,
            client: format!("10.0.{}.{}", (chance >> 8) % 7, (chance >> 16) % 251),
            status: if chance >> 32 & 0xff < 5 { 500 } else { 200 },
            duration: 1_000_000 + (chance >> 40) % 2_000_000,
        }
    }

    fn attributes(&self, out: &mut Vec<u8>, field: u32) {
        text_attribute(out, field, "http.request.method", "GET");
        text_attribute(out, field, "url.path", &format!("/products/{}", self.product));
        text_attribute(out, field, "url.scheme", "https");
        text_attribute(out, field, "server.address", "shop.example");
        text_attribute(out, field, "client.address", &self.client);
        text_attribute(out, field, "user_agent.original", "okhttp/4.12.0 (Android 14; Pixel 8 Pro)");
        text_attribute(out, field, "network.protocol.version", "1.1");
        text_attribute(out, field, "http.route", "/products/{id}");
        integer_attribute(out, field, "http.response.status_code", self.status);
        integer_attribute(out, field, "server.port", 443);
    }
}

/// Room for an id, to be filled by `renumber`.
fn id(out: &mut Vec<u8>, field: u32, size: usize, number: u64) -> Id {
    bytes(out, field, &[0; 16][..size]);
    Id { at: out.len() - size, size, number }
}

pub fn spans(items: usize, seed: u64, now: u64) -> Made {
    let mut made = Made::default();
    let mut span = Vec::new();
    for place in 0..items {
        let visit = Visit::new(seed, place);
        span.clear();
        let trace = (place / PER_TRACE) as u64;
        // The first of a trace has itself as its parent's id, so that all are of one size.
        let parent = place - usize::from(!place.is_multiple_of(PER_TRACE));
        let ids = [id(&mut span, 1, 16, trace), id(&mut span, 2, 8, place as u64), id(&mut span, 4, 8, parent as u64)];
        text(&mut span, 5, &format!("GET /products/{}", visit.product % 8));
        varint(&mut span, 6, 2);
        fixed64(&mut span, 7, now + place as u64 * 1000);
        fixed64(&mut span, 8, now + place as u64 * 1000 + visit.duration);
        visit.attributes(&mut span, 9);
        made.push(2, &span, &ids);
    }
    made
}

pub fn logs(items: usize, seed: u64, now: u64) -> Made {
    let mut made = Made::default();
    let mut record = Vec::new();
    for place in 0..items {
        let visit = Visit::new(seed, place);
        let is_fault = visit.status >= 500;
        record.clear();
        fixed64(&mut record, 1, now + place as u64 * 1000);
        varint(&mut record, 2, if is_fault { 17 } else { 9 });
        text(&mut record, 3, if is_fault { "ERROR" } else { "INFO" });
        let line = format!("GET /products/{} {} in {} us", visit.product, visit.status, visit.duration / 1000);
        message(&mut record, 5, |body| text(body, 1, &line));
        visit.attributes(&mut record, 6);
        let ids = [id(&mut record, 9, 16, (place / PER_TRACE) as u64), id(&mut record, 10, 8, place as u64)];
        fixed64(&mut record, 11, now + place as u64 * 1000 + 500);
        made.push(2, &record, &ids);
    }
    made
}
