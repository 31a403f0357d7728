//! Bodies inflated in every encoding, with a hard cap on the size; the twin of `airis.component.intake`.

use std::io::Read;

use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

use super::fault::Fault;

/// Members, frames or chunks in one body: a body of millions of empty ones would cost seconds.
const MAX_PARTS: usize = 10_000;
/// 8 MiB, what RFC 9659 allows in a Content-Encoding; a frame can ask for 2 GiB.
const ZSTD_WINDOW_LOG: u32 = 23;
const SNAPPY_STREAM_START: &[u8] = b"\xff\x06\x00\x00sNaPpY";
/// The most that a chunk of a snappy stream may hold.
const SNAPPY_CHUNK: usize = 65536;
/// Room made for output at once, at least.
const STEP: usize = 64 * 1024;
/// What is kept free in front for output that is not there yet, at most.
const MAX_GUESS: usize = 4 * 1024 * 1024;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Gzip,
    Zlib,
    Zstd,
    Lz4,
    Snappy,
    SnappyFramed,
}

impl Encoding {
    /// By its name in lower case, as Content-Encoding and grpc-encoding have it.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "gzip" => Self::Gzip,
            "zlib" | "deflate" => Self::Zlib,
            "zstd" => Self::Zstd,
            "lz4" => Self::Lz4,
            "snappy" => Self::Snappy,
            "x-snappy-framed" => Self::SnappyFramed,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zlib => "deflate",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
            Self::Snappy | Self::SnappyFramed => "snappy",
        }
    }
}

/// The plain body; inflating stops as soon as it has given more than `limit` bytes.
pub fn inflate(encoding: Encoding, body: &[u8], limit: usize) -> Result<Vec<u8>, Fault> {
    let inflated = match encoding {
        Encoding::Gzip => streams(body, limit, gzip_size(body), || Decompress::new_gzip(15)),
        Encoding::Zlib => {
            // What "deflate" means is the zlib format, but some clients send the bare stream, which has no such header.
            let has_header = matches!(body, [method, flags, ..]
                if method & 0x0f == 8 && u16::from_be_bytes([*method, *flags]) % 31 == 0);
            streams(body, limit, body.len() * 4, || Decompress::new(has_header))
        }
        Encoding::Zstd => unzstd(body, limit),
        Encoding::Lz4 => unlz4(body, limit),
        Encoding::Snappy => unsnappy(body, limit),
        Encoding::SnappyFramed => unsnappy_framed(body, limit),
    };
    inflated.map_err(|fault| match fault {
        Fault::Corrupt(reason) => Fault::Corrupt(format!("not {}: {reason}", encoding.name())),
        fault => fault,
    })
}

fn corrupt(reason: impl ToString) -> Fault {
    Fault::Corrupt(reason.to_string())
}

fn cut_off() -> Fault {
    corrupt("the compressed body is cut off")
}

fn too_many(what: &str) -> Fault {
    corrupt(format!("more than {MAX_PARTS} {what} in one body"))
}

/// What the end of a gzip body says its size is, as a guess.
fn gzip_size(body: &[u8]) -> usize {
    body.last_chunk().map_or(0, |size| u32::from_le_bytes(*size) as usize)
}

/// An output with room for a guess, which may be wrong in either direction.
fn output(guess: usize, limit: usize) -> Vec<u8> {
    Vec::with_capacity(guess.min(MAX_GUESS).min(limit).saturating_add(1))
}

/// Room for more output, up to one byte over the limit, which tells that it was passed.
fn make_room(out: &mut Vec<u8>, limit: usize) -> Result<(), Fault> {
    if out.len() > limit {
        return Err(Fault::TooLarge);
    }
    if out.len() == out.capacity() {
        out.reserve_exact(out.len().max(STEP).min(limit - out.len()).max(1));
    }
    Ok(())
}

/// Step through all deflate streams in the body, one behind the other, under one cap.
fn streams(body: &[u8], limit: usize, guess: usize, new: impl Fn() -> Decompress) -> Result<Vec<u8>, Fault> {
    let mut out = output(guess, limit);
    let mut rest = body;
    for _ in 0..MAX_PARTS {
        let mut inflater = new();
        loop {
            make_room(&mut out, limit)?;
            let (read, written) = (inflater.total_in(), out.len());
            let status = inflater.decompress_vec(rest, &mut out, FlushDecompress::None).map_err(corrupt)?;
            let taken = usize::try_from(inflater.total_in() - read).map_err(corrupt)?;
            rest = rest.get(taken..).unwrap_or_default();
            if status == Status::StreamEnd {
                break;
            }
            if taken == 0 && written == out.len() && out.len() < out.capacity() {
                return Err(cut_off());
            }
        }
        if out.len() > limit {
            return Err(Fault::TooLarge);
        }
        if rest.is_empty() {
            return Ok(out);
        }
    }
    Err(too_many("compressed streams"))
}

fn unzstd(body: &[u8], limit: usize) -> Result<Vec<u8>, Fault> {
    let mut decoder = Decoder::new().map_err(corrupt)?;
    decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG)).map_err(corrupt)?;
    let mut out = output(body.len() * 4, limit);
    let mut input = InBuffer::around(body);
    let mut frames = 0;
    let mut is_whole = false;
    while !is_whole || input.pos() < body.len() {
        if is_whole {
            frames += 1;
            if frames == MAX_PARTS {
                return Err(too_many("compressed streams"));
            }
            decoder.reinit().map_err(corrupt)?;
        }
        make_room(&mut out, limit)?;
        let (read, written) = (input.pos(), out.len());
        let mut output = OutBuffer::around_pos(&mut out, written);
        is_whole = decoder.run(&mut input, &mut output).map_err(corrupt)? == 0;
        if !is_whole && read == input.pos() && written == out.len() && out.len() < out.capacity() {
            return Err(cut_off());
        }
    }
    if out.len() > limit { Err(Fault::TooLarge) } else { Ok(out) }
}

fn unlz4(body: &[u8], limit: usize) -> Result<Vec<u8>, Fault> {
    let mut out = output(body.len() * 4, limit);
    let mut piece = vec![0; STEP];
    let mut rest = body;
    for _ in 0..MAX_PARTS {
        // The decoder takes the end of the input for the end of the frame.
        let (frame, behind) = rest.split_at_checked(lz4_frame_size(rest).ok_or_else(cut_off)?).ok_or_else(cut_off)?;
        let mut decoder = lz4_flex::frame::FrameDecoder::new(frame);
        loop {
            let size = decoder.read(&mut piece).map_err(corrupt)?;
            out.extend_from_slice(piece.get(..size).unwrap_or_default());
            if out.len() > limit {
                return Err(Fault::TooLarge);
            }
            if size == 0 && decoder.get_ref().is_empty() {
                break;
            }
        }
        if behind.is_empty() {
            return Ok(out);
        }
        rest = behind;
    }
    Err(too_many("compressed streams"))
}

/// The size of the lz4 frame that the data begins with; None where it is cut off.
fn lz4_frame_size(data: &[u8]) -> Option<usize> {
    const UNCOMPRESSED: u32 = 1 << 31;
    let flags = *data.get(4)?;
    let flag = |bit: u8, size: usize| if flags >> bit & 1 == 1 { size } else { 0 };
    // Magic number, two bytes of flags, content size, dictionary, checksum of all that.
    let mut at = 4 + 2 + flag(3, 8) + flag(0, 4) + 1;
    loop {
        let size = u32::from_le_bytes(*data.get(at..)?.first_chunk()?);
        at += 4;
        if size == 0 {
            return Some(at + flag(2, 4));
        }
        at += (size & !UNCOMPRESSED) as usize + flag(4, 4);
    }
}

/// A block says its size first. Older Collectors send the framed format under this name as well, gRPC always does.
fn unsnappy(body: &[u8], limit: usize) -> Result<Vec<u8>, Fault> {
    if body.starts_with(SNAPPY_STREAM_START) {
        return unsnappy_framed(body, limit);
    }
    let size = snap::raw::decompress_len(body).map_err(corrupt)?;
    if size > limit {
        return Err(Fault::TooLarge);
    }
    // A block repeats at most 64 bytes with three.
    if size > body.len().saturating_mul(64) {
        return Err(cut_off());
    }
    snap::raw::Decoder::new().decompress_vec(body).map_err(corrupt)
}

/// Add up what the chunks say they hold before any is inflated.
fn unsnappy_framed(body: &[u8], limit: usize) -> Result<Vec<u8>, Fault> {
    let mut rest = body;
    let mut size = 0;
    let mut chunks = 0;
    while !rest.is_empty() {
        let (head, behind) = rest.split_first_chunk::<4>().ok_or_else(cut_off)?;
        let [kind, length @ ..] = *head;
        let [low, middle, high] = length;
        let (chunk, behind) =
            behind.split_at_checked(u32::from_le_bytes([low, middle, high, 0]) as usize).ok_or_else(cut_off)?;
        if kind <= 1 {
            // 0 is compressed, 1 is not; both begin with four bytes of checksum.
            let data = chunk.get(4..).ok_or_else(cut_off)?;
            let held = if kind == 0 { snap::raw::decompress_len(data).map_err(corrupt)? } else { data.len() };
            if held > SNAPPY_CHUNK {
                return Err(corrupt(format!("a snappy chunk of {held} bytes; {SNAPPY_CHUNK} are allowed")));
            }
            size += held;
        }
        if size > limit {
            return Err(Fault::TooLarge);
        }
        chunks += 1;
        if chunks > MAX_PARTS {
            return Err(too_many("chunks"));
        }
        rest = behind;
    }
    let mut out = Vec::with_capacity(size);
    snap::read::FrameDecoder::new(body).read_to_end(&mut out).map_err(corrupt)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const ALL: [Encoding; 6] =
        [Encoding::Gzip, Encoding::Zlib, Encoding::Zstd, Encoding::Lz4, Encoding::Snappy, Encoding::SnappyFramed];

    fn deflated(encoding: Encoding, data: &[u8]) -> Vec<u8> {
        match encoding {
            Encoding::Gzip => {
                let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                writer.write_all(data).unwrap();
                writer.finish().unwrap()
            }
            Encoding::Zlib => {
                let mut writer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
                writer.write_all(data).unwrap();
                writer.finish().unwrap()
            }
            Encoding::Zstd => zstd::encode_all(data, 1).unwrap(),
            Encoding::Lz4 => {
                let mut writer = lz4_flex::frame::FrameEncoder::new(Vec::new());
                writer.write_all(data).unwrap();
                writer.finish().unwrap()
            }
            Encoding::Snappy => snap::raw::Encoder::new().compress_vec(data).unwrap(),
            Encoding::SnappyFramed => {
                let mut writer = snap::write::FrameEncoder::new(Vec::new());
                writer.write_all(data).unwrap();
                writer.into_inner().unwrap()
            }
        }
    }

    #[test]
    fn what_was_compressed_comes_back_up_to_the_limit() {
        for size in [0, 1, 1000, 300_000] {
            let data: Vec<u8> = (0..size).map(|i: usize| (i * i / 7 % 251) as u8).collect();
            for encoding in ALL {
                let body = deflated(encoding, &data);
                assert_eq!(inflate(encoding, &body, size), Ok(data.clone()), "{encoding:?} {size}");
                if size > 0 {
                    assert_eq!(inflate(encoding, &body, size - 1), Err(Fault::TooLarge), "{encoding:?} {size}");
                }
            }
        }
    }

    #[test]
    fn several_streams_behind_one_another_are_one_body() {
        for encoding in [Encoding::Gzip, Encoding::Zlib, Encoding::Zstd, Encoding::Lz4] {
            let body = [deflated(encoding, b"one"), deflated(encoding, b"two")].concat();
            assert_eq!(inflate(encoding, &body, 100), Ok(b"onetwo".to_vec()), "{encoding:?}");
            let empty = deflated(encoding, b"").repeat(MAX_PARTS + 1);
            assert!(matches!(inflate(encoding, &empty, 100), Err(Fault::Corrupt(_))), "{encoding:?}");
        }
    }

    #[test]
    fn a_body_cut_off_anywhere_or_changed_is_a_fault_or_another_body_and_never_a_panic() {
        let data: Vec<u8> = (0..2000_usize).map(|i| (i % 7 * 31) as u8).collect();
        for encoding in ALL {
            let body = deflated(encoding, &data);
            for end in 1..body.len() {
                let cut = inflate(encoding, &body[..end], 10_000);
                if encoding != Encoding::SnappyFramed {
                    assert!(matches!(cut, Err(Fault::Corrupt(_))), "{encoding:?} cut at {end}: {cut:?}");
                }
            }
            for at in 0..body.len() {
                for flip in [1, 0x80, 0xff] {
                    let mut changed = body.clone();
                    changed[at] ^= flip;
                    let _ = inflate(encoding, &changed, 10_000);
                }
            }
        }
    }

    #[test]
    fn a_bare_deflate_stream_passes_as_deflate() {
        let mut writer = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        writer.write_all(b"bare").unwrap();
        assert_eq!(inflate(Encoding::Zlib, &writer.finish().unwrap(), 100), Ok(b"bare".to_vec()));
    }
}
