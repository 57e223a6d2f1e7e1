//! Sets of labels.

use std::fmt;
use std::sync::{Arc, LazyLock};

/// The label that is a metric's name.
pub const NAME: &str = "__name__";
/// The labels that speak of the metric, and of nothing that is computed from it.
const OF_METRIC: [&str; 3] = [NAME, "__type__", "__unit__"];

/// Whether a label goes with the metric's name.
pub fn is_of_metric(label: &str) -> bool {
    OF_METRIC.contains(&label)
}

/// Labels in the order of their names; none has an empty value.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Labels(Arc<[(Arc<str>, Arc<str>)]>);

impl Default for Labels {
    fn default() -> Self {
        static NONE: LazyLock<Labels> = LazyLock::new(|| Labels(Arc::from([])));
        NONE.clone()
    }
}

impl Labels {
    /// Of pairs in any order. Of two with the same name the last one counts; an
    /// empty value is as good as none.
    pub fn new<N: Into<Arc<str>>, V: Into<Arc<str>>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut all: Vec<(Arc<str>, Arc<str>)> =
            pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        // Stable, so that the last of equals is the last given.
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all.reverse();
        all.dedup_by(|later, kept| later.0 == kept.0);
        all.reverse();
        all.retain(|(_, value)| !value.is_empty());
        Self(all.into())
    }

    /// The value of a label, empty if it has none.
    pub fn get(&self, name: &str) -> &str {
        self.0.binary_search_by(|(known, _)| (**known).cmp(name)).map_or("", |at| &self.0[at].1)
    }

    /// The metric's name, empty if it has none.
    pub fn name(&self) -> &str {
        match self.0.first() {
            // Only upper-case letters come before it.
            Some((name, value)) if **name == *NAME => value,
            _ => self.get(NAME),
        }
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, &Arc<str>)> {
        self.0.iter().map(|(name, value)| (name, value))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Only those labels for which `keep` says so.
    #[must_use]
    pub fn filter(&self, mut keep: impl FnMut(&str) -> bool) -> Self {
        Self(self.0.iter().filter(|(name, _)| keep(name)).cloned().collect())
    }

    /// Without its name, and what says of which type and unit it is.
    #[must_use]
    pub fn without_name(&self) -> Self {
        if OF_METRIC.iter().all(|name| self.get(name).is_empty()) {
            return self.clone();
        }
        self.filter(|name| !is_of_metric(name))
    }

    /// With a label set to a value; an empty one removes it.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let others = self.0.iter().filter(|(known, _)| &**known != name).cloned();
        Self::new(others.chain([(Arc::from(name), Arc::from(value))]))
    }
}

/// Whether a name can stand without quotes.
pub fn is_plain_name(name: &str, metric: bool) -> bool {
    let letter = |c: u8| c.is_ascii_alphabetic() || c == b'_' || (metric && c == b':');
    let mut bytes = name.bytes();
    bytes.next().is_some_and(letter) && bytes.all(|c| letter(c) || c.is_ascii_digit())
}

/// As Prometheus writes them: `name{a="b", c="d"}`.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = is_plain_name(self.name(), true);
        if plain {
            f.write_str(self.name())?;
        }
        let mut rest = self.0.iter().filter(|(name, _)| !plain || &**name != NAME).peekable();
        if rest.peek().is_none() && plain {
            return Ok(());
        }
        f.write_str("{")?;
        let mut first = true;
        for (name, value) in rest {
            if !first {
                f.write_str(", ")?;
            }
            first = false;
            match (&**name == NAME, is_plain_name(name, false)) {
                (true, _) => write!(f, "{value:?}")?,
                (false, true) => write!(f, "{name}={value:?}")?,
                (false, false) => write!(f, "{name:?}={value:?}")?,
            }
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_equals_counts_and_empty_is_none() {
        let labels = Labels::new([("b", "1"), ("a", "x"), ("b", "2"), ("c", "")]);
        assert_eq!(labels.to_string(), r#"{a="x", b="2"}"#);
        assert_eq!(labels.get("c"), "");
        assert_eq!(labels.with("a", "").with(NAME, "up").to_string(), r#"up{b="2"}"#);
        assert_eq!(labels.with(NAME, "a.b").to_string(), r#"{"a.b", a="x", b="2"}"#);
        assert_eq!(Labels::default().to_string(), "{}");
    }
}
