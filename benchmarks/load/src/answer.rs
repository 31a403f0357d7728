//! What a server said of a request.

use airis_kernels::wire::{Content, Fields};

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Taken, but for so many items.
    Accepted { rejected: u64 },
    /// The protocol's own code for the refusal: ``grpc 8`` or ``http 503``.
    Refused(String),
    /// No answer that could be understood, or none at all.
    Failed(&'static str),
}

/// The rejected items in an answer to an export: `partial_success` is 1, `rejected_…` in it is 1.
pub fn rejected(message: &[u8]) -> u64 {
    for field in fields(message) {
        if let (1, Content::Length(partial)) = field {
            for inner in fields(partial) {
                if let (1, Content::Varint(rejected)) = inner {
                    return rejected;
                }
            }
        }
    }
    0
}

fn fields(message: &[u8]) -> impl Iterator<Item = (u32, Content<'_>)> {
    let mut fields = Fields::new(message);
    std::iter::from_fn(move || fields.read().ok().flatten().map(|field| (field.number, field.content)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partial_success_is_read() {
        assert_eq!(rejected(b""), 0);
        assert_eq!(rejected(b"\x0a\x06\x08\xac\x02\x12\x01x"), 300);
        assert_eq!(rejected(b"\x0a\x03\x12\x01x"), 0, "a warning alone");
        assert_eq!(rejected(b"\xff\xff"), 0);
    }
}
