//! Bodies compressed in every encoding, in one piece; the twin of `airis.component.compression`, and the way back of
//! `inflate`.

use std::cell::RefCell;
use std::io::{self, Cursor, Write};

use flate2::{Compress, Compression, FlushCompress, Status};

use super::inflate::Encoding;

/// Beyond, zstd wants windows that receivers need not have (RFC 9659).
const ZSTD_MAX_LEVEL: i32 = 19;
const DEFLATE_MAX_LEVEL: u32 = 9;
/// Telemetry becomes a seventh.
const GUESS: usize = 6;
/// Room made for output at once, at least.
const STEP: usize = 16 * 1024;

thread_local! {
    /// A compressor takes 300 KB that have to be cleared, so the last one is kept: format, level, state.
    static DEFLATE: RefCell<Option<(bool, u32, Compress)>> = const { RefCell::new(None) };
    static ZSTD: RefCell<Option<(i32, zstd::bulk::Compressor<'static>)>> = const { RefCell::new(None) };
}

/// The body compressed; a level of 0 or less is a fast one. `Snappy` and `Lz4` have no levels.
pub fn compress(encoding: Encoding, level: i32, body: &[u8]) -> io::Result<Vec<u8>> {
    let level = level.max(1);
    match encoding {
        Encoding::Gzip => deflate(true, level.unsigned_abs().min(DEFLATE_MAX_LEVEL), body),
        Encoding::Zlib => deflate(false, level.unsigned_abs().min(DEFLATE_MAX_LEVEL), body),
        Encoding::Zstd => zstd(level.min(ZSTD_MAX_LEVEL), body),
        Encoding::Lz4 => {
            let mut writer = lz4_flex::frame::FrameEncoder::new(Vec::with_capacity(body.len() / 2 + STEP));
            writer.write_all(body)?;
            writer.finish().map_err(io::Error::other)
        }
        Encoding::Snappy => Ok(snap::raw::Encoder::new().compress_vec(body)?),
        Encoding::SnappyFramed => {
            let mut writer = snap::write::FrameEncoder::new(Vec::with_capacity(body.len() / 2 + STEP));
            writer.write_all(body)?;
            writer.into_inner().map_err(|error| io::Error::other(error.to_string()))
        }
    }
}

fn deflate(is_gzip: bool, level: u32, body: &[u8]) -> io::Result<Vec<u8>> {
    DEFLATE.with_borrow_mut(|kept| {
        let mut deflater = match kept.take() {
            Some((format, at, mut deflater)) if (format, at) == (is_gzip, level) => {
                deflater.reset();
                deflater
            }
            _ if is_gzip => Compress::new_gzip(Compression::new(level), 15),
            _ => Compress::new(Compression::new(level), true),
        };
        let mut out = Vec::with_capacity(body.len() / GUESS + STEP);
        let mut rest = body;
        loop {
            let read = deflater.total_in();
            let status = deflater.compress_vec(rest, &mut out, FlushCompress::Finish)?;
            if status == Status::StreamEnd {
                break;
            }
            let taken = usize::try_from(deflater.total_in() - read).map_err(io::Error::other)?;
            rest = rest.get(taken..).unwrap_or_default();
            out.reserve(out.len().max(STEP));
        }
        *kept = Some((is_gzip, level, deflater));
        Ok(out)
    })
}

fn zstd(level: i32, body: &[u8]) -> io::Result<Vec<u8>> {
    ZSTD.with_borrow_mut(|kept| {
        let mut compressor = match kept.take() {
            Some((at, compressor)) if at == level => compressor,
            _ => zstd::bulk::Compressor::new(level)?,
        };
        // With room for the worst it works in one go, without a copy of its input.
        let mut out = Cursor::new(Vec::with_capacity(zstd::zstd_safe::compress_bound(body.len())));
        compressor.compress_to_buffer(body, &mut out)?;
        *kept = Some((level, compressor));
        let mut out = out.into_inner();
        out.shrink_to_fit();
        Ok(out)
    })
}

#[cfg(test)]
mod tests {
    use super::super::inflate::inflate;
    use super::*;

    const ALL: [Encoding; 6] =
        [Encoding::Gzip, Encoding::Zlib, Encoding::Zstd, Encoding::Lz4, Encoding::Snappy, Encoding::SnappyFramed];

    /// Bytes that no compressor makes smaller.
    fn noise(size: usize) -> Vec<u8> {
        let mut seed = 7_u64;
        let mut next = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as u8
        };
        (0..size).map(|_| next()).collect()
    }

    #[test]
    fn what_is_compressed_comes_back_at_every_level() {
        for size in [0, 1, 1000, 100_000] {
            for data in [noise(size), b"telemetry ".iter().copied().cycle().take(size).collect()] {
                for encoding in ALL {
                    for level in [-2, 1, 9, 22] {
                        let body = compress(encoding, level, &data).unwrap();
                        assert_eq!(inflate(encoding, &body, size), Ok(data.clone()), "{encoding:?} {level} {size}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_higher_level_is_smaller_and_levels_do_not_mix() {
        let words = ["GET", "/products/", "checkout", "http.route", "200", "service.name", "error"];
        let data: Vec<u8> = noise(40_000).iter().flat_map(|i| words[usize::from(*i) % 7].bytes().chain([*i])).collect();
        for encoding in [Encoding::Gzip, Encoding::Zlib, Encoding::Zstd] {
            let sizes = [1, 9, 1, 9].map(|level| compress(encoding, level, &data).unwrap().len());
            assert!(sizes[1] < sizes[0], "{encoding:?} {sizes:?}");
            assert_eq!(sizes[..2], sizes[2..], "{encoding:?}");
        }
    }
}
