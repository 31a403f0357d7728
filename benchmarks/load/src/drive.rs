//! Keeps connections busy: as many requests in flight as wanted, or requests at a rate.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::Fault;
use super::answer::Answer;
use super::arguments::Arguments;
use super::bodies::{Bodies, Body, Wanted};
use super::http1::Http1;
use super::http2::Http2;
use super::outgoing::Outgoing;
use super::report::Report;

const READ_BUFFER: usize = 256 * 1024;
/// The system rounds timeouts up to whole milliseconds: the last ones before a request is due are spent awake.
const AWAKE: Duration = Duration::from_millis(2);
const MAX_LOST: usize = 1000;

/// A request under way.
pub struct Ticket {
    /// When it was begun, or should have been.
    pub since: Instant,
    pub body: Body,
}

/// A request that was answered.
pub struct Done {
    pub ticket: Ticket,
    pub answer: Answer,
}

/// One connection's side of a protocol.
pub trait Protocol {
    /// Requests that may begin now.
    fn room(&self) -> usize;
    fn under_way(&self) -> usize;
    /// The server will take no more; what is under way is still answered.
    fn is_closing(&self) -> bool;
    fn begin(&mut self, ticket: Ticket, out: &mut Outgoing);
    /// Read answers; how many bytes that took.
    fn receive(&mut self, bytes: &[u8], out: &mut Outgoing, done: &mut Vec<Done>) -> Result<usize, Fault>;
    /// The connection is gone: give up all that is under way.
    fn lost(&mut self) -> Vec<Ticket>;
}

struct Connection {
    socket: TcpStream,
    protocol: Box<dyn Protocol>,
    out: Outgoing,
    incoming: Vec<u8>,
}

/// Where and how to send.
struct Plan {
    address: SocketAddr,
    grpc: bool,
    signal: &'static str,
    compression: String,
    connections: usize,
    streams: usize,
    /// Requests a second; None: the next one follows each answer.
    rate: Option<f64>,
}

struct Driver {
    plan: Plan,
    bodies: Bodies,
    poll: Poll,
    connections: Vec<Connection>,
    /// Whose turn it is to be given a request, at a rate.
    turn: usize,
    buffer: Vec<u8>,
    done: Vec<Done>,
    report: Report,
    lost: usize,
}

/// `airis-load send`.
///
/// With `--hold 1` it says `{"warm": …}` after the warm-up and waits for a line on standard input.
pub fn send(mut arguments: Arguments) -> Result<(), Fault> {
    let (plan, wanted) = plan(&mut arguments)?;
    let (warmup, length) = (arguments.seconds("warmup", 1.0)?, arguments.seconds("seconds", 3.0)?);
    let longest_drain = arguments.seconds("drain", 30.0)?;
    let is_held = arguments.number("hold", 0)? != 0;
    arguments.end()?;
    let bodies = Bodies::make(&wanted)?;
    let mut driver = Driver::connect(plan, bodies)?;
    driver.run(warmup, longest_drain)?;
    if is_held {
        println!("{{\"warm\": {}}}", driver.report.json(wanted.items));
        io::stdout().flush()?;
        let mut line = String::new();
        io::stdin().read_line(&mut line)?;
    }
    driver.run(length, longest_drain)?;
    let bodies = &driver.bodies;
    let per_item = |bytes: usize| bytes as f64 / (bodies.variants() * bodies.items) as f64;
    println!(
        "{{\"bytes_per_item\": {:.1}, \"wire_bytes_per_item\": {:.1}, \"window\": {}}}",
        per_item(bodies.plain_bytes),
        per_item(bodies.wire_bytes),
        driver.report.json(bodies.items)
    );
    Ok(())
}

fn plan(arguments: &mut Arguments) -> Result<(Plan, Wanted), Fault> {
    let grpc = match arguments.text("protocol", "grpc").as_str() {
        "grpc" => true,
        "http" => false,
        name => return Err(format!("--protocol {name} is neither grpc nor http").into()),
    };
    let wanted = Wanted::of(arguments, grpc)?;
    let rate = arguments.fraction("rate", 0.0)?;
    let plan = Plan {
        address: arguments.needed("to")?.parse()?,
        grpc,
        signal: wanted.kind.signal(),
        compression: wanted.compression.clone(),
        connections: arguments.number("connections", 8)?.max(1) as usize,
        streams: arguments.number("streams", 8)?.max(1) as usize,
        rate: (rate > 0.0).then_some(rate),
    };
    Ok((plan, wanted))
}

impl Driver {
    fn connect(plan: Plan, bodies: Bodies) -> Result<Self, Fault> {
        let mut driver = Self {
            plan,
            bodies,
            poll: Poll::new()?,
            connections: Vec::new(),
            turn: 0,
            buffer: vec![0; READ_BUFFER],
            done: Vec::new(),
            report: Report::new(),
            lost: 0,
        };
        for place in 0..driver.plan.connections {
            let connection = driver.open(place)?;
            driver.connections.push(connection);
        }
        Ok(driver)
    }

    fn open(&self, place: usize) -> Result<Connection, Fault> {
        let plan = &self.plan;
        let socket = std::net::TcpStream::connect_timeout(&plan.address, Duration::from_secs(5))
            .map_err(|error| format!("{}: {error}", plan.address))?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let mut socket = TcpStream::from_std(socket);
        self.poll.registry().register(&mut socket, Token(place), Interest::READABLE | Interest::WRITABLE)?;
        let (mut out, authority) = (Outgoing::default(), plan.address.to_string());
        let protocol: Box<dyn Protocol> = if plan.grpc {
            let path = format!("/opentelemetry.proto.collector.{}/Export", service(plan.signal));
            Box::new(Http2::new(&authority, &path, &plan.compression, plan.streams, &mut out))
        } else {
            Box::new(Http1::new(&authority, plan.signal, &plan.compression))
        };
        Ok(Connection { socket, protocol, out, incoming: Vec::new() })
    }

    /// One phase, until all that was sent is answered.
    fn run(&mut self, length: Duration, longest_drain: Duration) -> Result<(), Fault> {
        self.report = Report::new();
        let (start, cpu) = (Instant::now(), own_cpu());
        if !length.is_zero() {
            match self.plan.rate {
                None => self.keep_full(start, length)?,
                Some(rate) => self.keep_rate(rate, start, length)?,
            }
        }
        let give_up = Instant::now() + longest_drain;
        while self.under_way() > 0 && Instant::now() < give_up {
            self.wait(Duration::from_millis(20), false)?;
        }
        self.report.unanswered = self.under_way() as u64;
        self.report.length = start.elapsed();
        self.report.cpu = own_cpu().zip(cpu).map(|(after, before)| after - before);
        if self.report.unanswered > 0 {
            // Answers to the last phase must not be counted in the next one.
            for place in 0..self.connections.len() {
                self.connections[place] = self.open(place)?;
            }
        }
        Ok(())
    }

    fn under_way(&self) -> usize {
        self.connections.iter().map(|connection| connection.protocol.under_way()).sum()
    }

    fn keep_full(&mut self, start: Instant, length: Duration) -> Result<(), Fault> {
        for place in 0..self.connections.len() {
            self.fill(place)?;
        }
        while let Some(rest) = length.checked_sub(start.elapsed()) {
            self.wait(rest.min(Duration::from_millis(100)), true)?;
        }
        Ok(())
    }

    fn keep_rate(&mut self, rate: f64, start: Instant, length: Duration) -> Result<(), Fault> {
        let mut begun = 0_u64;
        let due = |number: u64| Duration::from_secs_f64(number as f64 / rate);
        loop {
            let elapsed = start.elapsed();
            if elapsed >= length {
                break;
            }
            let mut has_room = true;
            while due(begun) <= elapsed {
                let Some(place) = self.place_with_room() else {
                    has_room = false;
                    break;
                };
                self.begin(place, start + due(begun));
                self.flush(place)?;
                begun += 1;
            }
            let rest = due(begun).saturating_sub(start.elapsed());
            let awake = if has_room { rest.saturating_sub(AWAKE) } else { AWAKE };
            self.wait(awake, false)?;
        }
        self.report.unsent = ((length.as_secs_f64() * rate) as u64).saturating_sub(begun);
        Ok(())
    }

    /// The next connection that takes a request.
    fn place_with_room(&mut self) -> Option<usize> {
        let count = self.connections.len();
        let found = (0..count).map(|step| (self.turn + step) % count);
        let place = found.into_iter().find(|&place| self.connections[place].protocol.room() > 0)?;
        self.turn = (place + 1) % count;
        Some(place)
    }

    fn begin(&mut self, place: usize, since: Instant) {
        let body = self.bodies.take();
        let connection = &mut self.connections[place];
        connection.protocol.begin(Ticket { since, body }, &mut connection.out);
        self.report.requests += 1;
    }

    /// Begin as many requests as the connection takes.
    fn fill(&mut self, place: usize) -> Result<(), Fault> {
        let room = self.connections[place].protocol.room();
        if room > 0 {
            let now = Instant::now();
            for _ in 0..room {
                self.begin(place, now);
            }
        }
        self.flush(place)
    }

    fn flush(&mut self, place: usize) -> Result<(), Fault> {
        let connection = &mut self.connections[place];
        match connection.out.write(&mut connection.socket) {
            Ok(sent) => {
                self.report.sent_bytes += sent as u64;
                Ok(())
            }
            Err(_) => self.reopen(place),
        }
    }

    /// Wait for the system, and work on what came.
    fn wait(&mut self, longest: Duration, refill: bool) -> Result<(), Fault> {
        let mut events = Events::with_capacity(256);
        match self.poll.poll(&mut events, Some(longest)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            polled => polled?,
        }
        for event in &events {
            let Token(place) = event.token();
            let is_open = !event.is_readable() || self.receive(place)?;
            if !is_open || self.is_used_up(place) {
                self.reopen(place)?;
            }
            if refill {
                self.fill(place)?;
            } else {
                self.flush(place)?;
            }
        }
        Ok(())
    }

    fn is_used_up(&self, place: usize) -> bool {
        let protocol = &self.connections[place].protocol;
        protocol.is_closing() && protocol.under_way() == 0
    }

    /// Read answers; false where the connection has ended.
    fn receive(&mut self, place: usize) -> Result<bool, Fault> {
        let connection = &mut self.connections[place];
        let mut is_open = true;
        loop {
            match connection.socket.read(&mut self.buffer) {
                Ok(0) => is_open = false,
                Ok(size) => {
                    let bytes = &self.buffer[..size];
                    if connection.incoming.is_empty() {
                        let read = connection.protocol.receive(bytes, &mut connection.out, &mut self.done)?;
                        connection.incoming.extend_from_slice(&bytes[read..]);
                    } else {
                        connection.incoming.extend_from_slice(bytes);
                        let incoming = &connection.incoming;
                        let read = connection.protocol.receive(incoming, &mut connection.out, &mut self.done)?;
                        connection.incoming.drain(..read);
                    }
                    // A short read took all there was.
                    if size == self.buffer.len() {
                        continue;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => is_open = false,
            }
            break;
        }
        self.settle();
        Ok(is_open)
    }

    fn settle(&mut self) {
        if self.done.is_empty() {
            return;
        }
        let now = Instant::now();
        for done in self.done.drain(..) {
            self.report.enter(&done.answer, self.bodies.items, now.duration_since(done.ticket.since));
            self.bodies.give_back(done.ticket.body);
        }
    }

    /// Another connection in the place of one that has ended.
    fn reopen(&mut self, place: usize) -> Result<(), Fault> {
        let tickets = self.connections[place].protocol.lost();
        if !tickets.is_empty() {
            self.lost += 1;
            if self.lost > MAX_LOST {
                return Err(format!("{MAX_LOST} connections were lost").into());
            }
        }
        let answer = Answer::Failed("connection lost");
        self.done.extend(tickets.into_iter().map(|ticket| Done { ticket, answer: answer.clone() }));
        self.settle();
        self.connections[place] = self.open(place)?;
        Ok(())
    }
}

/// The service of a signal, as its path has it.
fn service(signal: &str) -> &'static str {
    match signal {
        "traces" => "trace.v1.TraceService",
        "logs" => "logs.v1.LogsService",
        _ => "metrics.v1.MetricsService",
    }
}

/// CPU time of this thread, which is the only one; None where the system does not tell.
pub fn own_cpu() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    Some(Duration::from_nanos(text.split_whitespace().next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::super::sink;
    use super::*;

    const LENGTH: Duration = Duration::from_millis(50);
    const DRAIN: Duration = Duration::from_secs(60);

    fn driver(address: SocketAddr, options: &str) -> Driver {
        let options = format!("--to {address} {options}");
        let mut arguments = Arguments::new(options.split_whitespace().map(str::to_owned)).unwrap();
        let (plan, wanted) = plan(&mut arguments).unwrap();
        arguments.end().unwrap();
        Driver::connect(plan, Bodies::make(&wanted).unwrap()).unwrap()
    }

    /// A number that the sink counts.
    fn counted(address: SocketAddr, name: &str) -> u64 {
        let mut socket = std::net::TcpStream::connect(address).unwrap();
        socket.write_all(b"GET /stats HTTP/1.1\r\nhost: sink\r\nconnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        socket.read_to_string(&mut text).unwrap();
        let found = text.split_once(&format!("\"{name}\": ")).unwrap().1;
        found.split_once([',', '}']).unwrap().0.parse().unwrap()
    }

    #[test]
    fn what_is_accepted_has_arrived_and_what_is_refused_is_told() {
        for options in [
            "--protocol grpc --items 300",
            "--protocol grpc --items 4096 --kind histograms",
            "--protocol grpc --items 1 --ids unique --rate 500",
            "--protocol grpc --items 64 --kind logs --compression gzip --variants 3",
            "--protocol http --items 300",
            "--protocol http --items 64 --kind numbers --compression zstd",
            "--protocol http --items 1 --ids unique --rate 500",
        ] {
            let address = sink::for_test(0.25);
            let mut driver = driver(address, options);
            driver.run(LENGTH, DRAIN).unwrap();
            let report = &driver.report;
            let (accepted, refused) = (counted(address, "items"), counted(address, "refused"));
            assert_eq!(report.accepted_items(), accepted, "{options}");
            assert_eq!(report.refused_requests(), refused, "{options}");
            // At a rate, a slow machine may begin fewer than four.
            assert!(refused > 0 || options.contains("--rate"), "{options}");
            assert_eq!(report.accepted_items() / driver.bodies.items as u64 + refused, report.requests, "{options}");
            assert_eq!((report.unanswered, counted(address, "unreadable")), (0, 0), "{options}");
        }
    }

    #[test]
    fn a_server_that_leaves_is_told_and_another_connection_made() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut first, _) = listener.accept().unwrap();
            let _ = first.read(&mut [0; 1000]).unwrap();
            drop(first);
            let (mut second, _) = listener.accept().unwrap();
            let _ = second.read(&mut [0; 1000]).unwrap();
            second.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
            // Whatever comes now is not answered.
            while second.read(&mut [0; 1000]).is_ok_and(|size| size > 0) {}
        });
        let mut driver = driver(address, "--protocol http --items 1 --connections 1");
        driver.fill(0).unwrap();
        while driver.report.refused_requests() + driver.report.accepted_items() < 2 {
            driver.wait(LENGTH, true).unwrap();
        }
        let report = driver.report.json(1);
        assert!(report.contains("\"accepted\": 1, \"connection lost\": 1"), "{report}");
        drop(driver);
        server.join().unwrap();
    }
}
