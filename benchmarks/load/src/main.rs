//! `airis-load send` sends OTLP as fast as one core can, or at a rate; `airis-load sink` takes it and counts;
//! `airis-load body` writes requests to standard output, `airis-load control` says what the machine can do.

mod answer;
mod arguments;
mod bodies;
mod control;
mod drive;
mod http1;
mod http2;
mod latency;
mod outgoing;
mod report;
mod sink;

use std::io::Write;
use std::process::ExitCode;

use arguments::Arguments;

type Fault = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let done = Arguments::new(arguments).and_then(|arguments| match command.as_str() {
        "send" => drive::send(arguments),
        "sink" => sink::serve(arguments),
        "control" => control::measure(arguments),
        "body" => body(arguments),
        _ => Err("use: airis-load send|sink|body|control --name value ...".into()),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("airis-load: {fault}");
            ExitCode::FAILURE
        }
    }
}

/// Some requests joined into one, for whoever wants to look at them.
fn body(mut arguments: Arguments) -> Result<(), Fault> {
    let (kind, items) = (bodies::kind(&mut arguments)?, arguments.number("items", 512)?);
    let (seed, requests, now) = (arguments.number("seed", 1)?, arguments.number("requests", 1)?, bodies::now());
    arguments.end()?;
    let mut output = std::io::stdout().lock();
    for seed in seed..seed + requests {
        output.write_all(&airis_payloads::payload(kind, items as usize, seed, now).bytes)?;
    }
    Ok(())
}
