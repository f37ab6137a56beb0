//! OpenMetrics and Prometheus text: `name{labels} value [timestamp]`, a sample a line.

use std::{collections::BTreeMap, str::Chars};

use super::{
    super::{Broken, plain},
    Wanted,
    number::is_number,
};

/// Hands over every sample. Answers whether there was any.
pub(super) fn read(text: &str, wanted: &mut Wanted) -> Result<bool, Broken> {
    // A name that is no series is one of JSON, which this is not.
    let series: Vec<Option<Series>> =
        wanted.measured.iter().map(|measured| Series::parse(&measured.target.metric)).collect();
    let names: Vec<String> = wanted.measured.iter().map(|measured| measured.target.metric.clone()).collect();
    let (mut any, mut ended) = (false, false);
    for (number, line) in (1_u64..).zip(text.lines()) {
        let line = line.trim();
        let wrong = |what: &str| Broken::invalid(format!("not OpenMetrics text: line {number} {what}"));
        if line.is_empty() {
            continue;
        }
        if ended {
            return Err(wrong("stands after # EOF"));
        }
        if line.starts_with('#') {
            ended = line == "# EOF";
            continue;
        }
        let Some((sample, rest)) = Series::begin(line) else {
            return Err(wrong("is no sample such as name{label=\"x\"} 1.5"));
        };
        let value = value(rest).map_err(|what| wrong(&what))?;
        any = true;
        let is_meant = |metric: &str| {
            let at = names.iter().position(|name| name == metric);
            at.and_then(|at| series.get(at)).is_some_and(|wanted| wanted.as_ref() == Some(&sample))
        };
        wanted.take(is_meant, value)?;
    }
    Ok(any)
}

/// The value after a series; behind it there may be a timestamp, and then an exemplar.
fn value(rest: &str) -> Result<&str, String> {
    let mut words = rest.split_ascii_whitespace();
    let value = words.next().ok_or("has no value")?;
    if !is_number(value) {
        return Err(format!("has the value {:?}, which is not a number", plain(value, 40)));
    }
    match words.next() {
        Some(word) if word.starts_with('#') => return Ok(value),
        Some(timestamp) if !is_number(timestamp) => return Err("has no timestamp behind its value".to_owned()),
        Some(_) | None => {}
    }
    match words.next() {
        Some(word) if !word.starts_with('#') => Err("has more than a value and a timestamp".to_owned()),
        Some(_) | None => Ok(value),
    }
}

/// A name with its labels, in whatever order they are written.
#[derive(Debug, PartialEq, Eq)]
struct Series {
    name: String,
    labels: BTreeMap<String, String>,
}

impl Series {
    /// A series and nothing else.
    fn parse(text: &str) -> Option<Self> {
        let (series, rest) = Self::begin(text.trim())?;
        rest.trim().is_empty().then_some(series)
    }

    /// A series at the beginning of a line, and what follows.
    fn begin(line: &str) -> Option<(Self, &str)> {
        let (name, rest) = word(line, |c| c == ':')?;
        let mut series = Self { name: name.to_owned(), labels: BTreeMap::new() };
        let Some(mut rest) = rest.trim_start().strip_prefix('{') else {
            let apart = rest.is_empty() || rest.starts_with(char::is_whitespace);
            return apart.then_some((series, rest));
        };
        loop {
            rest = rest.trim_start();
            if let Some(rest) = rest.strip_prefix('}') {
                return Some((series, rest));
            }
            let (label, after) = word(rest, |_| false)?;
            let quoted = after.trim_start().strip_prefix('=')?.trim_start().strip_prefix('"')?;
            let mut chars = quoted.chars();
            let text = unescaped(&mut chars)?;
            if series.labels.insert(label.to_owned(), text).is_some() {
                return None;
            }
            rest = chars.as_str().trim_start();
            rest = match rest.strip_prefix(',') {
                Some(rest) => rest,
                None if rest.starts_with('}') => rest,
                None => return None,
            };
        }
    }
}

/// A name: letters, digits and `_`, and what is allowed beside; not a digit first.
fn word(text: &str, more: impl Fn(char) -> bool) -> Option<(&str, &str)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || more(c);
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    (!name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit())).then_some((name, rest))
}

/// The text up to the closing quote.
fn unescaped(chars: &mut Chars<'_>) -> Option<String> {
    let mut text = String::new();
    loop {
        match chars.next()? {
            '"' => return Some(text),
            '\\' => match chars.next()? {
                'n' => text.push('\n'),
                c @ ('"' | '\\') => text.push(c),
                c => text.extend(['\\', c]),
            },
            c => text.push(c),
        }
    }
}
