//! OpenTelemetry's names as Prometheus spells them; the rules are told in `airis.proto.prometheus_names`.

use std::collections::BTreeMap;

/// The key in a metric's metadata that says that it was Prometheus', and of what type.
pub const PROMETHEUS_TYPE: &str = "prometheus.type";
/// The scope of what came from Prometheus and named none.
pub const TRANSLATOR: &str = "airis.receivers.prometheus_remote_write";

/// The name of a metric family, `_total` of a counter included, `_bucket` and its like not.
pub fn family_name(name: &str, unit: &str, counter: bool, gauge: bool) -> String {
    let mut tokens: Vec<&str> = tokens(name).collect();
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    let suffix = suffix(main, unit_name);
    let per_suffix = self::suffix(per, per_unit_name);
    if !suffix.is_empty() && !tokens.contains(&suffix.as_str()) {
        tokens.push(&suffix);
    }
    if !per_suffix.is_empty() && !tokens.contains(&per_suffix.as_str()) {
        tokens.extend(["per", &per_suffix]);
    }
    if counter {
        move_to_end(&mut tokens, "total");
    }
    if gauge && unit == "1" {
        move_to_end(&mut tokens, "ratio");
    }
    let joined = tokens.join("_");
    if joined.starts_with(|c: char| c.is_ascii_digit()) { format!("_{joined}") } else { joined }
}

/// How OpenTelemetry's names become Prometheus'.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    UnderscoresWithSuffixes,
    Underscores,
    Utf8WithSuffixes,
    Utf8,
}

impl Strategy {
    /// By the name that Prometheus gives it.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "UnderscoreEscapingWithSuffixes" => Some(Self::UnderscoresWithSuffixes),
            "UnderscoreEscapingWithoutSuffixes" => Some(Self::Underscores),
            "NoUTF8EscapingWithSuffixes" => Some(Self::Utf8WithSuffixes),
            "NoTranslation" => Some(Self::Utf8),
            _ => None,
        }
    }

    /// Whether names keep their characters.
    pub fn is_utf8(self) -> bool {
        matches!(self, Self::Utf8WithSuffixes | Self::Utf8)
    }

    /// The name of a metric family.
    pub fn family_name(self, name: &str, unit: &str, counter: bool, gauge: bool) -> String {
        match self {
            Self::UnderscoresWithSuffixes => family_name(name, unit, counter, gauge),
            Self::Underscores => family_name(name, "", false, false),
            Self::Utf8WithSuffixes => suffixed(name, unit, counter, gauge),
            Self::Utf8 => name.to_owned(),
        }
    }
}

/// A name with the suffixes that it lacks, unit, `_per_…`, `_total` and `_ratio`, in this order.
fn suffixed(name: &str, unit: &str, counter: bool, gauge: bool) -> String {
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    let (main, per) = (suffix(main, unit_name), suffix(per, per_unit_name));
    let per = if per.is_empty() { per } else { format!("per_{per}") };
    let outer = [("ratio", gauge && unit == "1"), ("total", counter), (per.as_str(), !per.is_empty())];
    let mut stem = name;
    for (word, _) in outer.iter().filter(|(_, wanted)| *wanted) {
        // The character in front of the word is taken for what separates it.
        let inner = stem.strip_suffix(word).and_then(|inner| {
            let separator = inner.chars().next_back()?;
            Some(&inner[..inner.len() - separator.len_utf8()])
        });
        stem = inner.filter(|inner| !inner.is_empty()).unwrap_or(stem);
    }
    let mut whole = stem.to_owned();
    if !main.is_empty() && !whole.ends_with(&main) {
        whole = format!("{whole}_{main}");
    }
    for (word, _) in outer.iter().rev().filter(|(_, wanted)| *wanted) {
        whole = format!("{whole}_{word}");
    }
    whole
}

/// A unit as Prometheus' metadata spells it.
pub fn unit_text(unit: &str) -> String {
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    let (main, per) = (suffix(main, unit_name), suffix(per, per_unit_name));
    if per.is_empty() { main } else { format!("{main}_per_{per}") }
}

fn move_to_end<'a>(tokens: &mut Vec<&'a str>, word: &'a str) {
    tokens.retain(|token| *token != word);
    tokens.push(word);
}

fn tokens(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == ':')).filter(|token| !token.is_empty())
}

fn suffix(unit: &str, names: fn(&str) -> Option<&'static str>) -> String {
    // Python's strip takes the four separators of ASCII for space, too.
    let unit = unit.trim_matches(|c: char| c.is_whitespace() || ('\x1c'..='\x1f').contains(&c));
    if unit.contains(['{', '}']) {
        return String::new();
    }
    tokens(names(unit).unwrap_or(unit)).collect::<Vec<_>>().join("_")
}

fn unit_name(unit: &str) -> Option<&'static str> {
    Some(match unit {
        "d" => "days",
        "h" => "hours",
        "min" => "minutes",
        "s" => "seconds",
        "ms" => "milliseconds",
        "us" => "microseconds",
        "ns" => "nanoseconds",
        "By" => "bytes",
        "KiBy" => "kibibytes",
        "MiBy" => "mebibytes",
        "GiBy" => "gibibytes",
        "TiBy" => "tibibytes",
        "KBy" => "kilobytes",
        "MBy" => "megabytes",
        "GBy" => "gigabytes",
        "TBy" => "terabytes",
        "m" => "meters",
        "V" => "volts",
        "A" => "amperes",
        "J" => "joules",
        "W" => "watts",
        "g" => "grams",
        "Cel" => "celsius",
        "Hz" => "hertz",
        "1" => "",
        "%" => "percent",
        _ => return None,
    })
}

fn per_unit_name(unit: &str) -> Option<&'static str> {
    Some(match unit {
        "s" => "second",
        "m" => "minute",
        "h" => "hour",
        "d" => "day",
        "w" => "week",
        "mo" => "month",
        "y" => "year",
        _ => return None,
    })
}

/// The name of a label.
pub fn label_name(key: &str) -> String {
    let escaped: String = key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if escaped.starts_with(|c: char| c.is_ascii_digit()) {
        format!("key_{escaped}")
    } else if escaped.starts_with('_') && !escaped.starts_with("__") {
        format!("key{escaped}")
    } else {
        escaped
    }
}

/// Labels by name: of keys that become one name the values are joined with `;`, a derived label wins.
///
/// The attributes come in the order of their keys, which `verbatim` are the names.
pub fn labels<'a>(
    attributes: impl Iterator<Item = (&'a str, &'a [u8])>,
    derived: &[(&str, &[u8])],
    verbatim: bool,
) -> BTreeMap<String, Vec<u8>> {
    let mut labels = BTreeMap::new();
    for (key, value) in attributes {
        labels
            .entry(if verbatim { key.to_owned() } else { label_name(key) })
            .and_modify(|joined: &mut Vec<u8>| {
                joined.push(b';');
                joined.extend_from_slice(value);
            })
            .or_insert_with(|| value.to_vec());
    }
    for (name, value) in derived {
        labels.insert((*name).to_owned(), value.to_vec());
    }
    labels
}
