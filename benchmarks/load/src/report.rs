//! What became of the requests of one phase, as JSON.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use super::answer::Answer;
use super::latency::Latency;

pub struct Report {
    pub requests: u64,
    /// Requests by how they were answered: ``accepted``, or what the server or the connection said.
    answers: BTreeMap<String, u64>,
    accepted_items: u64,
    rejected_items: u64,
    latency: Latency,
    /// From the first request to the last answer.
    pub length: Duration,
    pub cpu: Option<Duration>,
    pub sent_bytes: u64,
    /// Requests that were due, but never begun.
    pub unsent: u64,
    pub unanswered: u64,
}

impl Report {
    pub fn new() -> Self {
        Self {
            requests: 0,
            answers: BTreeMap::new(),
            accepted_items: 0,
            rejected_items: 0,
            latency: Latency::new(),
            length: Duration::ZERO,
            cpu: None,
            sent_bytes: 0,
            unsent: 0,
            unanswered: 0,
        }
    }

    /// Enter an answer to a request of so many items.
    pub fn enter(&mut self, answer: &Answer, items: usize, took: Duration) {
        let items = items as u64;
        let name = match answer {
            Answer::Accepted { rejected } => {
                let rejected = items.min(*rejected);
                self.rejected_items += rejected;
                self.accepted_items += items - rejected;
                // Of those that were refused the time says nothing.
                self.latency.record(took);
                "accepted"
            }
            Answer::Refused(code) => code,
            Answer::Failed(why) => why,
        };
        match self.answers.get_mut(name) {
            Some(count) => *count += 1,
            None => _ = self.answers.insert(name.to_owned(), 1),
        }
    }

    #[cfg(test)]
    pub fn accepted_items(&self) -> u64 {
        self.accepted_items
    }

    #[cfg(test)]
    pub fn refused_requests(&self) -> u64 {
        self.answers.iter().filter(|(name, _)| *name != "accepted").map(|(_, count)| count).sum()
    }

    pub fn json(&self, items: usize) -> String {
        let mut json = format!(
            "{{\"requests\": {}, \"items\": {}, \"accepted_items\": {}, \"rejected_items\": {}, \"unsent\": {}, \
             \"unanswered\": {}, \"seconds\": {:.6}, \"sent_bytes\": {}",
            self.requests,
            self.requests * items as u64,
            self.accepted_items,
            self.rejected_items,
            self.unsent,
            self.unanswered,
            self.length.as_secs_f64(),
            self.sent_bytes,
        );
        let cpu = self.cpu.map_or("null".to_owned(), |cpu| format!("{:.6}", cpu.as_secs_f64()));
        let answers: Vec<_> = self.answers.iter().map(|(name, count)| format!("\"{name}\": {count}")).collect();
        let latency = &self.latency;
        // A String takes all that is written.
        let _ = write!(
            json,
            ", \"cpu_s\": {cpu}, \"answers\": {{{}}}, \"latency_ms\": {{\"p50\": {:.3}, \"p90\": {:.3}, \
             \"p99\": {:.3}, \"max\": {:.3}}}}}",
            answers.join(", "),
            ms(latency.quantile(0.5)),
            ms(latency.quantile(0.9)),
            ms(latency.quantile(0.99)),
            ms(latency.max()),
        );
        json
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_and_rejected_items_are_not_accepted() {
        let mut report = Report::new();
        report.enter(&Answer::Accepted { rejected: 0 }, 10, Duration::from_millis(2));
        report.enter(&Answer::Accepted { rejected: 3 }, 10, Duration::from_millis(2));
        report.enter(&Answer::Refused("grpc 8".to_owned()), 10, Duration::from_secs(1));
        report.enter(&Answer::Failed("connection lost"), 10, Duration::from_secs(1));
        report.requests = 4;
        let json = report.json(10);
        for part in [
            "\"items\": 40, \"accepted_items\": 17, \"rejected_items\": 3",
            "{\"accepted\": 2, \"connection lost\": 1, \"grpc 8\": 1}",
            "\"max\": 2.000",
        ] {
            assert!(json.contains(part), "{json}");
        }
    }
}
