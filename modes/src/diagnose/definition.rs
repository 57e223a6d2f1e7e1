//! What a diagnosis is, as plugins write it: `docs/diagnoses.md` is the schema.

use std::collections::BTreeSet;
use std::time::Duration;

use rezolus_store::labels::NAME;
use rezolus_store::matcher::Op;
use rezolus_store::{Matcher, promql};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use crate::viewer::text;

/// The version of the schema this describes.
pub const VERSION: u64 = 1;

/// A plugin has at most so many, and each so many steps to take next. They are read by people, and by models, which
/// no plugin shall flood.
pub const MOST: usize = 64;
const MOST_NEXT: usize = 8;
/// Bytes of a title, of a text, of a query.
const LONGEST_TITLE: usize = 120;
const LONGEST_TEXT: usize = 1500;
const LONGEST_QUERY: usize = 2000;
/// A condition that has to hold for longer is no use to anybody.
const LONGEST_HOLD: Duration = Duration::from_secs(24 * 3600);

/// What a plugin takes for a fault, and how it shows.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Diagnosis {
    /// Within the plugin.
    pub id: String,
    pub title: String,
    pub severity: Severity,
    /// What it is of: `cpu`, `scheduler`, `memory`, `blockio`, `network`, `tcp`, `syscall`, or another word.
    pub resource: String,
    /// PromQL that gives series while it holds. `$interval` stands for the range over which rates are.
    pub condition: String,
    /// Of the condition's values, as in dashboards.
    pub unit: String,
    #[serde(default)]
    pub worst: Worst,
    /// How long it has to hold; five ticks if it is not said.
    #[serde(default, rename = "for", deserialize_with = "duration")]
    pub hold: Option<Duration>,
    /// What it says, and what it does not.
    pub meaning: String,
    /// Why the threshold is what it is, and who says so.
    #[serde(default)]
    pub basis: String,
    /// Other plugins whose metrics the condition asks for too.
    #[serde(default)]
    pub also: Vec<String>,
    pub next: Vec<Next>,
    /// The metrics its condition asks for by name.
    #[serde(skip)]
    pub needs: BTreeSet<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something is being lost, or most work stands still.
    Critical,
    Warning,
}

/// Which of a condition's values is the worst.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Worst {
    #[default]
    Highest,
    Lowest,
}

/// What to look at next: a query, a page, or both.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Next {
    /// What it would tell.
    pub look: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The id of a dashboard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<String>,
}

/// What a plugin brought, looked through.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checked {
    /// Those that can be asked,
    pub diagnoses: Vec<Diagnosis>,
    /// as they were written, in the form in which they travel;
    pub json: Value,
    /// and what is wrong with the others.
    pub refused: Vec<String>,
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let wrong =
        |why: String| serde::de::Error::custom(format!("`for` is a duration such as 10s, not {text:?}{why}"));
    let time = humantime::parse_duration(&text).map_err(|error| wrong(format!(": {error}")))?;
    if time > LONGEST_HOLD {
        return Err(wrong(": a day is the most".into()));
    }
    Ok(Some(time))
}

/// Looks through what a plugin brought. One that is wrong takes no other with it; `refused` says which and where.
pub fn check(document: &Value) -> Checked {
    let (all, why) = listed(document);
    let mut checked = Checked { refused: why.into_iter().collect(), ..Checked::default() };
    let mut kept: Vec<&Value> = Vec::new();
    for (at, value) in all.iter().enumerate() {
        let name = || value["id"].as_str().map_or_else(|| format!("number {}", at + 1), shown);
        let read = Diagnosis::read(value).and_then(|diagnosis| {
            if checked.diagnoses.iter().any(|other| other.id == diagnosis.id) {
                return Err("there is one of this id before it".into());
            }
            if checked.diagnoses.len() == MOST {
                return Err(format!("{MOST} are the most"));
            }
            Ok(diagnosis)
        });
        match read {
            Ok(diagnosis) => {
                kept.push(value);
                checked.diagnoses.push(diagnosis);
            }
            // A list without end would have complaints without end.
            Err(why) if checked.refused.len() < MOST => {
                checked.refused.push(format!("diagnosis {}: {why}", name()));
            }
            Err(_) => {}
        }
    }
    checked.json = json!({"version": VERSION, "diagnoses": kept});
    checked
}

/// The list in a document, or what is wrong with it as a whole.
fn listed(document: &Value) -> (&[Value], Option<String>) {
    match (document["version"].as_u64(), document["diagnoses"].as_array()) {
        (Some(version), _) if version > VERSION => {
            (&[], Some(format!("diagnoses: version {version} of the schema; this knows up to {VERSION}")))
        }
        (Some(_), Some(all)) => (all, None),
        (None, _) => (&[], Some(format!("diagnoses: there has to be a `version`: {VERSION}"))),
        (_, None) => (&[], Some("diagnoses: there has to be a list `diagnoses`".into())),
    }
}

/// As much of a name as is fit to be shown.
fn shown(name: &str) -> String {
    let name = name.escape_debug().to_string();
    match name.char_indices().nth(LONGEST_TITLE) {
        Some((end, _)) => format!("{}...", &name[..end]),
        None => name,
    }
}

/// A query as it is asked when it is only looked at.
pub fn sample(query: &str) -> String {
    text::fill(query, "10s", "0.5")
}

impl Diagnosis {
    /// Reads and checks one.
    ///
    /// # Errors
    ///
    /// What is wrong, and with which key.
    pub fn read(value: &Value) -> Result<Self, String> {
        let mut diagnosis = Self::deserialize(value).map_err(|error| error.to_string())?;
        diagnosis.check_texts()?;
        asked("condition", &diagnosis.condition)?;
        diagnosis.needs = names(&diagnosis.condition);
        if diagnosis.needs.is_empty() {
            return Err("condition: it asks for no metric by name".into());
        }
        if diagnosis.next.is_empty() || diagnosis.next.len() > MOST_NEXT {
            return Err(format!("next: 1 to {MOST_NEXT} steps are expected, not {}", diagnosis.next.len()));
        }
        for (at, next) in diagnosis.next.iter().enumerate() {
            let key = format!("next {}", at + 1);
            text_of(&key, &next.look, LONGEST_TITLE * 2)?;
            if next.query.is_none() && next.page.is_none() {
                return Err(format!("{key}: neither `query` nor `page`"));
            }
            next.page.iter().try_for_each(|page| word(&key, page))?;
            next.query.iter().try_for_each(|query| asked(&key, query))?;
        }
        Ok(diagnosis)
    }

    fn check_texts(&self) -> Result<(), String> {
        word("id", &self.id)?;
        word("resource", &self.resource)?;
        self.also.iter().try_for_each(|plugin| word("also", plugin))?;
        text_of("title", &self.title, LONGEST_TITLE)?;
        text_of("unit", &self.unit, 40)?;
        text_of("meaning", &self.meaning, LONGEST_TEXT)?;
        if self.basis.len() > LONGEST_TEXT {
            return Err(format!("basis: {} bytes; {LONGEST_TEXT} are the most", self.basis.len()));
        }
        Ok(())
    }
}

/// The metrics a query asks for by name.
fn names(query: &str) -> BTreeSet<String> {
    let selectors = promql::selects(&sample(query)).unwrap_or_default();
    let name = |matcher: &&Matcher| matcher.name == NAME && matches!(matcher.op, Op::Equal(_));
    let names = selectors.iter().filter_map(|matchers| matchers.iter().find(name));
    names.map(|matcher| matcher.value().to_string()).collect()
}

/// A name that is fit for an address, and to be told apart.
fn word(key: &str, text: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    if text.is_empty() || text.len() > 64 || !text.chars().all(fits) {
        let text = shown(text);
        return Err(format!("{key}: up to 64 small letters, digits, _ and - are expected, not \"{text}\""));
    }
    Ok(())
}

fn text_of(key: &str, text: &str, most: usize) -> Result<(), String> {
    match text.len() {
        _ if text.trim().is_empty() => Err(format!("{key}: there has to be a text")),
        length if length > most => Err(format!("{key}: {length} bytes; {most} are the most")),
        _ => Ok(()),
    }
}

fn asked(key: &str, query: &str) -> Result<(), String> {
    text_of(key, query, LONGEST_QUERY)?;
    let query = sample(query);
    promql::check(&query).map_err(|error| format!("{key}: {error}"))?;
    // Only vectors have sets. A number would hold always, and a range never could be asked.
    promql::check(&format!("vector(0) and ({query}\n)"))
        .map_err(|_| format!("{key}: a query that gives an instant vector is expected"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn good() -> Value {
        json!({
            "id": "steal", "title": "T", "severity": "critical", "resource": "cpu", "condition": "rate(a[$interval]) > b",
            "unit": "percent", "for": "1m", "worst": "lowest", "meaning": "M.", "basis": "B.", "also": ["memory"],
            "next": [{"look": "L", "page": "cpu"}], "of_the_future": 1,
        })
    }

    #[test]
    fn all_keys_are_read() {
        let read = Diagnosis::read(&good()).unwrap();
        assert_eq!((read.severity, read.worst), (Severity::Critical, Worst::Lowest));
        assert_eq!(read.hold, Some(Duration::from_secs(60)));
        assert_eq!(read.needs, BTreeSet::from(["a".into(), "b".into()]));
        let mut least = good();
        for key in ["for", "worst", "basis", "also"] {
            least.as_object_mut().unwrap().remove(key);
        }
        assert_eq!(Diagnosis::read(&least).unwrap().hold, None);
    }

    /// What is said of one whose key is something else.
    fn refused(key: &str, value: Value) -> String {
        let mut bad = good();
        bad[key] = value;
        Diagnosis::read(&bad).unwrap_err()
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let says = |key: &str, value: Value, what: &str| {
            let why = refused(key, value);
            assert!(why.contains(what), "{key}: {why}");
        };
        says("condition", "rate(a[$interval) > b".into(), "condition: 1:");
        says("condition", "a[$interval]".into(), "condition: a query that gives an instant vector");
        says("condition", "scalar(a)".into(), "condition: a query that gives an instant vector");
        says("condition", "vector(1)".into(), "condition: it asks for no metric by name");
        says("condition", "a + ".repeat(1000).into(), "condition: 4000 bytes; 2000 are the most");
        says("condition", format!("{}a", "(".repeat(1500)).into(), "condition: ");
        says("id", "Steal!".into(), "id: up to 64 small letters");
        says("severity", "fatal".into(), "unknown variant `fatal`");
        says("for", "soon".into(), "`for` is a duration such as 10s, not \"soon\"");
        says("for", "3days".into(), "a day is the most");
        says("for", 10.into(), "invalid type");
        says("worst", "middle".into(), "unknown variant `middle`");
        says("title", " ".into(), "title: there has to be a text");
        says("meaning", "x".repeat(9000).into(), "meaning: 9000 bytes");
        says("next", json!([]), "next: 1 to 8 steps are expected, not 0");
        says("next", json!([{"look": "L"}]), "next 1: neither `query` nor `page`");
        says("next", json!([{"look": "L", "page": "cpu"}, {"look": "L", "query": "a["}]), "next 2: 1:");
        says("also", json!(["../.."]), "also: up to 64");
        let mut without = good();
        without.as_object_mut().unwrap().remove("meaning");
        assert!(Diagnosis::read(&without).unwrap_err().contains("missing field `meaning`"));
    }

    #[test]
    fn one_that_is_wrong_takes_no_other_with_it() {
        let mut bad = good();
        (bad["id"], bad["condition"]) = ("bad".into(), ")".into());
        let document = json!({"version": 1, "diagnoses": [good(), bad, good(), {"title": "no id"}, 5]});
        let checked = check(&document);
        assert_eq!(checked.diagnoses.len(), 1);
        assert_eq!(checked.json, json!({"version": 1, "diagnoses": [good()]}));
        let begin = [
            "diagnosis bad: condition: ",
            "diagnosis steal: there is one",
            "diagnosis number 4: missing",
            "diagnosis number 5: ",
        ];
        assert_eq!(checked.refused.len(), begin.len());
        for (why, begin) in checked.refused.iter().zip(begin) {
            assert!(why.starts_with(begin), "{why}");
        }
    }

    #[test]
    fn documents_that_are_none() {
        for (document, what) in [
            (json!({"version": 2, "diagnoses": [good()]}), "version 2 of the schema; this knows up to 1"),
            (json!({"diagnoses": [good()]}), "there has to be a `version`"),
            (json!({"version": 1}), "there has to be a list"),
            (json!([good()]), "there has to be a `version`"),
        ] {
            let checked = check(&document);
            assert_eq!((checked.diagnoses.len(), checked.refused.len()), (0, 1));
            assert!(checked.refused[0].contains(what), "{:?}", checked.refused);
        }
        let all: Vec<Value> = (0..1000).map(|at| json!({"id": format!("n{at}")})).collect();
        assert_eq!(check(&json!({"version": 1, "diagnoses": all})).refused.len(), MOST);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn nothing_is_too_strange(key in "condition|id|title|for|next|also", text in ".{0,40}") {
            let mut odd = good();
            odd[&key] = text.clone().into();
            let _ = check(&json!({"version": 1, "diagnoses": [odd]}));
            let _ = check(&Value::String(text));
        }
    }
}
