//! Reads the text format of Prometheus (0.0.4) and OpenMetrics (1.0).
//!
//! Whatever is valid is read as it is meant. Two things that are not valid,
//! but are out there, are read as well: a quote inside of a label's value that
//! is not escaped, and a backslash that escapes nothing. Names in quotes, of
//! any characters, are those of Prometheus 3.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

/// The most samples that are taken: more would cost the reader too much memory.
pub const MOST_SAMPLES: usize = 1_000_000;

/// What a page says; borrows from its text.
#[derive(Debug, Default)]
pub struct Exposition<'a> {
    pub samples: Vec<Sample<'a>>,
    /// By the name after `# TYPE`, which of histograms and OpenMetrics'
    /// counters is that of their samples without a suffix.
    pub types: HashMap<Cow<'a, str>, Type>,
    pub help: HashMap<Cow<'a, str>, Cow<'a, str>>,
    /// OpenMetrics only.
    pub units: HashMap<Cow<'a, str>, &'a str>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Sample<'a> {
    pub name: Cow<'a, str>,
    /// By name, each once.
    pub labels: Labels<'a>,
    pub value: Value,
}

/// Name and value.
pub type Labels<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// A number, exact where it is written without a point or an exponent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    Whole(i128),
    Float(f64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Counter,
    Gauge,
    Histogram,
    GaugeHistogram,
    Summary,
    Info,
    StateSet,
    Untyped,
}

/// Why a page is not in the format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// From 1.
    pub line: usize,
    pub why: String,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

impl std::error::Error for Malformed {}

/// Reads a page. Timestamps and exemplars are passed over: what counts is when
/// the page was asked for.
///
/// # Errors
///
/// The first line that is not in the format, and what is expected there.
pub fn parse(text: &str) -> Result<Exposition<'_>, Malformed> {
    let mut exposition = Exposition::default();
    for (number, line) in text.split('\n').enumerate() {
        let line = line.trim_matches(BLANK_OR_CR);
        if let Some(comment) = line.strip_prefix('#') {
            if comment.trim_matches(BLANKS) == "EOF" {
                break;
            }
            exposition.describe(comment);
        } else if !line.is_empty() {
            let malformed = |why| Malformed { line: number + 1, why };
            if exposition.samples.len() == MOST_SAMPLES {
                return Err(malformed(format!(
                    "these are more than {MOST_SAMPLES} samples, which is too much"
                )));
            }
            exposition.samples.push(sample(line).map_err(malformed)?);
        }
    }
    Ok(exposition)
}

const BLANKS: [char; 2] = [' ', '\t'];
const BLANK_OR_CR: [char; 3] = [' ', '\t', '\r'];

impl<'a> Exposition<'a> {
    /// Takes what comments say; those that say nothing in the format are only
    /// comments.
    fn describe(&mut self, comment: &'a str) {
        let (keyword, rest) = word(comment.trim_start_matches(BLANKS));
        let (name, rest) = match rest.strip_prefix('"').map(|inside| quoted(inside, |_| true)) {
            Some(Ok((name, rest))) => (name, rest.trim_start_matches(BLANKS)),
            Some(Err(_)) => return,
            None => {
                let (name, rest) = word(rest);
                (Cow::Borrowed(name), rest)
            }
        };
        match keyword {
            "TYPE" => drop(self.types.insert(name, Type::of(rest))),
            "HELP" => drop(self.help.insert(name, unescape(rest))),
            "UNIT" => drop(self.units.insert(name, rest)),
            _ => {}
        }
    }
}

impl Type {
    fn of(text: &str) -> Self {
        match text {
            "counter" => Self::Counter,
            "gauge" => Self::Gauge,
            "histogram" => Self::Histogram,
            "gaugehistogram" => Self::GaugeHistogram,
            "summary" => Self::Summary,
            "info" => Self::Info,
            "stateset" => Self::StateSet,
            _ => Self::Untyped,
        }
    }
}

impl Value {
    pub fn parse(text: &str) -> Option<Self> {
        let whole = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        match text.parse() {
            Ok(value) if whole => Some(Self::Whole(value)),
            _ => text.parse().ok().map(Self::Float),
        }
    }

    pub fn as_f64(self) -> f64 {
        match self {
            Self::Whole(value) => value as f64,
            Self::Float(value) => value,
        }
    }
}

/// The first word, and what follows the blanks after it.
fn word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_at(text.find(BLANKS).unwrap_or(text.len()));
    (word, rest.trim_start_matches(BLANKS))
}

/// `name{label="value",...} number [timestamp] [# exemplar]`
fn sample(line: &str) -> Result<Sample<'_>, String> {
    let end = line.find([' ', '\t', '{']).unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    let rest = rest.trim_start_matches(BLANKS);
    let (name, labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => {
            let (inside, labels, rest) = labels(rest)?;
            match inside {
                Some(inside) if name.is_empty() => (inside, labels, rest),
                Some(inside) => return Err(format!("two names: {name} and {inside:?}")),
                None => (Cow::Borrowed(name), labels, rest),
            }
        }
        None => (Cow::Borrowed(name), Labels::new(), rest),
    };
    if let Cow::Borrowed(plain) = name
        && end > 0
        && !is_name(plain, true)
    {
        return Err(format!("a name of letters, digits, _ and : is expected, not {:?}", start(plain)));
    }
    if name.is_empty() {
        return Err("a metric without a name".into());
    }
    let (number, rest) = word(rest.trim_start_matches(BLANKS));
    let Some(value) = Value::parse(number) else {
        return Err(format!("a number is expected after {:?}, not {:?}", start(&name), start(number)));
    };
    if !rest.is_empty() && !rest.starts_with('#') {
        let (timestamp, rest) = word(rest);
        if timestamp.parse::<f64>().is_err() || !(rest.is_empty() || rest.starts_with('#')) {
            return Err(format!("after the number comes a timestamp or nothing, not {:?}", start(timestamp)));
        }
    }
    Ok(Sample { name, labels, value })
}

/// What is inside of braces: a name in quotes, labels, and what follows.
fn labels(mut rest: &str) -> Result<(Option<Cow<'_, str>>, Labels<'_>, &str), String> {
    let mut name = None;
    let mut labels = Labels::new();
    loop {
        rest = rest.trim_start_matches(BLANKS);
        if let Some(after) = rest.strip_prefix('}') {
            break rest = after;
        }
        let label = match rest.strip_prefix('"') {
            Some(inside) => {
                let (label, after) = quoted_name(inside)?;
                rest = after;
                label
            }
            None => {
                let (label, after) =
                    rest.split_at(rest.find([' ', '\t', '=', ',', '}']).unwrap_or(rest.len()));
                if !is_name(label, false) {
                    return Err(format!("a label's name is expected, not {:?}", start(rest)));
                }
                rest = after;
                Cow::Borrowed(label)
            }
        };
        rest = rest.trim_start_matches(BLANKS);
        if let Some(after) = rest.strip_prefix('=') {
            let inside = after.trim_start_matches(BLANKS).strip_prefix('"');
            let inside = inside.ok_or_else(|| format!("the value of label {label:?} is not in quotes"))?;
            let (value, after) =
                quoted(inside, ends_value).map_err(|why| format!("the value of label {label:?} {why}"))?;
            labels.push((label, value));
            rest = after.trim_start_matches(BLANKS);
        } else if name.is_none() && labels.is_empty() && matches!(label, Cow::Owned(_)) {
            name = Some(label);
        } else {
            return Err(format!("label {label:?} has no value"));
        }
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None if rest.starts_with('}') => {}
            None => return Err(format!("a comma or a brace is expected before {:?}", start(rest))),
        }
    }
    labels.sort();
    match labels.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(format!("label {:?} is there twice", pair[0].0)),
        None => Ok((name, labels, rest)),
    }
}

/// A name that stands in quotes; always owned, which tells it from one that does not.
fn quoted_name(inside: &str) -> Result<(Cow<'_, str>, &str), String> {
    let (name, rest) = quoted(inside, |_| true).map_err(|why| format!("a name in quotes {why}"))?;
    Ok((Cow::Owned(name.into_owned()), rest))
}

/// The text up to the quote that ends it, and what follows that.
fn quoted(inside: &str, ends: impl Fn(&str) -> bool) -> Result<(Cow<'_, str>, &str), &'static str> {
    let mut escaped = false;
    for (at, byte) in inside.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' if ends(&inside[at + 1..]) => return Ok((unescape(&inside[..at]), &inside[at + 1..])),
            _ => {}
        }
    }
    Err("has no end")
}

/// Whether a quote with this behind it ends a label's value; if not, somebody
/// did not escape it.
fn ends_value(rest: &str) -> bool {
    matches!(rest.trim_start_matches(BLANKS).bytes().next(), None | Some(b',' | b'}'))
}

/// Resolves `\\`, `\"` and `\n`; other backslashes stay.
fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match rest.next() {
            Some('n') => out.push('\n'),
            Some(c @ ('\\' | '"')) => out.push(c),
            Some(c) => out.extend(['\\', c]),
            None => out.push('\\'),
        }
    }
    out.into()
}

fn is_name(text: &str, colons: bool) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || (colons && byte == b':');
    text.bytes().next().is_some_and(|first| !first.is_ascii_digit()) && text.bytes().all(fits)
}

/// Enough of a text to find it.
fn start(text: &str) -> &str {
    text.split_at_checked(text.char_indices().nth(40).map_or(text.len(), |(at, _)| at)).map_or("", |it| it.0)
}

#[cfg(test)]
mod tests;
