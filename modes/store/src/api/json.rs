//! Prometheus' JSON, to the byte.
//!
//! Answers can be large: they are written into one buffer as they are, without
//! a tree of values between.

mod matrix;

use std::collections::BTreeSet;
use std::io::Write;

use crate::Metadata;
use crate::histogram::FloatHistogram;
use crate::labels::Labels;
use crate::promql::{Answer, Error, Notes, Value};
use crate::sample::Sample;

/// What says that a limit has cut an answer short.
const TRUNCATED: &str = "results truncated due to limit";
/// So many warnings, and as many infos, are told.
const MOST_NOTES: usize = 10;

/// Keeps so many series of an answer; 0: all.
pub fn truncate(answer: &mut Answer, limit: usize) {
    let length = match &mut answer.value {
        Value::Vector(series) => {
            let length = series.len();
            series.truncate(if limit == 0 { length } else { limit });
            length
        }
        Value::Matrix(series) => {
            let length = series.len();
            series.truncate(if limit == 0 { length } else { limit });
            length
        }
        Value::Scalar(..) | Value::String(..) => 0,
    };
    if limit > 0 && length > limit {
        answer.notes.warnings.insert(TRUNCATED.into());
    }
}

/// An answer as the HTTP API has it.
///
/// # Errors
///
/// When it would have more than `most` bytes.
pub fn response(answer: &Answer, most: usize) -> Result<Vec<u8>, Error> {
    let mut writer = Writer::new(most);
    writer.response(answer)?;
    Ok(writer.into_bytes())
}

/// An error as the HTTP API has it.
pub fn refusal(error: &Error) -> Vec<u8> {
    let mut writer = Writer::new(usize::MAX);
    writer.raw(r#"{"status":"error","errorType":""#);
    writer.raw(error.kind.name());
    writer.raw(r#"","error":"#);
    writer.text(&error.message);
    writer.raw("}");
    writer.into_bytes()
}

/// A response around data.
pub(super) fn success(data: impl FnOnce(&mut Writer) -> Result<(), Error>) -> Result<Vec<u8>, Error> {
    let mut writer = Writer::new(usize::MAX);
    writer.raw(r#"{"status":"success","data":"#);
    data(&mut writer)?;
    writer.raw("}");
    Ok(writer.into_bytes())
}

pub(super) struct Writer {
    out: Vec<u8>,
    most: usize,
    floats: zmij::Buffer,
    integers: itoa::Buffer,
}

impl Writer {
    pub fn new(most: usize) -> Self {
        Self { out: Vec::new(), most, floats: zmij::Buffer::new(), integers: itoa::Buffer::new() }
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    fn raw(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    /// Whether there is room left.
    fn check(&self) -> Result<(), Error> {
        if self.out.len() <= self.most {
            return Ok(());
        }
        Err(Error::execution(format!(
            "query processing would write more than {} bytes of results: ask for fewer series, or a larger step",
            self.most
        )))
    }

    /// Values with commas between, as far as there is room.
    fn list<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        mut each: impl FnMut(&mut Self, T),
    ) -> Result<(), Error> {
        for (at, item) in items.into_iter().enumerate() {
            if at > 0 {
                self.raw(",");
            }
            each(self, item);
            self.check()?;
        }
        Ok(())
    }

    /// A string among others: `<`, `>`, `&` and such are escaped, so that it can
    /// stand in a page.
    pub fn text(&mut self, text: &str) {
        self.escaped(text, true);
    }

    fn escaped(&mut self, text: &str, page: bool) {
        let bytes = text.as_bytes();
        self.raw("\"");
        let mut written = 0;
        for (at, &c) in bytes.iter().enumerate() {
            // U+2028 and U+2029 are E2 80 A8 and E2 80 A9.
            let separator =
                c == 0xe2 && page && matches!(bytes.get(at + 1..at + 3), Some([0x80, 0xa8 | 0xa9]));
            let special = c < b' ' || matches!(c, b'"' | b'\\') || (page && matches!(c, b'<' | b'>' | b'&'));
            if !special && !separator {
                continue;
            }
            self.out.extend_from_slice(&bytes[written..at]);
            written = at + 1;
            match c {
                b'"' => self.raw("\\\""),
                b'\\' => self.raw("\\\\"),
                b'\n' => self.raw("\\n"),
                b'\r' => self.raw("\\r"),
                b'\t' => self.raw("\\t"),
                _ if separator => {
                    self.raw(if bytes[at + 2] == 0xa8 { "\\u2028" } else { "\\u2029" });
                    written = at + 3;
                }
                c => {
                    const HEX: &[u8; 16] = b"0123456789abcdef";
                    self.raw("\\u00");
                    self.out.extend([HEX[usize::from(c >> 4)], HEX[usize::from(c & 15)]]);
                }
            }
        }
        self.out.extend_from_slice(&bytes[written..]);
        self.raw("\"");
    }

    pub fn labels(&mut self, labels: &Labels) {
        self.raw("{");
        for (at, (name, value)) in labels.iter().enumerate() {
            if at > 0 {
                self.raw(",");
            }
            self.escaped(name, false);
            self.raw(":");
            self.escaped(value, false);
        }
        self.raw("}");
    }

    /// An object of strings.
    pub fn strings(&mut self, fields: &[(&str, &str)]) {
        self.raw("{");
        for (at, (name, value)) in fields.iter().enumerate() {
            if at > 0 {
                self.raw(",");
            }
            self.text(name);
            self.raw(":");
            self.text(value);
        }
        self.raw("}");
    }

    fn integer(&mut self, value: i64) {
        self.out.extend_from_slice(self.integers.format(value).as_bytes());
    }

    /// A time in seconds: none or three decimals.
    fn time(&mut self, nanos: i64) {
        let millis = nanos.div_euclid(1_000_000);
        if millis < 0 {
            self.raw("-");
        }
        let millis = millis.abs();
        self.integer(millis / 1_000);
        let rest = (millis % 1_000) as u16;
        if rest != 0 {
            let digit = |of: u16| b'0' + (rest / of % 10) as u8;
            self.out.extend([b'.', digit(100), digit(10), digit(1)]);
        }
    }

    /// A time in seconds with as many decimals as it takes, as scalars and strings
    /// have it.
    fn short_time(&mut self, nanos: i64) {
        let fraction = nanos.div_euclid(1_000_000) % 1_000 != 0;
        self.time(nanos);
        while fraction && self.out.last() == Some(&b'0') {
            self.out.pop();
        }
    }

    /// A float as a string: the fewest digits that tell it from others; an
    /// exponent below 1e-6 and from 1e21 on.
    fn float(&mut self, value: f64) {
        self.raw("\"");
        self.number(value);
        self.raw("\"");
    }

    fn number(&mut self, value: f64) {
        let (size, whole) = (value.abs(), value as i64);
        if size < 9e15 && whole as f64 == value && (whole != 0 || value.is_sign_positive()) {
            self.integer(whole);
        } else if !value.is_finite() {
            self.raw(if value.is_nan() { "NaN" } else { infinity(value) });
        } else if size != 0.0 && !(1e-6..1e21).contains(&size) {
            self.with_exponent(value);
        } else {
            self.plain(value);
        }
    }

    /// Without an exponent.
    fn plain(&mut self, value: f64) {
        let text = self.floats.format_finite(value);
        if text.contains('e') {
            // Display never has one. Writing to memory does not fail.
            let _ = write!(self.out, "{value}");
        } else {
            self.out.extend_from_slice(text.strip_suffix(".0").unwrap_or(text).as_bytes());
        }
    }

    /// As `1.5e-07`: an exponent has a sign and at least two digits.
    fn with_exponent(&mut self, value: f64) {
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |size| ('-', size));
        let _ = write!(self.out, "{digits}e{sign}{exponent:0>2}");
    }

    fn point(&mut self, time: i64, value: f64) {
        self.raw("[");
        self.time(time);
        self.raw(",");
        self.float(value);
        self.raw("]");
    }

    fn histogram_point(&mut self, time: i64, histogram: &FloatHistogram) {
        self.raw("[");
        self.time(time);
        self.raw(",");
        self.histogram(histogram);
        self.raw("]");
    }

    /// `buckets` are those with a count: `[ends, lower, upper, count]`; `ends` says
    /// which of the bounds belong to it: 0 the upper, 1 the lower, 2 none, 3 both.
    fn histogram(&mut self, histogram: &FloatHistogram) {
        self.raw(r#"{"count":"#);
        self.float(histogram.count);
        self.raw(r#","sum":"#);
        self.float(histogram.sum);
        let mut open = false;
        for bucket in histogram.buckets().filter(|bucket| bucket.count != 0.0) {
            self.raw(if open { "," } else { r#","buckets":["# });
            open = true;
            self.raw("[");
            self.integer(i64::from(bucket.boundaries()));
            for value in [bucket.lower, bucket.upper, bucket.count] {
                self.raw(",");
                self.float(value);
            }
            self.raw("]");
        }
        self.raw(if open { "]}" } else { "}" });
    }

    fn vector(&mut self, series: &[(Labels, i64, Sample)]) -> Result<(), Error> {
        self.list(series, |writer, (labels, time, sample)| {
            writer.raw(r#"{"metric":"#);
            writer.labels(labels);
            match sample {
                Sample::Float(value) => {
                    writer.raw(r#","value":"#);
                    writer.point(*time, *value);
                }
                Sample::Histogram(histogram) => {
                    writer.raw(r#","histogram":"#);
                    writer.histogram_point(*time, histogram);
                }
            }
            writer.raw("}");
        })
    }

    fn value(&mut self, value: &Value) -> Result<(), Error> {
        let (kind, open) = match value {
            Value::Scalar(..) => ("scalar", "["),
            Value::String(..) => ("string", "["),
            Value::Vector(_) => ("vector", "["),
            Value::Matrix(_) => ("matrix", "["),
        };
        self.raw(r#"{"resultType":""#);
        self.raw(kind);
        self.raw(r#"","result":"#);
        self.raw(open);
        match value {
            Value::Scalar(time, value) => {
                self.short_time(*time);
                self.raw(",\"");
                match value {
                    value if value.is_nan() => self.raw("NaN"),
                    value if value.is_infinite() => self.raw(infinity(*value)),
                    value => self.plain(*value),
                }
                self.raw("\"");
            }
            Value::String(time, text) => {
                self.short_time(*time);
                self.raw(",");
                self.text(text);
            }
            Value::Vector(series) => self.vector(series)?,
            Value::Matrix(series) => self.matrix(series)?,
        }
        self.raw("]}");
        self.check()
    }

    fn notes(&mut self, notes: &Notes) {
        for (name, kind, texts) in [("warnings", "warning", &notes.warnings), ("infos", "info", &notes.infos)]
        {
            if texts.is_empty() {
                continue;
            }
            self.raw(",\"");
            self.raw(name);
            self.raw("\":[");
            for (at, text) in texts.iter().take(MOST_NOTES).enumerate() {
                if at > 0 {
                    self.raw(",");
                }
                self.text(text);
            }
            if texts.len() > MOST_NOTES {
                let more = texts.len() - MOST_NOTES;
                self.raw(",");
                self.text(&format!("{more} more {kind} annotations omitted"));
            }
            self.raw("]");
        }
    }

    pub fn response(&mut self, answer: &Answer) -> Result<(), Error> {
        self.raw(r#"{"status":"success","data":"#);
        self.value(&answer.value)?;
        self.notes(&answer.notes);
        self.raw("}");
        Ok(())
    }

    /// A response that is a list, of so many at most; 0: of all.
    pub fn listed<T>(
        &mut self,
        items: &[T],
        limit: usize,
        each: impl Fn(&mut Self, &T),
    ) -> Result<(), Error> {
        let cut = limit > 0 && items.len() > limit;
        self.raw(r#"{"status":"success","data":["#);
        self.list(if cut { &items[..limit] } else { items }, |writer, item| each(writer, item))?;
        self.raw("]");
        if cut {
            self.notes(&Notes { warnings: BTreeSet::from([TRUNCATED.into()]), ..Notes::default() });
        }
        self.raw("}");
        Ok(())
    }

    /// A response that says what is known of metrics.
    pub fn metadata<'a>(
        &mut self,
        metrics: impl Iterator<Item = (&'a String, &'a Metadata)>,
    ) -> Result<(), Error> {
        self.raw(r#"{"status":"success","data":{"#);
        self.list(metrics, |writer, (name, known)| {
            writer.text(name);
            writer.raw(":[");
            writer.strings(&[("type", &known.kind), ("help", &known.help), ("unit", &known.unit)]);
            writer.raw("]");
        })?;
        self.raw("}}");
        Ok(())
    }
}

fn infinity(value: f64) -> &'static str {
    if value > 0.0 { "+Inf" } else { "-Inf" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::ErrorKind;
    use crate::sample::{Samples, Series};

    fn written(write: impl FnOnce(&mut Writer)) -> String {
        let mut writer = Writer::new(usize::MAX);
        write(&mut writer);
        String::from_utf8(writer.into_bytes()).unwrap()
    }

    fn json(value: Value) -> String {
        let answer = Answer { value, notes: Notes::default() };
        let text = String::from_utf8(response(&answer, 1 << 20).unwrap()).unwrap();
        let data = text.strip_prefix(r#"{"status":"success","data":"#).unwrap();
        data.strip_suffix("}").unwrap().into()
    }

    fn matrix<'s>(series: impl IntoIterator<Item = (Labels, &'s [(i64, Sample)])>) -> Value {
        let series = series.into_iter().map(|(labels, samples)| {
            let samples = Samples::new(samples.iter().cloned());
            Series { labels, samples }
        });
        Value::Matrix(series.collect())
    }

    #[test]
    fn floats_are_those_of_go() {
        let float = |value| written(|writer| writer.float(value)).trim_matches('"').to_string();
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e-6, "0.000001"),
            (1.25e-5, "0.0000125"),
            (1e-7, "1e-07"),
            (1.5e-300, "1.5e-300"),
            (5e-324, "5e-324"),
            (1e15, "1000000000000000"),
            (1e16, "10000000000000000"),
            (1.5e17, "150000000000000000"),
            (123_456_789_012_345_680_000.0, "123456789012345680000"),
            (1e21, "1e+21"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(float(value), text);
        }
    }

    #[test]
    fn times_have_no_or_three_decimals() {
        let time = |nanos| written(|writer| writer.time(nanos));
        assert_eq!(time(1_500_000_000), "1.500");
        assert_eq!(time(1_007_999_999), "1.007");
        assert_eq!(time(2_000_000_000), "2");
        assert_eq!(time(-5_250_000_000), "-5.250");
        assert_eq!(time(-1), "-0.001");
        let short = |nanos| written(|writer| writer.short_time(nanos));
        assert_eq!(short(1_500_000_000), "1.5");
        assert_eq!(short(10_000_000_000), "10");
    }

    #[test]
    fn values_are_as_prometheus_writes_them() {
        let labels = Labels::new([("__name__", "up"), ("job", "a<b>\n\"é\u{2028}\u{1}")]);
        let metric = "{\"__name__\":\"up\",\"job\":\"a<b>\\n\\\"é\u{2028}\\u0001\"}";
        assert_eq!(json(Value::Scalar(1_500_000_000, 1e21)), {
            r#"{"resultType":"scalar","result":[1.5,"1000000000000000000000"]}"#
        });
        assert_eq!(json(Value::String(0, "a<b>&\u{2028}".into())), {
            r#"{"resultType":"string","result":[0,"a\u003cb\u003e\u0026\u2028"]}"#
        });
        assert_eq!(json(Value::Vector(Vec::new())), r#"{"resultType":"vector","result":[]}"#);
        let sample = Sample::Float(0.5);
        assert_eq!(
            json(Value::Vector(vec![(labels.clone(), 1_500_000_000, sample.clone())])),
            format!(r#"{{"resultType":"vector","result":[{{"metric":{metric},"value":[1.500,"0.5"]}}]}}"#)
        );
        let samples = [(0, sample), (1_000_000_000, Sample::Float(f64::NAN))];
        let later = [(500_000_000, Sample::Float(1.0)), (1_000_000_000, Sample::Float(-0.0))];
        assert_eq!(
            json(matrix([(labels, &samples[..]), (Labels::default(), &later), (Labels::default(), &[])])),
            format!(
                r#"{{"resultType":"matrix","result":[{{"metric":{metric},"values":[[0,"0.5"],[1,"NaN"]]}},{{"metric":{{}},"values":[[0.500,"1"],[1,"-0"]]}},{{"metric":{{}}}}]}}"#
            )
        );
    }

    #[test]
    fn histograms_stand_beside_floats() {
        let parse = |text| std::sync::Arc::new(FloatHistogram::parse(text).unwrap());
        let histogram = parse("schema:-53 count:3 sum:2.5 custom_values:[1 10] buckets:[1 0 2]");
        let point = r#"{"count":"3","sum":"2.5","buckets":[[3,"-Inf","1","1"],[0,"10","+Inf","2"]]}"#;
        let sample = Sample::Histogram(histogram);
        assert_eq!(
            json(Value::Vector(vec![(Labels::default(), 0, sample.clone())])),
            format!(r#"{{"resultType":"vector","result":[{{"metric":{{}},"histogram":[0,{point}]}}]}}"#)
        );
        let samples = [(0, sample), (1_000_000_000, Sample::Float(1.0))];
        assert_eq!(
            json(matrix([(Labels::default(), &samples[..])])),
            format!(
                r#"{{"resultType":"matrix","result":[{{"metric":{{}},"values":[[1,"1"]],"histograms":[[0,{point}]]}}]}}"#
            )
        );
        assert_eq!(
            written(|writer| writer.histogram(&FloatHistogram::default())),
            r#"{"count":"0","sum":"0"}"#
        );
    }

    #[test]
    fn notes_are_told_and_so_is_what_is_cut() {
        let series = |name: &str| (Labels::new([("a", name)]), 0, Sample::Float(1.0));
        let mut answer =
            Answer { value: Value::Vector(vec![series("x"), series("y")]), notes: Notes::default() };
        for at in 10..22 {
            answer.notes.info(at);
        }
        truncate(&mut answer, 2);
        assert!(answer.notes.warnings.is_empty());
        truncate(&mut answer, 1);
        let text = String::from_utf8(response(&answer, 1 << 20).unwrap()).unwrap();
        assert!(
            text.contains(r#"]},"warnings":["results truncated due to limit"],"infos":["PromQL info: 10","#)
        );
        assert!(text.ends_with(r#""PromQL info: 19","2 more info annotations omitted"]}"#), "{text}");
        assert!(!text.contains(r#""y""#));
    }

    #[test]
    fn an_answer_too_large_is_an_error() {
        let samples: Vec<_> = (0..1000).map(|at| (at, Sample::Float(0.1))).collect();
        let answer = Answer { value: matrix([(Labels::default(), &samples[..])]), notes: Notes::default() };
        assert_eq!(response(&answer, 1000).unwrap_err().kind, ErrorKind::Execution);
        assert!(response(&answer, 100_000).is_ok());
        let error = String::from_utf8(refusal(&Error::bad_data("a \"<b>\""))).unwrap();
        assert_eq!(error, r#"{"status":"error","errorType":"bad_data","error":"a \"\u003cb\u003e\""}"#);
    }

    proptest::proptest! {
        #[test]
        fn floats_and_strings_read_back(value in proptest::num::f64::ANY, text in ".{0,30}") {
            let float = written(|writer| writer.float(value));
            let read: f64 = float.trim_matches('"').parse().unwrap();
            assert!(read.to_bits() == value.to_bits() || (read.is_nan() && value.is_nan()));
            for page in [true, false] {
                let written = written(|writer| writer.escaped(&text, page));
                assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
            }
        }
    }
}
