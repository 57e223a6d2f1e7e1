//! Conditions on labels.

mod go;

use std::fmt;

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
    Matches(Expression),
    NotMatches(Expression),
}

/// A regular expression, as somebody wrote it and as it is matched.
#[derive(Clone, Debug)]
pub struct Expression {
    written: String,
    regex: Regex,
}

impl Matcher {
    pub fn equal(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), op: Op::Equal(value.into()) }
    }

    pub fn not_equal(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), op: Op::NotEqual(value.into()) }
    }

    /// The label's value has to match an expression, from its beginning to its end.
    ///
    /// # Errors
    ///
    /// When it is none, or one that would take too much room.
    pub fn regex(name: impl Into<String>, expression: &str, negated: bool) -> Result<Self, String> {
        let expression = Expression { written: expression.into(), regex: anchored(expression)? };
        let op = if negated { Op::NotMatches(expression) } else { Op::Matches(expression) };
        Ok(Self { name: name.into(), op })
    }

    /// What the value is compared with, as it was written.
    pub fn value(&self) -> &str {
        match &self.op {
            Op::Equal(value) | Op::NotEqual(value) => value,
            Op::Matches(expression) | Op::NotMatches(expression) => &expression.written,
        }
    }

    pub fn matches(&self, value: &str) -> bool {
        match &self.op {
            Op::Equal(wanted) => wanted == value,
            Op::NotEqual(other) => other != value,
            Op::Matches(expression) => expression.regex.is_match(value),
            Op::NotMatches(expression) => !expression.regex.is_match(value),
        }
    }
}

/// As it stands in a selector: `name=~"value"`.
impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let op = match &self.op {
            Op::Equal(_) => "=",
            Op::NotEqual(_) => "!=",
            Op::Matches(_) => "=~",
            Op::NotMatches(_) => "!~",
        };
        write!(f, "{}{op}{:?}", self.name, self.value())
    }
}

/// An expression, as Go has them, that has to match a whole string. As in Prometheus
/// `.` stands for newlines too.
///
/// # Errors
///
/// When it is none, or one that would take too much room.
pub fn anchored(expression: &str) -> Result<Regex, String> {
    let translated = go::translate(expression)?;
    Regex::new(&format!("^(?s:{translated})$"))
        .map_err(|why| format!("error parsing regexp: {why}: `{expression}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matchers_are_written_as_in_a_selector() {
        let written = |matcher: Matcher| matcher.to_string();
        assert_eq!(written(Matcher::equal("a", "say \"b\"")), r#"a="say \"b\"""#);
        assert_eq!(written(Matcher::not_equal("a", "")), r#"a!="""#);
        assert_eq!(written(Matcher::regex("a", "b|c_d.*", false).unwrap()), r#"a=~"b|c_d.*""#);
        assert_eq!(written(Matcher::regex("a", "b", true).unwrap()), r#"a!~"b""#);
    }

    #[test]
    fn the_whole_value_has_to_match() {
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
