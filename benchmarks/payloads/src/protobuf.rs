//! Just enough of the protobuf wire format to write a request.

/// A tag's wire types.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH: u64 = 2;

fn tag(out: &mut Vec<u8>, field: u32, wire: u64) {
    raw_varint(out, u64::from(field) << 3 | wire);
}

fn raw_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

pub fn varint(out: &mut Vec<u8>, field: u32, number: u64) {
    tag(out, field, VARINT);
    raw_varint(out, number);
}

pub fn fixed64(out: &mut Vec<u8>, field: u32, number: u64) {
    tag(out, field, FIXED64);
    out.extend_from_slice(&number.to_le_bytes());
}

pub fn double(out: &mut Vec<u8>, field: u32, number: f64) {
    fixed64(out, field, number.to_bits());
}

pub fn bytes(out: &mut Vec<u8>, field: u32, content: &[u8]) {
    tag(out, field, LENGTH);
    raw_varint(out, content.len() as u64);
    out.extend_from_slice(content);
}

pub fn text(out: &mut Vec<u8>, field: u32, content: &str) {
    bytes(out, field, content.as_bytes());
}

/// Fixed 64-bit numbers, packed.
pub fn packed64(out: &mut Vec<u8>, field: u32, numbers: impl IntoIterator<Item = u64>) {
    let content: Vec<u8> = numbers.into_iter().flat_map(u64::to_le_bytes).collect();
    bytes(out, field, &content);
}

pub fn message(out: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>)) {
    let mut content = Vec::new();
    write(&mut content);
    bytes(out, field, &content);
}

pub fn text_attribute(out: &mut Vec<u8>, field: u32, key: &str, value: &str) {
    message(out, field, |out| {
        text(out, 1, key);
        message(out, 2, |out| text(out, 1, value));
    });
}

pub fn integer_attribute(out: &mut Vec<u8>, field: u32, key: &str, value: u64) {
    message(out, field, |out| {
        text(out, 1, key);
        message(out, 2, |out| varint(out, 3, value));
    });
}
