//! Ways to go about it, for whoever begins.

use rmcp::model::{GetPromptResult, Prompt, PromptArgument, PromptMessage, Role};
use serde_json::{Map, Value};

/// An argument has at most so many bytes: it is part of what a model is told.
const LONGEST: usize = 1000;

/// A prompt, and how its arguments go into it.
struct Template {
    name: &'static str,
    title: &'static str,
    about: &'static str,
    /// Name, description, whether it has to be given.
    arguments: &'static [(&'static str, &'static str, bool)],
    /// `{name}` stands for an argument.
    text: &'static str,
}

const PROMPTS: &[Template] = &[
    Template {
        name: "investigate_incident",
        title: "Investigate an incident",
        about: "Find out what a machine did around a time, and what the evidence says of the cause",
        arguments: &[
            ("when", "When it was: a time, or a span", true),
            ("symptom", "What was seen, such as slow requests", false),
            ("input", "The recording, log or agent to look at", false),
        ],
        text: "Something went wrong on a Linux machine. When: {when}. What was seen: {symptom}. Data: {input}.\n\n\
Find out what happened, with the rezolus tools:\n\
1. describe_recording: does the span cover that time? If not, say so and stop. Note events and what was missed.\n\
2. diagnose, over that time: which known faults were there? detect_anomalies: what was unusual, and when did it begin? Take the \
onset from there, if it found something then.\n\
3. find_cause with the span from the onset on, or with the symptom in PromQL: what changed first and most?\n\
4. Check the first candidates with query, on the span and on a quiet one of the same length before it, with the PromQL of \
the evidence; split by label (CPU, cgroup, device) until it is known where. Use describe_metrics for names; do not \
assume that a metric exists. analyze_correlation tells whether a candidate goes with the symptom.\n\
5. What came first? What changes before the symptom may be a cause; what changes after it is none.\n\n\
Then report: what happened and when; the most likely cause with its evidence, each number with its PromQL and span; \
what speaks against it; what could not be seen since it was not measured (status tells why).",
    },
    Template {
        name: "compare_runs",
        title: "Compare two runs",
        about: "What is different between two recordings, and whether it matters",
        arguments: &[
            ("before", "The one to compare with", true),
            ("after", "The one that is looked at", true),
            ("question", "What is to be found out, such as whether a change made it slower", false),
        ],
        text: "Compare two recordings: before is {before}, after is {after}. The question: {question}.\n\n\
1. describe_recording of both. Are they comparable: the same machine, kernel, interval, samplers, length? Say what is \
not.\n\
2. compare, with before {before} and after {after}: what changed, by how much, how sure.\n\
3. Check what matters for the question with query: inputs [\"before={before}\", \"after={after}\"], split by (recording), so \
that the series tell which is which. Take means and percentiles of rates over the whole of each, not totals.\n\
4. For what differs most look at the shape: is it all of the time, or a part?\n\n\
Report the differences in the order of their importance, each with both numbers, the ratio, the PromQL and the spans. \
Say which are within what either run varies by itself, and what only one of them has.",
    },
    Template {
        name: "check_health",
        title: "Check a host's health",
        about: "Whether a machine is well, by what is measured now or was recorded",
        arguments: &[("input", "The recording, log or agent to look at", false)],
        text: "Check the health of a Linux machine. Data: {input}.\n\n\
1. describe_recording, and status: is everything measured that should be? What is not?\n\
2. summarize: utilisation, saturation and errors of each resource, and what is not known of it. Ask for all pages.\n\
3. diagnose: which known faults were there? detect_anomalies: was something unusual, and is it over? find_cause of what is \
not.\n\
4. With query, look at each CPU, device and cgroup by itself where the sum hides one that is bad.\n\n\
Report a line for each resource: well, to be watched, or bad, with the number, its PromQL and the span. Then what to \
do first. Say plainly what could not be judged, since it was not measured.",
    },
];

pub fn list() -> Vec<Prompt> {
    let prompt = |template: &Template| {
        let argument = |(name, about, required): &(&str, &str, bool)| {
            PromptArgument::new(*name).with_description(*about).with_required(*required)
        };
        let arguments = template.arguments.iter().map(argument).collect();
        Prompt::new(template.name, Some(template.about), Some(arguments)).with_title(template.title)
    };
    PROMPTS.iter().map(prompt).collect()
}

/// A prompt with its arguments.
///
/// # Errors
///
/// When there is no such prompt, or its arguments are not those it takes.
pub fn get(name: &str, arguments: &Map<String, Value>) -> Result<GetPromptResult, String> {
    let template = PROMPTS.iter().find(|template| template.name == name).ok_or_else(|| {
        let names: Vec<&str> = PROMPTS.iter().map(|template| template.name).collect();
        format!("there is no prompt {name:?}; there are {}", names.join(", "))
    })?;
    let known = |name: &String| template.arguments.iter().any(|(known, ..)| known == name);
    if let Some(unknown) = arguments.keys().find(|name| !known(name)) {
        return Err(format!("{name} takes no argument {unknown:?}"));
    }
    let mut values = Vec::new();
    for (argument, about, required) in template.arguments {
        let value = match arguments.get(*argument) {
            None | Some(Value::Null) => "",
            Some(Value::String(text)) => text.trim(),
            Some(_) => return Err(format!("{name}: {argument} is a text")),
        };
        if value.len() > LONGEST {
            return Err(format!("{name}: {argument} has {} bytes; {LONGEST} are the most", value.len()));
        }
        if value.is_empty() && *required {
            return Err(format!("{name} needs {argument}: {about}"));
        }
        values.push((*argument, if value.is_empty() { "not said" } else { value }));
    }
    let text = fill(template.text, &values);
    let message = PromptMessage::new_text(Role::User, text);
    Ok(GetPromptResult::new(vec![message]).with_description(template.about))
}

/// Puts values in their places, in one go: a value that looks like a place is none.
fn fill(text: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        out += &rest[..at];
        rest = &rest[at..];
        let place = |(name, _): &&(&str, &str)| {
            rest[1..].strip_prefix(name).is_some_and(|rest| rest.starts_with('}'))
        };
        match values.iter().find(place) {
            Some((name, value)) => {
                out += value;
                rest = &rest[name.len() + 2..];
            }
            None => {
                out.push('{');
                rest = &rest[1..];
            }
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn text(name: &str, arguments: Value) -> Result<String, String> {
        let result = get(name, arguments.as_object().unwrap())?;
        Ok(result.messages[0].content.as_text().unwrap().text.clone())
    }

    #[test]
    fn every_place_is_filled() {
        for template in PROMPTS {
            let all: Map<String, Value> = template
                .arguments
                .iter()
                .map(|(name, ..)| (name.to_string(), json!(format!("<{name}>"))))
                .collect();
            let text = text(template.name, Value::Object(all)).unwrap();
            assert!(!text.contains('{') && !text.contains('}'), "{text}");
            assert!(template.arguments.iter().all(|(name, ..)| text.contains(&format!("<{name}>"))));
        }
    }

    #[test]
    fn what_is_wrong_with_arguments_is_said() {
        assert!(text("investigate_incident", json!({})).unwrap_err().contains("needs when"));
        assert!(text("check_health", json!({"x": "y"})).unwrap_err().contains("takes no argument \"x\""));
        assert!(text("check_health", json!({"input": 5})).unwrap_err().contains("input is a text"));
        assert!(text("none", json!({})).unwrap_err().contains("check_health"));
        assert!(
            text("check_health", json!({"input": "x".repeat(2000)}))
                .unwrap_err()
                .contains("1000 are the most")
        );
        assert!(text("check_health", json!({"input": "{when}{"})).unwrap().contains("Data: {when}{."));
    }
}
