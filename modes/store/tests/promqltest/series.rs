//! Descriptions of series: `name{label="value"} 1 2+3x4 _ stale {{count:1}}`.

use std::sync::Arc;

use rezolus_store::histogram::Literal;
use rezolus_store::labels::NAME;
use rezolus_store::sample::STALE;
use rezolus_store::{FloatHistogram, Labels, Sample};

/// More points than any script has.
const MOST_POINTS: u64 = 1_000_000;

/// A series, and its value or nothing at each of some times.
#[derive(Clone, Debug)]
pub struct Description {
    pub labels: Labels,
    pub points: Vec<Option<Point>>,
}

#[derive(Clone, Debug)]
pub struct Point {
    pub sample: Sample,
    /// It says what is known of resets, if only that this is unknown.
    pub with_hint: bool,
}

impl Point {
    fn float(value: f64) -> Self {
        Self { sample: Sample::Float(value), with_hint: false }
    }
}

/// Reads a description.
pub fn parse(text: &str) -> Result<Description, String> {
    let mut cursor = Cursor { rest: text.trim() };
    let labels = cursor.metric()?;
    let mut points = Vec::new();
    loop {
        let gap = cursor.skip_space();
        if cursor.rest.is_empty() {
            return Ok(Description { labels, points });
        }
        if !gap {
            return Err(format!("a space is missing before {:?}", cursor.rest));
        }
        cursor.item(&mut points)?;
        if points.len() as u64 > MOST_POINTS {
            return Err(format!("more than {MOST_POINTS} points"));
        }
    }
}

struct Cursor<'a> {
    rest: &'a str,
}

impl Cursor<'_> {
    fn skip_space(&mut self) -> bool {
        let before = self.rest.len();
        self.rest = self.rest.trim_start_matches([' ', '\t']);
        self.rest.len() < before
    }

    fn eat(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn take_while(&mut self, belongs: impl Fn(char) -> bool) -> &str {
        let end = self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn metric(&mut self) -> Result<Labels, String> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        if self.rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == ':') {
            let name = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':');
            pairs.push((NAME.to_owned(), name.to_owned()));
        }
        let after_name = self.rest;
        self.skip_space();
        // `{{` begins a histogram.
        if self.rest.starts_with("{{") || !self.eat("{") {
            self.rest = after_name;
            return if pairs.is_empty() {
                Err(format!("there is no series in {:?}", self.rest))
            } else {
                Ok(Labels::new(pairs))
            };
        }
        loop {
            self.skip_space();
            if self.eat("}") {
                return Ok(Labels::new(pairs));
            }
            let pair = self.label()?;
            if pairs.iter().any(|(name, _)| *name == pair.0) {
                return Err(format!("the label {} is there twice", pair.0));
            }
            pairs.push(pair);
            self.skip_space();
            if !self.eat(",") && !self.rest.starts_with('}') {
                return Err(format!("a comma or brace is missing before {:?}", self.rest));
            }
        }
    }

    /// `name="value"`, or only a quoted name of the metric.
    fn label(&mut self) -> Result<(String, String), String> {
        let quoted = self.rest.starts_with(['"', '\'', '`']);
        let name = if quoted {
            self.string()?
        } else {
            self.take_while(|c| c.is_ascii_alphanumeric() || c == '_').to_owned()
        };
        self.skip_space();
        if !self.eat("=") {
            return if quoted {
                Ok((NAME.to_owned(), name))
            } else {
                Err(format!("= is missing before {:?}", self.rest))
            };
        }
        if name.is_empty() {
            return Err("a label has no name".to_owned());
        }
        self.skip_space();
        Ok((name, self.string()?))
    }

    fn string(&mut self) -> Result<String, String> {
        let end = string_end(self.rest).ok_or_else(|| format!("there is no string in {:?}", self.rest))?;
        let (quoted, rest) = self.rest.split_at(end);
        self.rest = rest;
        unquote(quoted)
    }

    /// One of the things separated by spaces; it may stand for many points.
    fn item(&mut self, points: &mut Vec<Option<Point>>) -> Result<(), String> {
        if self.eat("_") {
            let times = self.times()?.unwrap_or(1);
            points.extend((0..times).map(|_| None));
            return Ok(());
        }
        if self.rest.starts_with("{{") {
            return self.histograms(points);
        }
        if self.eat("stale") {
            let times = self.times()?.unwrap_or(0);
            points.extend((0..=times).map(|_| Some(Point::float(STALE))));
            return Ok(());
        }
        let mut value = self.number()?;
        let step = if self.rest.starts_with(['+', '-']) { Some(self.number()?) } else { None };
        let times = match (self.times()?, step) {
            (None, Some(_)) => return Err(format!("x is missing before {:?}", self.rest)),
            (times, _) => times.unwrap_or(0),
        };
        for _ in 0..=times {
            points.push(Some(Point::float(value)));
            // Added up, as Prometheus does, and not multiplied.
            value += step.unwrap_or(0.0);
        }
        Ok(())
    }

    /// `x5`
    fn times(&mut self) -> Result<Option<u64>, String> {
        if !self.eat("x") {
            return Ok(None);
        }
        let digits = self.take_while(|c| c.is_ascii_digit());
        let times: u64 = digits.parse().map_err(|_| format!("{digits:?} is no number of times"))?;
        if times > MOST_POINTS {
            return Err(format!("more than {MOST_POINTS} points"));
        }
        Ok(Some(times))
    }

    /// A number, with or without a sign. It has no hexadecimal form: `0x5` are zeros.
    fn number(&mut self) -> Result<f64, String> {
        let whole = self.rest;
        let negative = self.rest.starts_with('-');
        if !self.eat("-") {
            self.eat("+");
        }
        let word = self.rest.get(..3).unwrap_or_default().to_ascii_lowercase();
        let value = match word.as_str() {
            "inf" | "nan" => {
                self.rest = &self.rest[3..];
                if word == "inf" { f64::INFINITY } else { f64::NAN }
            }
            _ => {
                let length = decimal_length(self.rest);
                let (digits, rest) = self.rest.split_at(length);
                self.rest = rest;
                digits.parse().map_err(|_| format!("there is no number in {whole:?}"))?
            }
        };
        Ok(if negative { -value } else { value })
    }

    fn histogram(&mut self) -> Result<Literal, String> {
        let inside = self.rest.strip_prefix("{{").and_then(|rest| rest.split_once("}}"));
        let (inside, rest) = inside.ok_or_else(|| format!("there is no histogram in {:?}", self.rest))?;
        self.rest = rest;
        FloatHistogram::parse_literal(inside)
    }

    fn histograms(&mut self, points: &mut Vec<Option<Point>>) -> Result<(), String> {
        let Literal { histogram: mut value, with_hint } = self.histogram()?;
        let step = match self.rest.chars().next() {
            Some(sign @ ('+' | '-')) => {
                self.rest = &self.rest[1..];
                Some((sign, self.histogram()?))
            }
            _ => None,
        };
        let times = match (self.times()?, &step) {
            (None, Some(_)) => return Err(format!("x is missing before {:?}", self.rest)),
            (times, _) => times.unwrap_or(0),
        };
        for index in 0..=times {
            if let (Some((sign, step)), 1..) = (&step, index) {
                value = combined(&value, &step.histogram, *sign == '+')?;
            }
            let sample = Sample::Histogram(Arc::new(value.clone()));
            points.push(Some(Point { sample, with_hint }));
        }
        Ok(())
    }
}

/// A histogram and the step to the next one. What is subtracted from is no gauge
/// because of it: these are points as they would be scraped.
fn combined(value: &FloatHistogram, step: &FloatHistogram, add: bool) -> Result<FloatHistogram, String> {
    if value.schema > step.schema {
        return Err(format!("schema {} cannot be combined with {}", step.schema, value.schema));
    }
    let result = if add { value.add(step) } else { value.sub(step) };
    let (mut next, _) = result.map_err(|why| why.to_string())?;
    next.hint = crate::load::combined_hint(value.hint, step.hint);
    Ok(next)
}

fn decimal_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let mut at = bytes.iter().take_while(|c| c.is_ascii_digit() || **c == b'.').count();
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        if digit(at + 1 + sign) {
            at += 1 + sign;
            while digit(at) {
                at += 1;
            }
        }
    }
    at
}

/// Where the string ends that a text begins with.
fn string_end(text: &str) -> Option<usize> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\'' | '`'))?;
    let mut escaped = false;
    let (at, _) = text.char_indices().skip(1).find(|&(_, c)| {
        let ends = c == quote && !escaped;
        escaped = c == '\\' && !escaped && quote != '`';
        ends
    })?;
    Some(at + 1)
}

/// What a string in quotes says, with Go's escapes.
pub fn unquote(quoted: &str) -> Result<String, String> {
    let bad = || format!("{quoted}: this is no string");
    if string_end(quoted) != Some(quoted.len()) {
        return Err(bad());
    }
    let inside = &quoted[1..quoted.len() - 1];
    if quoted.starts_with('`') {
        return Ok(inside.to_owned());
    }
    let mut out: Vec<u8> = Vec::with_capacity(inside.len());
    let mut chars = inside.chars();
    let mut utf8 = [0; 4];
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.extend(c.encode_utf8(&mut utf8).bytes());
            continue;
        }
        let kind = chars.next().ok_or_else(bad)?;
        let simple = match kind {
            'a' => 7,
            'b' => 8,
            'f' => 12,
            'n' => b'\n',
            'r' => b'\r',
            't' => b'\t',
            'v' => 11,
            '\\' => b'\\',
            '\'' => b'\'',
            '"' => b'"',
            _ => 0,
        };
        if simple != 0 {
            out.push(simple);
            continue;
        }
        let (radix, digits, first) = match kind {
            'x' => (16, 2, None),
            'u' => (16, 4, None),
            'U' => (16, 8, None),
            '0'..='7' => (8, 2, Some(kind)),
            _ => return Err(bad()),
        };
        let code: String = first.into_iter().chain(chars.by_ref().take(digits)).collect();
        let code = u32::from_str_radix(&code, radix).map_err(|_| bad())?;
        match kind {
            'u' | 'U' => {
                let c = char::from_u32(code).ok_or_else(bad)?;
                out.extend(c.encode_utf8(&mut utf8).bytes());
            }
            _ => out.push(u8::try_from(code).map_err(|_| bad())?),
        }
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}
