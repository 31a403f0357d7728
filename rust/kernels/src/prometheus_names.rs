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
fn label_name(key: &str) -> String {
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
