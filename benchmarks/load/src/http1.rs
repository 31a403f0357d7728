//! OTLP over HTTP/1.1: one request at a time.

use std::io::Write;

use super::Fault;
use super::answer::{Answer, rejected};
use super::drive::{Done, Protocol, Ticket};
use super::outgoing::Outgoing;

const MAX_HEADERS: usize = 32;
const MAX_ANSWER: usize = 1024 * 1024;

pub struct Http1 {
    /// All of a request's head that is always the same.
    head: Vec<u8>,
    under_way: Option<Ticket>,
    is_closing: bool,
}

impl Http1 {
    pub fn new(authority: &str, signal: &str, compression: &str) -> Self {
        let encoding = match compression {
            "none" => String::new(),
            name => format!("content-encoding: {name}\r\n"),
        };
        let head = format!(
            "POST /v1/{signal} HTTP/1.1\r\nhost: {authority}\r\ncontent-type: application/x-protobuf\r\n\
             user-agent: airis-load\r\n{encoding}content-length: "
        );
        Self { head: head.into_bytes(), under_way: None, is_closing: false }
    }
}

impl Protocol for Http1 {
    fn room(&self) -> usize {
        usize::from(self.under_way.is_none() && !self.is_closing)
    }

    fn under_way(&self) -> usize {
        usize::from(self.under_way.is_some())
    }

    fn is_closing(&self) -> bool {
        self.is_closing
    }

    fn begin(&mut self, ticket: Ticket, out: &mut Outgoing) {
        let bytes = &ticket.body.bytes;
        let mut head = self.head.clone();
        // A Vec takes all that is written.
        let _ = write!(head, "{}\r\n\r\n", bytes.len());
        out.push(&head);
        out.push_shared(bytes, 0..bytes.len());
        self.under_way = Some(ticket);
    }

    fn receive(&mut self, bytes: &[u8], out: &mut Outgoing, done: &mut Vec<Done>) -> Result<usize, Fault> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(head) = response.parse(bytes)? else { return Ok(0) };
        let header = |name: &str| {
            let found = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
            found.and_then(|header| std::str::from_utf8(header.value).ok())
        };
        let size: usize = header("content-length").ok_or("an answer without Content-Length")?.trim().parse()?;
        if size > MAX_ANSWER {
            return Err("an answer of more than 1 MiB".into());
        }
        let Some(body) = bytes.get(head..head + size) else { return Ok(0) };
        let ticket = self.under_way.take().ok_or("an answer that nobody asked for")?;
        let answer = match response.code {
            Some(200) => Answer::Accepted { rejected: rejected(body) },
            code => Answer::Refused(format!("http {}", code.unwrap_or_default())),
        };
        // Behind an answer that came before the body was sent, a server closes.
        self.is_closing |= !out.is_empty() || header("connection").is_some_and(|it| it.eq_ignore_ascii_case("close"));
        done.push(Done { ticket, answer });
        Ok(head + size)
    }

    fn lost(&mut self) -> Vec<Ticket> {
        self.under_way.take().into_iter().collect()
    }
}
