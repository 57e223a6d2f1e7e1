//! Scripts: what their lines say.

use regex::Regex;

use crate::series::{self, Description};

/// A line's number, from 1 on, and what is wrong.
pub type Complaint = (usize, String);

#[derive(Debug)]
pub enum Command {
    Clear,
    Load(Load),
    Eval(Box<Eval>),
}

/// Series to be stored: a point every `step` ns from 0 on.
#[derive(Debug)]
pub struct Load {
    pub step: i64,
    pub nhcb: bool,
    pub series: Vec<Description>,
}

#[derive(Debug)]
pub struct Eval {
    pub query: String,
    pub when: When,
    pub expect: Expect,
}

/// When a query is evaluated, in ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    At(i64),
    Range(Steps),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps {
    pub start: i64,
    pub end: i64,
    pub step: i64,
}

/// What is to come out.
#[derive(Debug, Default)]
pub struct Expect {
    pub series: Vec<Description>,
    pub scalar: Option<f64>,
    pub string: Option<String>,
    /// The times of the points of a range vector.
    pub range: Option<Steps>,
    pub ordered: bool,
    pub fail: Option<Text>,
    pub warn: Vec<Text>,
    pub no_warn: bool,
    pub info: Vec<Text>,
    pub no_info: bool,
}

/// What an error or annotation has to say.
#[derive(Clone, Debug)]
pub enum Text {
    Any,
    Exactly(String),
    /// A part of it has to match.
    Matching(Regex),
}

impl Text {
    pub fn fits(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(wanted) => wanted == text,
            Self::Matching(regex) => regex.is_match(text),
        }
    }
}

impl std::fmt::Display for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Any => f.write_str("(any text)"),
            Self::Exactly(text) => f.write_str(text),
            Self::Matching(regex) => write!(f, "(matching) {regex}"),
        }
    }
}

/// Reads a script. What cannot be read is left out, up to the next empty line, and
/// complained about.
pub fn parse(text: &str) -> Vec<(usize, Result<Command, Complaint>)> {
    // A comment is as good as an empty line, and ends a command like one.
    let clean = |line: &str| {
        let line = line.trim();
        if line.starts_with('#') { String::new() } else { line.to_owned() }
    };
    let mut lines = Lines { all: text.lines().map(clean).collect(), next: 0 };
    let mut commands = Vec::new();
    while lines.next < lines.all.len() {
        let number = lines.next + 1;
        let Some(line) = lines.take() else {
            lines.next += 1;
            continue;
        };
        let word = line.split([' ', '\t']).next().unwrap_or_default().to_lowercase();
        let command = if word == "clear" {
            Ok(Command::Clear)
        } else if word.starts_with("load") {
            load(&line, &mut lines).map(Command::Load)
        } else if word.starts_with("eval") {
            eval(&line, &mut lines).map(|eval| Command::Eval(Box::new(eval)))
        } else {
            Err((number, format!("invalid command {line:?}")))
        };
        if command.is_err() {
            while lines.take().is_some() {}
        }
        commands.push((number, command));
    }
    commands
}

struct Lines {
    all: Vec<String>,
    next: usize,
}

impl Lines {
    /// The next line, unless it is empty.
    fn take(&mut self) -> Option<String> {
        let line = self.all.get(self.next).filter(|line| !line.is_empty())?;
        self.next += 1;
        Some(line.clone())
    }

    /// Something wrong in the line taken last.
    fn complain(&self, what: impl Into<String>) -> Complaint {
        (self.next, what.into())
    }
}

fn load(line: &str, lines: &mut Lines) -> Result<Load, Complaint> {
    let mut words = line.split_whitespace();
    let nhcb = match words.next() {
        Some("load") => false,
        Some("load_with_nhcb") => true,
        _ => return Err(lines.complain("a load command is load or load_with_nhcb")),
    };
    let step = match (words.next(), words.next()) {
        (Some(step), None) => duration(step).map_err(|why| lines.complain(why))?,
        _ => return Err(lines.complain("a load command is: load <step>")),
    };
    let mut load = Load { step, nhcb, series: Vec::new() };
    while let Some(line) = lines.take() {
        load.series.push(series::parse(&line).map_err(|why| lines.complain(why))?);
    }
    Ok(load)
}

fn eval(line: &str, lines: &mut Lines) -> Result<Eval, Complaint> {
    let (kind, when, query) = head(line).map_err(|why| lines.complain(why))?;
    let mut expect = Expect::default();
    match kind {
        "eval" => {}
        "eval_fail" => expect.fail = Some(Text::Any),
        "eval_warn" => expect.warn.push(Text::Any),
        "eval_info" => expect.info.push(Text::Any),
        "eval_ordered" if matches!(when, When::At(_)) => expect.ordered = true,
        _ => return Err(lines.complain(format!("there is no command {kind:?} of this kind"))),
    }
    let old_fail = expect.fail.is_some();
    while let Some(line) = lines.take() {
        // What follows these is another command.
        let last = if old_fail && expected_fail(&line, &mut expect).map_err(|why| lines.complain(why))? {
            true
        } else if line.split(' ').next() == Some("expect") {
            expectation(&line, &mut expect).map_err(|why| lines.complain(why))?;
            false
        } else if let Some(number) = number(&line) {
            expect.scalar = Some(number);
            true
        } else {
            let series = series::parse(&line).map_err(|why| lines.complain(why))?;
            if matches!(when, When::At(_)) && expect.range.is_none() && series.points.len() > 1 {
                return Err(lines.complain("expecting multiple values in instant evaluation not allowed"));
            }
            expect.series.push(series);
            false
        };
        if last {
            break;
        }
    }
    contradictions(&expect).map_err(|why| lines.complain(why))?;
    Ok(Eval { query: query.to_owned(), when, expect })
}

/// The command, when, and the query.
fn head(line: &str) -> Result<(&str, When, &str), String> {
    let mut rest = line;
    let mut word = || {
        let (word, after) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
        rest = after.trim_start();
        word
    };
    let kind = word();
    let when = match word() {
        "instant" => {
            if word() != "at" {
                return Err("an instant evaluation is: eval instant at <time> <query>".to_owned());
            }
            When::At(duration(word())?)
        }
        "range" => When::Range(steps(&mut word)?),
        _ => return Err("an evaluation is: eval instant|range ...".to_owned()),
    };
    if rest.is_empty() {
        return Err("there is no query".to_owned());
    }
    Ok((kind, when, rest))
}

/// `from <time> to <time> step <step>`
fn steps<'a>(mut word: impl FnMut() -> &'a str) -> Result<Steps, String> {
    let mut part = |name: &str| {
        if word() != name {
            return Err("a range is: from <time> to <time> step <step>".to_owned());
        }
        duration(word())
    };
    let steps = Steps { start: part("from")?, end: part("to")?, step: part("step")? };
    if steps.end < steps.start {
        return Err("the range ends before it begins".to_owned());
    }
    if steps.step <= 0 {
        return Err("the step is not more than zero".to_owned());
    }
    Ok(steps)
}

/// Whether it is one of the older lines that say how a query fails.
fn expected_fail(line: &str, expect: &mut Expect) -> Result<bool, String> {
    if let Some(message) = line.strip_prefix("expected_fail_message") {
        expect.fail = Some(Text::Exactly(message.trim().to_owned()));
    } else if let Some(regex) = line.strip_prefix("expected_fail_regexp") {
        expect.fail = Some(Text::Matching(compiled(regex)?));
    } else {
        return Ok(false);
    }
    Ok(true)
}

fn compiled(regex: &str) -> Result<Regex, String> {
    Regex::new(regex.trim()).map_err(|why| why.to_string())
}

fn expectation(line: &str, expect: &mut Expect) -> Result<(), String> {
    if let Some(range) = line.strip_prefix("expect range vector") {
        let mut words = range.split_whitespace();
        expect.range = Some(steps(|| words.next().unwrap_or_default())?);
        return if words.next().is_none() { Ok(()) } else { Err(format!("{line:?} goes on too long")) };
    }
    if let Some(string) = line.strip_prefix("expect string") {
        expect.string = Some(series::unquote(string.trim())?);
        return Ok(());
    }
    let rest = line.strip_prefix("expect").unwrap_or_default().trim();
    let (kind, text) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
    let text = match text.trim() {
        "" => Text::Any,
        text => match text.split_once(':') {
            Some(("msg", message)) => Text::Exactly(message.trim().to_owned()),
            Some(("regex", regex)) => Text::Matching(compiled(regex)?),
            _ => return Err(format!("{text:?} begins neither with msg: nor regex:")),
        },
    };
    match kind {
        "ordered" if expect.ordered => return Err("there are two expect ordered".to_owned()),
        "ordered" => expect.ordered = true,
        "fail" if expect.fail.is_some() => return Err("there are two expect fail".to_owned()),
        "fail" => expect.fail = Some(text),
        "warn" => expect.warn.push(text),
        "no_warn" => expect.no_warn = true,
        "info" => expect.info.push(text),
        "no_info" => expect.no_info = true,
        _ => return Err(format!("there is nothing like expect {kind:?}")),
    }
    Ok(())
}

fn contradictions(expect: &Expect) -> Result<(), String> {
    for (kind, some, none) in [("warn", &expect.warn, expect.no_warn), ("info", &expect.info, expect.no_info)]
    {
        if none && !some.is_empty() {
            return Err(format!("there are both expect {kind} and no_{kind}"));
        }
    }
    Ok(())
}

/// A number as Go writes it in source.
fn number(text: &str) -> Option<f64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let plain = digits.replace('_', "").to_lowercase();
    let value = match (plain.get(..2), plain.get(2..)) {
        (Some("0x"), Some(hex)) => i64::from_str_radix(hex, 16).ok()? as f64,
        (Some("0b"), Some(binary)) => i64::from_str_radix(binary, 2).ok()? as f64,
        (Some("0o"), Some(octal)) => i64::from_str_radix(octal, 8).ok()? as f64,
        _ if plain.starts_with(['+', '-']) => return None,
        _ => plain.parse().ok()?,
    };
    Some(if negative { -value } else { value })
}

/// A duration such as `1h30m`, or a number of seconds, in ns.
pub fn duration(text: &str) -> Result<i64, String> {
    let bad = || format!("{text:?} is no duration");
    if let Some(positive) = text.strip_prefix('-') {
        return duration(positive).map(|nanos| -nanos);
    }
    if let Ok(seconds) = text.parse::<f64>() {
        return if seconds.abs() < 9e9 { Ok((seconds * 1e9).round() as i64) } else { Err(bad()) };
    }
    // Each unit once, the larger ones first.
    let mut units = [
        ("y", 365 * 86_400_000),
        ("w", 7 * 86_400_000),
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1000),
        ("ms", 1i64),
    ]
    .into_iter();
    let mut millis = 0i64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
        let count: i64 = rest[..digits].parse().map_err(|_| bad())?;
        rest = &rest[digits..];
        let unit = &rest[..rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len())];
        let (_, length) = units.find(|(name, _)| *name == unit).ok_or_else(bad)?;
        millis = count.checked_mul(length).and_then(|part| millis.checked_add(part)).ok_or_else(bad)?;
        rest = &rest[unit.len()..];
    }
    if text.is_empty() { Err(bad()) } else { millis.checked_mul(1_000_000).ok_or_else(bad) }
}
