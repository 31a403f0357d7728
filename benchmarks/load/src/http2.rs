//! OTLP over gRPC: calls of one message over HTTP/2, as many at a time as the server takes.
//!
//! Requests have the same headers, so that their blocks are written once and then named by index, as every client
//! does. The server is told to keep no table for its answers: a block then means the same whenever it comes, and is
//! read once.

use std::collections::{HashMap, VecDeque};

use super::Fault;
use super::answer::{Answer, rejected};
use super::bodies::GRPC_PREFIX;
use super::drive::{Done, Protocol, Ticket};
use super::outgoing::Outgoing;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEAD: usize = 9;
const DEFAULT_WINDOW: i64 = 65_535;
const DEFAULT_MAX_FRAME: usize = 16_384;
const DEFAULT_TABLE: u32 = 4096;
/// What servers may send ahead of all streams together, and how much of it is used before they may send more.
const WINDOW: u32 = 1 << 30;
const WINDOW_STEP: usize = 1 << 24;
const MAX_ANSWER: usize = 1024 * 1024;
/// Header blocks that are remembered.
const MAX_KNOWN: usize = 256;
const LAST_STREAM: u32 = (1 << 31) - 1;

mod frame {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

mod flag {
    pub const END_STREAM: u8 = 1;
    pub const ACK: u8 = 1;
    pub const END_HEADERS: u8 = 4;
    pub const PADDED: u8 = 8;
    pub const PRIORITY: u8 = 0x20;
}

mod setting {
    pub const HEADER_TABLE_SIZE: u16 = 1;
    pub const ENABLE_PUSH: u16 = 2;
    pub const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub const INITIAL_WINDOW_SIZE: u16 = 4;
    pub const MAX_FRAME_SIZE: u16 = 5;
}

/// What a header block says.
#[derive(Clone, Copy, Default)]
struct Head {
    http: Option<u32>,
    grpc: Option<u32>,
}

struct Stream {
    ticket: Ticket,
    sent: usize,
    window: i64,
    head: Head,
    message: Vec<u8>,
}

pub struct Http2 {
    first_block: Vec<u8>,
    next_block: Vec<u8>,
    most_streams: usize,
    streams: HashMap<u32, Stream>,
    /// Streams with something to send, in turn.
    sending: VecDeque<u32>,
    last_stream: u32,
    window: i64,
    initial_window: i64,
    max_frame: usize,
    servers_most_streams: usize,
    /// Bytes received since the server was last told that it may send more.
    used: usize,
    /// A header block that is not whole, and whether it ends its stream.
    block: Vec<u8>,
    block_ends: bool,
    known: HashMap<Vec<u8>, Head>,
    is_closing: bool,
}

impl Http2 {
    pub fn new(authority: &str, path: &str, compression: &str, most_streams: usize, out: &mut Outgoing) -> Self {
        let (first_block, next_block) = request_blocks(authority, path, compression);
        let mut settings = Vec::new();
        for (name, value) in
            [(setting::HEADER_TABLE_SIZE, 0), (setting::ENABLE_PUSH, 0), (setting::INITIAL_WINDOW_SIZE, 1 << 20)]
        {
            settings.extend_from_slice(&name.to_be_bytes());
            settings.extend_from_slice(&u32::to_be_bytes(value));
        }
        out.push(PREFACE);
        push_frame(out, frame::SETTINGS, 0, 0, &settings);
        push_frame(out, frame::WINDOW_UPDATE, 0, 0, &(WINDOW - DEFAULT_WINDOW as u32).to_be_bytes());
        Self {
            first_block,
            next_block,
            most_streams,
            streams: HashMap::new(),
            sending: VecDeque::new(),
            last_stream: 0,
            window: DEFAULT_WINDOW,
            initial_window: DEFAULT_WINDOW,
            max_frame: DEFAULT_MAX_FRAME,
            servers_most_streams: usize::MAX,
            used: 0,
            block: Vec::new(),
            block_ends: false,
            known: HashMap::new(),
            is_closing: false,
        }
    }

    /// Send what the windows allow.
    fn pump(&mut self, out: &mut Outgoing) {
        for _ in 0..self.sending.len() {
            if self.window <= 0 {
                return;
            }
            let Some(id) = self.sending.pop_front() else { return };
            let Some(stream) = self.streams.get_mut(&id) else { continue };
            let bytes = &stream.ticket.body.bytes;
            while stream.sent < bytes.len() {
                let room = self.window.min(stream.window).max(0) as usize;
                let size = (bytes.len() - stream.sent).min(self.max_frame).min(room);
                if size == 0 {
                    self.sending.push_back(id);
                    break;
                }
                let end = stream.sent + size;
                let flags = if end == bytes.len() { flag::END_STREAM } else { 0 };
                out.push(&frame_head(size, frame::DATA, flags, id));
                out.push_shared(bytes, stream.sent..end);
                stream.sent = end;
                stream.window -= size as i64;
                self.window -= size as i64;
            }
        }
    }

    fn finish(&mut self, id: u32, answer: Option<Answer>, out: &mut Outgoing, done: &mut Vec<Done>) {
        let Some(stream) = self.streams.remove(&id) else { return };
        if stream.sent < stream.ticket.body.bytes.len() {
            // The rest is not wanted.
            const CANCEL: u32 = 8;
            push_frame(out, frame::RST_STREAM, 0, id, &CANCEL.to_be_bytes());
        }
        let answer = answer.unwrap_or_else(|| match stream.head {
            Head { http: Some(http), .. } if http != 200 => Answer::Refused(format!("http {http}")),
            Head { grpc: None, .. } => Answer::Failed("no grpc-status"),
            Head { grpc: Some(0), .. } => {
                Answer::Accepted { rejected: rejected(stream.message.get(GRPC_PREFIX..).unwrap_or_default()) }
            }
            Head { grpc: Some(code), .. } => Answer::Refused(format!("grpc {code}")),
        });
        done.push(Done { ticket: stream.ticket, answer });
    }

    /// What a whole block says.
    fn head(&mut self) -> Result<Head, Fault> {
        if let Some(known) = self.known.get(&self.block) {
            return Ok(*known);
        }
        let mut decoder = fluke_hpack::Decoder::new();
        decoder.set_max_table_size(0);
        let headers = decoder.decode(&self.block).map_err(|fault| format!("a header block: {fault:?}"))?;
        let number = |wanted: &[u8]| {
            let found = headers.iter().find(|(name, _)| name == wanted);
            found.and_then(|(_, value)| std::str::from_utf8(value).ok()?.parse().ok())
        };
        let head = Head { http: number(b":status"), grpc: number(b"grpc-status") };
        if self.known.len() >= MAX_KNOWN {
            self.known.clear();
        }
        self.known.insert(self.block.clone(), head);
        Ok(head)
    }

    fn take_block(&mut self, id: u32, out: &mut Outgoing, done: &mut Vec<Done>) -> Result<(), Fault> {
        let head = self.head()?;
        self.block.clear();
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.head = Head { http: head.http.or(stream.head.http), grpc: head.grpc.or(stream.head.grpc) };
        }
        if self.block_ends {
            self.finish(id, None, out, done);
        }
        Ok(())
    }

    fn apply(&mut self, settings: &[u8]) -> Result<(), Fault> {
        for each in settings.chunks_exact(6) {
            let (name, value) = (u16::from_be_bytes([each[0], each[1]]), be_u32(&each[2..])?);
            match name {
                setting::HEADER_TABLE_SIZE if value < DEFAULT_TABLE => {
                    return Err("the server keeps a smaller header table than every client uses".into());
                }
                setting::MAX_CONCURRENT_STREAMS => self.servers_most_streams = value as usize,
                setting::INITIAL_WINDOW_SIZE => {
                    let more = i64::from(value) - self.initial_window;
                    self.initial_window = i64::from(value);
                    self.streams.values_mut().for_each(|stream| stream.window += more);
                }
                setting::MAX_FRAME_SIZE => self.max_frame = value as usize,
                _ => {}
            }
        }
        Ok(())
    }

    fn take_frame(
        &mut self,
        (kind, flags, id): (u8, u8, u32),
        payload: &[u8],
        out: &mut Outgoing,
        done: &mut Vec<Done>,
    ) -> Result<(), Fault> {
        match kind {
            frame::DATA => {
                self.used += payload.len();
                if self.used >= WINDOW_STEP {
                    push_frame(out, frame::WINDOW_UPDATE, 0, 0, &(self.used as u32).to_be_bytes());
                    self.used = 0;
                }
                if let Some(stream) = self.streams.get_mut(&id) {
                    stream.message.extend_from_slice(unpadded(flags, payload)?);
                    if stream.message.len() > MAX_ANSWER {
                        return Err("an answer of more than 1 MiB".into());
                    }
                }
                if flags & flag::END_STREAM != 0 {
                    self.finish(id, None, out, done);
                }
            }
            frame::HEADERS => {
                let mut block = unpadded(flags, payload)?;
                if flags & flag::PRIORITY != 0 {
                    block = block.get(5..).ok_or("a short frame")?;
                }
                self.block.extend_from_slice(block);
                self.block_ends = flags & flag::END_STREAM != 0;
                if flags & flag::END_HEADERS != 0 {
                    self.take_block(id, out, done)?;
                }
            }
            frame::CONTINUATION => {
                self.block.extend_from_slice(payload);
                if flags & flag::END_HEADERS != 0 {
                    self.take_block(id, out, done)?;
                }
            }
            frame::RST_STREAM => self.finish(id, Some(Answer::Failed("stream reset")), out, done),
            frame::SETTINGS if flags & flag::ACK == 0 => {
                self.apply(payload)?;
                push_frame(out, frame::SETTINGS, flag::ACK, 0, &[]);
                self.pump(out);
            }
            frame::PING if flags & flag::ACK == 0 => push_frame(out, frame::PING, flag::ACK, 0, payload),
            frame::GOAWAY => self.is_closing = true,
            frame::WINDOW_UPDATE => {
                let more = i64::from(be_u32(payload)?);
                match id {
                    0 => self.window += more,
                    _ => {
                        if let Some(stream) = self.streams.get_mut(&id) {
                            stream.window += more;
                        }
                    }
                }
                self.pump(out);
            }
            _ => {}
        }
        Ok(())
    }
}

impl Protocol for Http2 {
    fn room(&self) -> usize {
        if self.is_closing || self.last_stream > LAST_STREAM - 4 {
            return 0;
        }
        self.most_streams.min(self.servers_most_streams).saturating_sub(self.streams.len())
    }

    fn under_way(&self) -> usize {
        self.streams.len()
    }

    fn is_closing(&self) -> bool {
        self.is_closing
    }

    fn begin(&mut self, ticket: Ticket, out: &mut Outgoing) {
        let block = if self.last_stream == 0 { &self.first_block } else { &self.next_block };
        self.last_stream = if self.last_stream == 0 { 1 } else { self.last_stream + 2 };
        let id = self.last_stream;
        push_frame(out, frame::HEADERS, flag::END_HEADERS, id, block);
        let window = self.initial_window;
        self.streams.insert(id, Stream { ticket, sent: 0, window, head: Head::default(), message: Vec::new() });
        self.sending.push_back(id);
        self.pump(out);
    }

    fn receive(&mut self, bytes: &[u8], out: &mut Outgoing, done: &mut Vec<Done>) -> Result<usize, Fault> {
        let mut read = 0;
        while let Some((head, rest)) = bytes[read..].split_first_chunk::<FRAME_HEAD>() {
            let size = be_u32(&[0, head[0], head[1], head[2]])? as usize;
            let Some(payload) = rest.get(..size) else { break };
            let id = be_u32(&head[5..])? & LAST_STREAM;
            self.take_frame((head[3], head[4], id), payload, out, done)?;
            read += FRAME_HEAD + size;
        }
        Ok(read)
    }

    fn lost(&mut self) -> Vec<Ticket> {
        self.sending.clear();
        self.streams.drain().map(|(_, stream)| stream.ticket).collect()
    }
}

fn be_u32(bytes: &[u8]) -> Result<u32, Fault> {
    Ok(u32::from_be_bytes(bytes.get(..4).ok_or("a short frame")?.try_into()?))
}

fn unpadded(flags: u8, payload: &[u8]) -> Result<&[u8], Fault> {
    if flags & flag::PADDED == 0 {
        return Ok(payload);
    }
    let (&padding, rest) = payload.split_first().ok_or("a short frame")?;
    let size = rest.len().checked_sub(padding.into()).ok_or("more padding than frame")?;
    Ok(&rest[..size])
}

fn frame_head(size: usize, kind: u8, flags: u8, id: u32) -> [u8; FRAME_HEAD] {
    let [_, high, middle, low] = (size as u32).to_be_bytes();
    let [a, b, c, d] = id.to_be_bytes();
    [high, middle, low, kind, flags, a, b, c, d]
}

fn push_frame(out: &mut Outgoing, kind: u8, flags: u8, id: u32, payload: &[u8]) {
    out.push(&frame_head(payload.len(), kind, flags, id));
    out.push(payload);
}

/// The block of the first request, which fills the server's table, and that of all others, which names its entries.
fn request_blocks(authority: &str, path: &str, compression: &str) -> (Vec<u8>, Vec<u8>) {
    const POST: u8 = 0x83;
    const HTTP: u8 = 0x86;
    const KEPT: u8 = 0x40;
    const FIRST_INDEX: u8 = 62;
    // A name of the static table by its index, or another one by its text.
    let (path_name, authority_name, content_type, user_agent) = (4, 1, 31, 58);
    let mut headers = vec![
        (path_name, "", path),
        (authority_name, "", authority),
        (content_type, "", "application/grpc"),
        (0, "te", "trailers"),
        (user_agent, "", "airis-load"),
    ];
    if compression != "none" {
        headers.push((0, "grpc-encoding", compression));
    }
    let (mut first, mut next) = (vec![POST, HTTP], vec![POST, HTTP]);
    for (place, (index, name, value)) in headers.iter().enumerate() {
        first.push(KEPT | index);
        for text in [name, value].into_iter().filter(|text| !text.is_empty()) {
            // Shorter than 127 bytes, so that the size is one byte; not Huffman-coded.
            first.push(text.len() as u8);
            first.extend_from_slice(text.as_bytes());
        }
        next.push(0x80 | (FIRST_INDEX + (headers.len() - 1 - place) as u8));
    }
    (first, next)
}

#[cfg(test)]
mod tests {
    use super::super::bodies::{Bodies, Wanted};
    use super::*;

    #[test]
    fn the_second_block_says_the_same_as_the_first() {
        let mut decoder = fluke_hpack::Decoder::new();
        for compression in ["none", "gzip"] {
            let (first, next) = request_blocks("127.0.0.1:4317", "/Service/Export", compression);
            let headers = decoder.decode(&first).unwrap();
            assert!(headers.contains(&(b":path".to_vec(), b"/Service/Export".to_vec())));
            assert!(headers.contains(&(b"te".to_vec(), b"trailers".to_vec())));
            assert_eq!(headers.iter().any(|(name, _)| name == b"grpc-encoding"), compression == "gzip");
            assert_eq!(decoder.decode(&next).unwrap(), headers);
        }
    }

    fn frame_of(kind: u8, flags: u8, id: u32, payload: &[u8]) -> Vec<u8> {
        [&frame_head(payload.len(), kind, flags, id)[..], payload].concat()
    }

    /// What a connection has to send, without the frames of other kinds: stream, content and whether it ends.
    fn data_frames(out: &mut Outgoing) -> Vec<(u32, Vec<u8>, bool)> {
        let mut bytes = Vec::new();
        out.write(&mut bytes).unwrap();
        let mut rest = bytes.strip_prefix(PREFACE).unwrap_or(&bytes);
        let mut found = Vec::new();
        while let Some((head, behind)) = rest.split_first_chunk::<FRAME_HEAD>() {
            let size = be_u32(&[0, head[0], head[1], head[2]]).unwrap() as usize;
            if head[3] == frame::DATA {
                found.push((be_u32(&head[5..]).unwrap(), behind[..size].to_vec(), head[4] & flag::END_STREAM != 0));
            }
            rest = &behind[size..];
        }
        found
    }

    #[test]
    fn no_more_is_sent_than_the_windows_and_frames_of_the_server_allow() {
        let wanted = Wanted {
            kind: airis_payloads::Kind::Spans,
            items: 100,
            variants: 1,
            compression: "none".to_owned(),
            unique_ids: false,
            grpc: true,
        };
        let body = Bodies::make(&wanted).unwrap().take();
        let (mut out, mut done) = (Outgoing::default(), Vec::new());
        let mut client = Http2::new("server", "/Export", "none", 8, &mut out);
        let settings: Vec<u8> = [(setting::INITIAL_WINDOW_SIZE, 20_000), (setting::MAX_FRAME_SIZE, 17_000_u32)]
            .iter()
            .flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        client.receive(&frame_of(frame::SETTINGS, 0, 0, &settings), &mut out, &mut done).unwrap();
        for _ in 0..4 {
            client.begin(Ticket { since: std::time::Instant::now(), body: body.clone() }, &mut out);
        }
        let mut sent: HashMap<u32, Vec<u8>> = HashMap::new();
        let mut take = |out: &mut Outgoing| {
            let frames = data_frames(out);
            let sizes: Vec<_> = frames.iter().map(|(id, content, _)| (*id, content.len())).collect();
            for (id, content, ends) in frames {
                let whole = sent.entry(id).or_default();
                whole.extend_from_slice(&content);
                assert_eq!(ends, whole.len() == body.bytes.len());
            }
            sizes
        };
        // Frames of 17,000, streams of 20,000, and 65,535 for all together.
        let begun = [(1, 17_000), (1, 3000), (3, 17_000), (3, 3000), (5, 17_000), (5, 3000), (7, 5535)];
        assert_eq!(take(&mut out), begun);
        let mut more = |client: &mut Http2, out: &mut Outgoing, id: u32, size: u32| {
            client.receive(&frame_of(frame::WINDOW_UPDATE, 0, id, &size.to_be_bytes()), out, &mut done).unwrap();
            take(out)
        };
        assert_eq!(more(&mut client, &mut out, 3, 10_000), [], "the connection's window is used up");
        assert_eq!(more(&mut client, &mut out, 0, 12_000), [(3, 10_000), (7, 2000)]);
        assert_eq!(more(&mut client, &mut out, 0, 1_000_000), [(7, 12_465)]);
        for id in [1, 3, 5, 7] {
            more(&mut client, &mut out, id, 1_000_000);
        }
        assert_eq!(sent.len(), 4);
        assert!(sent.values().all(|whole| whole == body.bytes.as_ref()));
    }
}
