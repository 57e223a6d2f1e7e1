//! Conditions on labels.

use regex::Regex;

/// What a label's value has to be. A label that is not there is the empty string.
#[derive(Clone, Debug)]
pub struct Matcher {
    pub name: String,
    pub op: Op,
}

#[derive(Clone, Debug)]
pub enum Op {
    Equal(String),
    NotEqual(String),
    /// The whole value has to match.
    Matches(Regex),
    NotMatches(Regex),
}

impl Matcher {
    pub fn equal(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), op: Op::Equal(value.into()) }
    }

    /// The label's value has to match an expression, from its beginning to its end.
    /// As in Prometheus `.` stands for newlines too.
    ///
    /// # Errors
    ///
    /// When it is none, or one that would take too much room.
    pub fn regex(name: impl Into<String>, expression: &str, negated: bool) -> Result<Self, regex::Error> {
        let regex = anchored(expression)?;
        let op = if negated { Op::NotMatches(regex) } else { Op::Matches(regex) };
        Ok(Self { name: name.into(), op })
    }

    pub fn matches(&self, value: &str) -> bool {
        match &self.op {
            Op::Equal(wanted) => wanted == value,
            Op::NotEqual(other) => other != value,
            Op::Matches(regex) => regex.is_match(value),
            Op::NotMatches(regex) => !regex.is_match(value),
        }
    }
}

/// An expression that has to match a whole string.
///
/// # Errors
///
/// When it is none, or one that would take too much room.
pub fn anchored(expression: &str) -> Result<Regex, regex::Error> {
    let whole = |text: &str| Regex::new(&format!("^(?s:{text})$"));
    // Go takes a brace that begins no repetition for itself.
    whole(expression).or_else(|error| whole(&escape_braces(expression)).map_err(|_| error))
}

fn escape_braces(expression: &str) -> String {
    let mut out = String::with_capacity(expression.len() + 8);
    let mut rest = expression;
    while let Some(at) = rest.find(['{', '\\']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(escaped) = rest.strip_prefix('\\') {
            let length = escaped.chars().next().map_or(0, char::len_utf8);
            out.push_str(&rest[..=length]);
            rest = &rest[1 + length..];
            continue;
        }
        let inside = rest[1..].split('}').next().unwrap_or_default();
        let repeats = rest[1..].contains('}')
            && inside.starts_with(|c: char| c.is_ascii_digit())
            && inside.bytes().all(|c| c.is_ascii_digit() || c == b',');
        out.push_str(if repeats { "{" } else { "\\{" });
        rest = &rest[1..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_those_of_go() {
        let matches = |expression, value| Matcher::regex("a", expression, false).unwrap().matches(value);
        assert!(matches("a.*", "a\nb"));
        assert!(!matches("a", "ab"));
        assert!(matches("a|bc", "bc"));
        assert!(matches("x{a}", "x{a}"));
        assert!(matches("x{2}", "xx"));
        assert!(matches("", ""));
        assert!(Matcher::regex("a", "(", false).is_err());
    }
}
