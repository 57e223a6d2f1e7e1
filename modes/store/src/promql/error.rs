//! Why there is no answer, and what to know of one.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use super::place::Place;

/// Prometheus' kinds of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The query or its parameters.
    BadData,
    /// The evaluation.
    Execution,
    Timeout,
    Canceled,
    /// The data.
    Internal,
}

impl ErrorKind {
    /// Its name in the HTTP API.
    pub fn name(self) -> &'static str {
        match self {
            Self::BadData => "bad_data",
            Self::Execution => "execution",
            Self::Timeout => "timeout",
            Self::Canceled => "canceled",
            Self::Internal => "internal",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    pub kind: ErrorKind,
    pub message: String,
    /// Where in the query, in bytes, if it is known. The message says so too.
    pub range: Option<Range<usize>>,
}

impl Error {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), range: None }
    }

    pub fn execution(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Execution, message)
    }

    pub fn bad_data(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::BadData, message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// Annotations: what to know of an answer. The texts begin with `PromQL warning: `
/// and `PromQL info: `, and end with the place in the query, if it is known:
/// ` (1:5)`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    pub warnings: BTreeSet<String>,
    pub infos: BTreeSet<String>,
    /// What is being evaluated.
    pub place: Option<Place>,
}

impl Notes {
    pub fn warn(&mut self, text: impl fmt::Display) {
        let place = self.suffix();
        self.warnings.insert(format!("PromQL warning: {text}{place}"));
    }

    pub fn info(&mut self, text: impl fmt::Display) {
        let place = self.suffix();
        self.infos.insert(format!("PromQL info: {text}{place}"));
    }

    fn suffix(&self) -> String {
        self.place.map_or_else(String::new, |place| format!(" ({place})"))
    }

    /// Says what `say` says of another place.
    pub fn at(&mut self, place: Option<Place>, say: impl FnOnce(&mut Self)) {
        let before = std::mem::replace(&mut self.place, place);
        say(self);
        self.place = before;
    }

    pub fn merge(&mut self, other: Self) {
        self.warnings.extend(other.warnings);
        self.infos.extend(other.infos);
    }
}
