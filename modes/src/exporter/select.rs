//! Which series are exported.

use std::collections::BTreeMap;
use std::fmt;

use metriken_exposition::MetricDesc;
use regex::Regex;
use serde::{Deserialize, Deserializer, de};

use crate::snapshot::metric_name;

/// The key of a rule that is about the metric's name.
const METRIC: &str = "metric";

/// A pattern for a metric's name, or patterns for its name (`metric`) and
/// labels which all have to match. A label that is not there is empty.
///
/// Patterns are Prometheus's: regular expressions that match from beginning to
/// end.
#[derive(Clone)]
pub struct Rule(Vec<(String, Regex)>);

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(key, pattern)| (key, pattern.as_str()))).finish()
    }
}

impl Rule {
    fn new(patterns: BTreeMap<String, String>) -> Result<Self, String> {
        if patterns.is_empty() {
            return Err("a rule without a pattern; say `metric` or a label".into());
        }
        let compile = |(key, pattern): (String, String)| {
            Regex::new(&format!("^(?:{pattern})$"))
                .map(|regex| (key, regex))
                .map_err(|error| format!("{pattern:?} is not a regular expression: {error}"))
        };
        patterns.into_iter().map(compile).collect::<Result<_, _>>().map(Self)
    }

    /// Whether the rule is about this series.
    pub fn matches(&self, description: &MetricDesc) -> bool {
        self.0.iter().all(|(key, pattern)| {
            let value = match key.as_str() {
                METRIC => metric_name(description),
                label => description.metadata.get(label).map(String::as_str).unwrap_or_default(),
            };
            pattern.is_match(value)
        })
    }
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Rule;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a metric such as \"cpu_.*\" or a table such as { metric = \"cpu_.*\", name = \"/system.slice/.*\" }")
            }

            fn visit_str<E: de::Error>(self, metric: &str) -> Result<Rule, E> {
                Rule::new([(METRIC.into(), metric.into())].into()).map_err(E::custom)
            }

            fn visit_map<M: de::MapAccess<'de>>(self, map: M) -> Result<Rule, M::Error> {
                let patterns = BTreeMap::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Rule::new(patterns).map_err(de::Error::custom)
            }
        }
        input.deserialize_any(Visitor)
    }
}

/// Whether a series is exported, given what is included and excluded.
pub fn selected(include: &[Rule], exclude: &[Rule], description: &MetricDesc) -> bool {
    (include.is_empty() || include.iter().any(|rule| rule.matches(description)))
        && !exclude.iter().any(|rule| rule.matches(description))
}
