//! What assistants ask: tools with arguments and answers, the same for the MCP server and for the command line.
//!
//! A tool is a file below `assist/` and a line in [`TOOLS`]. Its arguments and its answer are structures, whose doc
//! comments become the descriptions in the schemas; names, help and parsing of both sides follow from those. Answers
//! say which series, which span and which query they are of, and what is not there is said to be not there.

pub mod analyze_correlation;
pub mod compare;
pub mod describe_metrics;
pub mod describe_recording;
pub mod detect_anomalies;
pub mod diagnose;
pub mod evidence;
pub mod find_cause;
pub mod inputs;
pub mod page;
pub mod query;
pub mod schema;
pub mod sketch;
pub mod span;
pub mod status;
pub mod summarize;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use rezolus_store::api::run::Flag;
use rezolus_store::promql;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub use inputs::{Assistant, Options};

/// All tools, in the order in which they are listed.
pub static TOOLS: &[Entry] = &[
    Entry::of::<describe_recording::DescribeRecording>(),
    Entry::of::<describe_metrics::DescribeMetrics>(),
    Entry::of::<query::Query>(),
    Entry::of::<status::Status>(),
    Entry::of::<summarize::Summarize>(),
    Entry::of::<diagnose::Diagnose>(),
    Entry::of::<detect_anomalies::DetectAnomalies>(),
    Entry::of::<find_cause::FindCause>(),
    Entry::of::<compare::Compare>(),
    Entry::of::<analyze_correlation::AnalyzeCorrelation>(),
];

/// A tool by its name.
pub fn tool(name: &str) -> Option<&'static Entry> {
    TOOLS.iter().find(|tool| tool.name == name)
}

/// Something that can be asked.
pub trait Tool {
    /// As a program calls it, such as `describe_metrics`; on the command line with hyphens.
    const NAME: &'static str;
    /// As people call it.
    const TITLE: &'static str;
    /// What it is for and what to know before it is called: the first line alone is a summary.
    const ABOUT: &'static str;
    /// Arguments that the command line takes without their names, in order. Of one that is a list, and is followed by
    /// others, all are taken but those.
    const POSITIONAL: &'static [&'static str];
    /// What is asked. Unknown members have to be refused, since a name that is mistyped would be left out silently.
    type Arguments: DeserializeOwned + JsonSchema;
    type Answer: Answer;

    /// Answers; may block, on a thread with a large stack.
    ///
    /// # Errors
    ///
    /// What is wrong with the arguments and what they should be, or why there is no answer.
    fn run(assistant: &Assistant, arguments: Self::Arguments, work: &Work) -> Result<Self::Answer, Failure>;
}

/// What a tool answers. None of its numbers may be NaN or infinite: JSON has none.
pub trait Answer: Serialize + JsonSchema {
    /// For people, and for models that read.
    fn text(&self) -> String;

    /// How many things it lists.
    fn listed(&self) -> usize;

    /// Leaves out all after the first so many, and says so.
    fn keep(&mut self, count: usize);
}

/// An answer in both its forms.
#[derive(Clone, Debug)]
pub struct Answered {
    pub text: String,
    /// An object, as the tool's output schema has it.
    pub structured: Value,
}

/// What a tool does with arguments that are not checked yet.
type Run = fn(&Assistant, Map<String, Value>, &Work) -> Result<Answered, Failure>;

/// A tool without its types.
pub struct Entry {
    pub name: &'static str,
    pub title: &'static str,
    pub about: &'static str,
    pub positional: &'static [&'static str],
    /// JSON Schema of the arguments, an object;
    pub input: fn() -> Map<String, Value>,
    /// and of the answer.
    pub output: fn() -> Map<String, Value>,
    run: Run,
}

impl Entry {
    const fn of<T: Tool>() -> Self {
        Self {
            name: T::NAME,
            title: T::TITLE,
            about: T::ABOUT,
            positional: T::POSITIONAL,
            input: schema::taken::<T::Arguments>,
            output: schema::given::<T::Answer>,
            run: run::<T>,
        }
    }

    /// Answers in at most [`Options::most_bytes`] bytes, both forms together. May block; wants a thread with a large stack.
    ///
    /// # Errors
    ///
    /// As [`Tool::run`].
    pub fn run(
        &self,
        assistant: &Assistant,
        arguments: Map<String, Value>,
        work: &Work,
    ) -> Result<Answered, Failure> {
        (self.run)(assistant, arguments, work)
    }
}

fn run<T: Tool>(
    assistant: &Assistant,
    arguments: Map<String, Value>,
    work: &Work,
) -> Result<Answered, Failure> {
    let arguments = serde_json::from_value(Value::Object(arguments)).map_err(|error| {
        let takes = schema::takes(&schema::taken::<T::Arguments>());
        Failure::usage(format!("{}: {error}. It takes {takes}", T::NAME))
    })?;
    let mut answer = T::run(assistant, arguments, work)?;
    page::fit(&mut answer, assistant.most_bytes())
}

/// What goes on around a tool that is at work.
pub struct Work {
    /// Set when nobody wants the answer any more.
    pub canceled: Flag,
    /// When to give up.
    pub deadline: Option<Instant>,
    report: Box<dyn Fn(&str) + Send + Sync>,
}

impl Work {
    /// `report` hears what is being done now.
    pub fn new(
        canceled: Flag,
        deadline: Option<Instant>,
        report: impl Fn(&str) + Send + Sync + 'static,
    ) -> Self {
        Self { canceled, deadline, report: Box::new(report) }
    }

    /// Work that is never given up and reports to nobody.
    pub fn quiet() -> Self {
        Self::new(Flag::default(), None, |_| ())
    }

    /// Says what is being done now.
    pub fn says(&self, what: &str) {
        (self.report)(what);
    }

    /// How queries are evaluated.
    pub fn engine(&self) -> promql::Options {
        promql::Options {
            deadline: self.deadline,
            canceled: Some(Arc::clone(&self.canceled)),
            ..promql::Options::default()
        }
    }
}

/// Why there is no answer, in words that help whoever asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Whether something has to be asked differently; otherwise it is the data that are at fault.
    pub usage: bool,
    pub message: String,
}

impl Failure {
    /// It has to be asked differently; the message says how.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { usage: true, message: message.into() }
    }

    /// There is no answer, however it is asked.
    pub fn data(message: impl Into<String>) -> Self {
        Self { usage: false, message: message.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
