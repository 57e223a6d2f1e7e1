//! The parameters of a request.

use std::time::Duration;

use axum::extract::{FromRequest, Request};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use crate::promql::{Error, ErrorKind};

const MILLI: i64 = 1_000_000;
/// Times further from the epoch than this (146 years) are as good as this one:
/// there is room left to add durations to them.
const FAR: i64 = i64::MAX / 2;

/// The parameters in the body of a POST request, and then those of the URL.
pub struct Form {
    pairs: Vec<(String, String)>,
    /// What is not percent-encoded as it should be.
    malformed: Option<String>,
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let encoded = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok())
            .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
        let query = request.uri().query().unwrap_or_default().as_bytes().to_vec();
        let mut form = Self { pairs: Vec::new(), malformed: None };
        if request.method() == Method::POST && encoded {
            let body = Bytes::from_request(request, state).await.map_err(|error| {
                if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
                    return (StatusCode::PAYLOAD_TOO_LARGE, "http: request body too large\n").into_response();
                }
                error.into_response()
            })?;
            form.read(&body);
        }
        form.read(&query);
        Ok(form)
    }
}

impl Form {
    #[cfg(test)]
    fn parse(text: &str) -> Self {
        let mut form = Self { pairs: Vec::new(), malformed: None };
        form.read(text.as_bytes());
        form
    }

    fn read(&mut self, encoded: &[u8]) {
        for pair in encoded.split(|c| *c == b'&') {
            // As in Go a pair that is not encoded well is left out.
            match bad_escape(pair) {
                Some(bad) => {
                    self.malformed.get_or_insert(bad);
                }
                None => self.pairs.extend(form_urlencoded::parse(pair).into_owned()),
            }
        }
    }

    /// The first value of a parameter, empty if there is none.
    pub fn get(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default()
    }

    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.pairs.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// # Errors
    ///
    /// When a parameter is not encoded well. Only some paths ask.
    pub fn well_formed(&self) -> Result<(), Error> {
        match &self.malformed {
            None => Ok(()),
            Some(bad) => {
                Err(Error::bad_data(format!("error parsing form values: invalid URL escape {bad:?}")))
            }
        }
    }

    /// How many results are wanted; 0: all.
    pub fn limit(&self) -> Result<usize, Error> {
        let text = self.get("limit");
        if text.is_empty() {
            return Ok(0);
        }
        let why = match text.parse::<i64>() {
            Ok(limit) if limit >= 0 => return Ok(usize::try_from(limit).unwrap_or(usize::MAX)),
            Ok(_) => "limit must be non-negative".into(),
            Err(error) => format!("strconv.Atoi: parsing {text:?}: {}", atoi_error(&error)),
        };
        Err(invalid("limit", Error::bad_data(why)))
    }

    /// A number that says how many, if there is one; a negative one is as none.
    pub fn number(&self, name: &str) -> Result<Option<usize>, Error> {
        match self.get(name) {
            "" => Ok(None),
            text => match text.parse::<i64>() {
                Ok(number) => Ok(usize::try_from(number).ok()),
                Err(_) => Err(Error::bad_data(format!("{name} must be a number"))),
            },
        }
    }

    /// A time, ns, at most [`FAR`] from the epoch.
    pub fn time_or(&self, name: &str, default: i64) -> Result<i64, Error> {
        match self.get(name) {
            "" => Ok(default),
            text => parse_time(text).map_err(|error| {
                let why = format!("Invalid time value for '{name}': {}", error.message);
                invalid(name, Error::bad_data(why))
            }),
        }
    }

    /// `start` and `end`; all there is where they are missing.
    pub fn span(&self) -> Result<(i64, i64), Error> {
        Ok((self.time_or("start", -FAR)?, self.time_or("end", FAR)?))
    }

    /// A bound of a range.
    pub fn bound(&self, name: &str) -> Result<i64, Error> {
        let text = self.get(name);
        let time = parse_time(text).map_err(|error| invalid(name, error))?;
        within(name, text, time)
    }

    pub fn duration(&self, name: &str) -> Result<Option<i64>, Error> {
        match self.get(name) {
            "" => Ok(None),
            text => parse_duration(text).map(Some).map_err(|error| invalid(name, error)),
        }
    }

    /// The step of a range, ns: whole milliseconds, at least one.
    pub fn step(&self) -> Result<i64, Error> {
        let step = parse_duration(self.get("step")).map_err(|error| invalid("step", error))?;
        if step <= 0 {
            return Err(invalid(
                "step",
                Error::bad_data(
                    "zero or negative query resolution step widths are not accepted. Try a positive integer",
                ),
            ));
        }
        Ok((step - step % MILLI).max(MILLI))
    }
}

/// The first thing that begins as a percent-encoded byte and is none.
fn bad_escape(pair: &[u8]) -> Option<String> {
    let mut rest = pair;
    while let Some(at) = rest.iter().position(|c| *c == b'%') {
        rest = &rest[at..];
        match rest {
            [_, a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => rest = &rest[3..],
            bad => return Some(String::from_utf8_lossy(&bad[..bad.len().min(3)]).into_owned()),
        }
    }
    None
}

fn atoi_error(error: &std::num::ParseIntError) -> &'static str {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    match error.kind() {
        PosOverflow | NegOverflow => "value out of range",
        _ => "invalid syntax",
    }
}

/// An error of a parameter.
pub fn invalid(name: &str, error: Error) -> Error {
    Error { message: format!("invalid parameter {name:?}: {}", error.message), ..error }
}

/// Errors of a query's text begin with the parameter's name.
pub fn query_error(error: Error) -> Error {
    if error.kind == ErrorKind::BadData { invalid("query", error) } else { error }
}

/// Refuses a time that is further off than can be told from others.
pub fn within(name: &str, text: &str, time: i64) -> Result<i64, Error> {
    if time.abs() < FAR {
        return Ok(time);
    }
    let why = format!("cannot parse {text:?} to a valid timestamp: it is more than 146 years from 1970");
    Err(invalid(name, Error::bad_data(why)))
}

/// ns, at most about 146 years.
pub fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).map_or(FAR, |nanos| nanos.min(FAR))
}

/// A time as Prometheus takes them: seconds since the epoch, with a fraction of
/// which milliseconds count, or RFC 3339. In ns since the epoch; times further
/// off than 146 years are as good as that.
///
/// # Errors
///
/// When it is none.
pub fn parse_time(text: &str) -> Result<i64, Error> {
    if let Some(seconds) = text.parse::<f64>().ok().filter(|seconds| seconds.is_finite()) {
        let millis = seconds.trunc() * 1e3 + (seconds.fract() * 1e3).round();
        // Saturates.
        return Ok((millis as i64).saturating_mul(MILLI).clamp(-FAR, FAR));
    }
    // What Prometheus' clients write for the beginning and the end of time.
    match text {
        "-292273086-05-16T16:47:06Z" => return Ok(-FAR),
        "292277025-08-18T07:12:54.999999999Z" => return Ok(FAR),
        _ => {}
    }
    match text.parse::<jiff::Timestamp>() {
        Ok(time) => {
            let far = i128::from(FAR);
            let nanos = i64::try_from(time.as_nanosecond().clamp(-far, far)).unwrap_or(FAR);
            Ok(nanos - nanos.rem_euclid(MILLI))
        }
        Err(_) => Err(Error::bad_data(format!("cannot parse {text:?} to a valid timestamp"))),
    }
}

/// A duration as Prometheus takes them: seconds, or such as `1h30m`. In ns; may be
/// negative.
///
/// # Errors
///
/// When it is none, or too long.
pub fn parse_duration(text: &str) -> Result<i64, Error> {
    let refuse = |why| Err(Error::bad_data(format!("cannot parse {text:?} to a valid duration{why}")));
    const OVERFLOW: &str = ". It overflows int64";
    if let Some(seconds) = text.parse::<f64>().ok().filter(|seconds| !seconds.is_nan()) {
        let nanos = seconds * 1e9;
        return if nanos.abs() >= i64::MAX as f64 { refuse(OVERFLOW) } else { Ok(nanos as i64) };
    }
    match parts(text) {
        Some(Some(nanos)) => Ok(nanos),
        _ => refuse(""),
    }
}

/// Of `1h30m`: None if it is not of this form, or too long.
fn parts(text: &str) -> Option<Option<i64>> {
    const SECOND: i64 = 1_000 * MILLI;
    const DAY: i64 = 86_400 * SECOND;
    let mut units = [
        ("y", 365 * DAY),
        ("w", 7 * DAY),
        ("d", DAY),
        ("h", 3_600 * SECOND),
        ("m", 60 * SECOND),
        ("s", SECOND),
        ("ms", MILLI),
    ]
    .into_iter();
    let mut total = Some(0i64);
    let mut rest = text;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let letters = rest[digits..].bytes().take_while(u8::is_ascii_lowercase).count();
        let (number, unit) = (&rest[..digits], &rest[digits..digits + letters]);
        rest = &rest[digits + letters..];
        if digits == 0 {
            return None;
        }
        // Units come in their order, each once.
        let (_, length) = units.find(|(name, _)| *name == unit)?;
        let part = number.parse::<i64>().ok().and_then(|number| number.checked_mul(length));
        total = total.zip(part).and_then(|(total, part)| total.checked_add(part));
    }
    Some(total)
}

/// The name of a label as it stands in a path: one that begins with `U__` has
/// characters escaped, as `_` and hexadecimal digits and `_`, and `__` for `_`.
pub fn unescape_name(escaped: &str) -> String {
    let Some(mut rest) = escaped.strip_prefix("U__") else { return escaped.into() };
    let mut name = String::with_capacity(rest.len());
    while let Some(at) = rest.find('_') {
        name.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('_') {
            name.push('_');
            rest = after;
            continue;
        }
        let code = rest.split_once('_').filter(|(digits, _)| digits.len() <= 6);
        let known = code.and_then(|(digits, after)| {
            let hex = digits.bytes().all(|c| c.is_ascii_hexdigit());
            let code = u32::from_str_radix(digits, 16).ok().filter(|_| hex)?;
            Some((char::from_u32(code)?, after))
        });
        // What is not escaped well stands for itself.
        let Some((c, after)) = known else { return escaped.into() };
        name.push(c);
        rest = after;
    }
    name.push_str(rest);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_rfc_3339() {
        let time = |text: &str| parse_time(text).map_err(|error| error.message);
        assert_eq!(time("1.1234"), Ok(1_123 * MILLI));
        assert_eq!(time("-5.25"), Ok(-5_250 * MILLI));
        assert_eq!(time("2016-01-01T00:00:00.1239Z"), Ok(1_451_606_400_123 * MILLI));
        assert_eq!(time("1970-01-01T01:00:00.5+01:00"), Ok(500 * MILLI));
        assert_eq!(time("1e300"), Ok(FAR));
        assert_eq!(time("-292273086-05-16T16:47:06Z"), Ok(-FAR));
        for bad in ["", "x", "NaN", "inf", "12:00"] {
            assert_eq!(time(bad), Err(format!("cannot parse {bad:?} to a valid timestamp")));
        }
    }

    #[test]
    fn durations_are_seconds_or_of_units() {
        let duration = |text: &str| parse_duration(text).map_err(|error| error.message);
        assert_eq!(duration("1h30m"), Ok(5_400_000 * MILLI));
        assert_eq!(duration("1500ms"), Ok(1_500 * MILLI));
        assert_eq!(duration("0.25"), Ok(250 * MILLI));
        assert_eq!(duration("-2"), Ok(-2_000 * MILLI));
        assert_eq!(
            duration("1e30"),
            Err("cannot parse \"1e30\" to a valid duration. It overflows int64".into())
        );
        for bad in ["", "x", "1", "m", "1m1h", "1m1m", "1.5h", "1h ", "300y", "99999999999999999999s", "NaN"]
        {
            let known = bad == "1";
            assert_eq!(duration(bad).is_ok(), known, "{bad}");
        }
    }

    #[test]
    fn parameters_are_decoded_and_the_first_counts() {
        let form = Form::parse("query=a%2Bb+c&query=d&match[]=x&match%5B%5D=y&bad=%zz&limit=3&=&");
        assert_eq!(form.get("query"), "a+b c");
        assert_eq!(Vec::from_iter(form.all("match[]")), ["x", "y"]);
        assert_eq!(form.get("bad"), "");
        assert_eq!(form.limit(), Ok(3));
        let error = form.well_formed().unwrap_err();
        assert_eq!(error.message, r#"error parsing form values: invalid URL escape "%zz""#);
        assert_eq!(
            Form::parse("limit=x").limit().unwrap_err().message,
            r#"invalid parameter "limit": strconv.Atoi: parsing "x": invalid syntax"#
        );
        assert!(Form::parse("limit=-1").limit().is_err());
    }

    #[test]
    fn names_in_paths_may_be_escaped() {
        assert_eq!(unescape_name("job"), "job");
        assert_eq!(unescape_name("U__http_2e_status__code"), "http.status_code");
        assert_eq!(unescape_name("U__a_1F600_b"), "a😀b");
        for bad in ["U__a_2e", "U__a_xyz_", "U__a_1234567_", "U__a_d800_"] {
            assert_eq!(unescape_name(bad), bad);
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(text in ".{0,40}") {
            let _ = (parse_time(&text), parse_duration(&text), unescape_name(&format!("U__{text}")));
            let form = Form::parse(&text);
            let _ = (form.limit(), form.span(), form.step());
        }
    }
}
