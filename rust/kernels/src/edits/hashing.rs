//! Digests of values, as lower-case hexadecimal texts.

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::super::values::{Value, write_hex};

/// How a digest is made.
#[derive(Clone)]
pub enum Algorithm {
    Sha256,
    /// With the secret taken in already.
    HmacSha256(Box<Hmac<Sha256>>),
    Sha1,
    Md5,
    Xxh3,
    Xxh3Long,
}

impl Algorithm {
    /// By name; None for one that there is not.
    pub fn from_name(name: &str, key: &[u8]) -> Option<Self> {
        match name {
            "sha256" => Some(Self::Sha256),
            "hmac_sha256" => Hmac::new_from_slice(key).ok().map(|mac| Self::HmacSha256(Box::new(mac))),
            "sha1" => Some(Self::Sha1),
            "md5" => Some(Self::Md5),
            "xxh3_64" => Some(Self::Xxh3),
            "xxh3_128" => Some(Self::Xxh3Long),
            _ => None,
        }
    }

    /// Write the `AnyValue` that takes the place of a value over what is in `out`.
    ///
    /// Hashed is what the Collector's attributes processor hashes: an empty text stays one, and all but texts, numbers
    /// and bools become one.
    pub fn hash(&self, value: &Value, out: &mut Vec<u8>) {
        out.clear();
        out.reserve(2 + 64);
        out.extend_from_slice(&[0x0a, 0]);
        match value {
            Value::Text(b"") => {}
            Value::Text(text) => self.write(text, out),
            Value::Bool(truth) => self.write(&[u8::from(*truth)], out),
            Value::Int(number) => self.write(&number.to_le_bytes(), out),
            Value::Double(number) => self.write(&number.to_le_bytes(), out),
            Value::Empty | Value::Bytes(_) | Value::Array(_) | Value::Map(_) => {}
        }
        // No digest has more than 64 digits: its size is one byte.
        out[1] = (out.len() - 2) as u8;
    }

    fn write(&self, content: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Sha256 => write_hex(&Sha256::digest(content), out),
            Self::HmacSha256(mac) => {
                let mut mac = Hmac::clone(mac);
                mac.update(content);
                write_hex(&mac.finalize().into_bytes(), out);
            }
            Self::Sha1 => write_hex(&Sha1::digest(content), out),
            Self::Md5 => write_hex(&Md5::digest(content), out),
            Self::Xxh3 => write_hex(&xxh3_64(content).to_be_bytes(), out),
            Self::Xxh3Long => write_hex(&xxh3_128(content).to_be_bytes(), out),
        }
    }
}
