//! Queries with places to be filled in.

use std::ops::Range;

/// The query with `$interval` and `$quantile` replaced; in strings they stay.
pub fn fill(query: &str, interval: &str, quantile: &str) -> String {
    filled(query, interval, quantile).text
}

/// A query that was filled in.
pub struct Filled {
    pub text: String,
    /// Of each variable: where it was, and where its value is.
    replaced: Vec<(Range<usize>, Range<usize>)>,
}

impl Filled {
    /// Where in the query as it was asked is what is here in the text; the whole variable for a part of its value.
    pub fn place(&self, range: &Range<usize>) -> Range<usize> {
        let place = |at: usize, end: bool| {
            let before =
                self.replaced.iter().rev().find(|(_, value)| value.start < at || (value.start == at && !end));
            match before {
                None => at,
                Some((variable, value)) if at < value.end => {
                    if end {
                        variable.end
                    } else {
                        variable.start
                    }
                }
                Some((variable, value)) => variable.end + (at - value.end),
            }
        };
        place(range.start, false)..place(range.end, true)
    }
}

/// As [`fill`], and where the values came to be.
pub fn filled(query: &str, interval: &str, quantile: &str) -> Filled {
    let mut out = String::with_capacity(query.len());
    let mut replaced = Vec::new();
    let mut quote = None;
    let mut rest = query;
    while let Some(c) = rest.chars().next() {
        match quote {
            None if c == '$' => {
                let variables = [("$interval", interval), ("$quantile", quantile)];
                let ends =
                    |name: &str| !rest[name.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_');
                let found = variables.iter().find(|(name, _)| rest.starts_with(name) && ends(name));
                if let Some((name, value)) = found {
                    let at = query.len() - rest.len();
                    replaced.push((at..at + name.len(), out.len()..out.len() + value.len()));
                    out += value;
                    rest = &rest[name.len()..];
                    continue;
                }
            }
            None if matches!(c, '"' | '\'' | '`') => quote = Some(c),
            // What is escaped does not end a string; in backquotes nothing is.
            Some(by) if c == '\\' && by != '`' => {
                out.push(c);
                rest = &rest[1..];
                let Some(escaped) = rest.chars().next() else { break };
                out.push(escaped);
                rest = &rest[escaped.len_utf8()..];
                continue;
            }
            Some(by) if c == by => quote = None,
            _ => {}
        }
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    Filled { text: out, replaced }
}

/// Whether the query has a place for a quantile.
pub fn has_quantile(query: &str) -> bool {
    fill(query, "", "0") != fill(query, "", "1")
}

/// What the whole query is the quantile of: X of `histogram_quantile($quantile, X)`.
pub fn of_quantile(query: &str) -> Option<&str> {
    let rest = query.trim().strip_prefix("histogram_quantile")?.trim_start().strip_prefix('(')?;
    let rest = rest.trim_start().strip_prefix("$quantile")?.trim_start();
    let inner = rest.strip_prefix(',')?.strip_suffix(')')?;
    // The last parenthesis may be that of something after it.
    rezolus_store::promql::check(&fill(inner, "1s", "0.5")).is_ok().then_some(inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn variables_are_replaced_but_not_in_strings() {
        let filled =
            fill(r#"f($quantile, rate(a{b="$interval\"$interval"}[$interval])) + $intervals"#, "2s", "0.9");
        assert_eq!(filled, r#"f(0.9, rate(a{b="$interval\"$interval"}[2s])) + $intervals"#);
        assert_eq!(fill("$", "2s", "1"), "$");
        assert_eq!(fill("'\\", "2s", "1"), "'\\");
    }

    #[test]
    fn places_are_those_in_what_was_asked() {
        let query = "rate(a[$interval]) + b)";
        let filled = filled(query, "2000ms", "0.9");
        let place = |what: &str| {
            let at = filled.text.find(what).unwrap();
            &query[filled.place(&(at..at + what.len()))]
        };
        for what in ["rate(", "a[", "b)", "]) + b", " + "] {
            assert_eq!(place(what), what);
        }
        assert_eq!(place("2000ms"), "$interval");
        assert_eq!(place("00"), "$interval");
        assert_eq!(place("a[2000ms]"), "a[$interval]");
    }

    #[test]
    fn what_a_query_is_the_quantile_of() {
        let inner = "sum(rate(a[$interval]))";
        assert_eq!(of_quantile(&format!("histogram_quantile($quantile,{inner})")), Some(inner));
        for other in ["a", "histogram_quantile(0.5, a)", "histogram_quantile($quantile, a) / sum(b)"] {
            assert_eq!(of_quantile(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn what_has_no_variable_stays(text in "[^$]*") {
            prop_assert_eq!(fill(&text, "2s", "1"), text);
        }

        #[test]
        fn nothing_is_too_strange(text in ".*") {
            let _ = fill(&text, "2s", "1");
        }
    }
}
