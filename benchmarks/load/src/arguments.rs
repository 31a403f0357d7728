//! Options of the command line: `--name value`, each at most once.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use super::Fault;

/// What was given and not yet asked for.
pub struct Arguments(BTreeMap<String, String>);

impl Arguments {
    pub fn new(mut given: impl Iterator<Item = String>) -> Result<Self, Fault> {
        let mut known = BTreeMap::new();
        while let Some(name) = given.next() {
            let Some(plain) = name.strip_prefix("--") else { return Err(format!("{name} is no option").into()) };
            let value = given.next().ok_or_else(|| format!("{name} has no value"))?;
            if known.insert(plain.to_owned(), value).is_some() {
                return Err(format!("{name} is given twice").into());
            }
        }
        Ok(Self(known))
    }

    pub fn text(&mut self, name: &str, default: &str) -> String {
        self.0.remove(name).unwrap_or_else(|| default.to_owned())
    }

    pub fn needed(&mut self, name: &str) -> Result<String, Fault> {
        self.0.remove(name).ok_or_else(|| format!("--{name} is needed").into())
    }

    pub fn number(&mut self, name: &str, default: u64) -> Result<u64, Fault> {
        self.parsed(name, default)
    }

    pub fn fraction(&mut self, name: &str, default: f64) -> Result<f64, Fault> {
        self.parsed(name, default)
    }

    /// A time in seconds.
    pub fn seconds(&mut self, name: &str, default: f64) -> Result<Duration, Fault> {
        Duration::try_from_secs_f64(self.fraction(name, default)?).map_err(|_| format!("--{name} is no time").into())
    }

    /// All that is left was never asked for.
    pub fn end(self) -> Result<(), Fault> {
        match self.0.keys().next() {
            Some(name) => Err(format!("there is no option --{name}").into()),
            None => Ok(()),
        }
    }

    fn parsed<T: FromStr>(&mut self, name: &str, default: T) -> Result<T, Fault> {
        let Some(text) = self.0.remove(name) else { return Ok(default) };
        text.parse().map_err(|_| format!("--{name} {text} is no number").into())
    }
}
