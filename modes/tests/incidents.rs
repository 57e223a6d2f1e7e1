//! How well incidents of known truth are found: those of `modes/incidents/run`, a folder of which is given
//! by `REZOLUS_INCIDENTS`, or the small ones that are kept here, which have bounds.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rezolus_modes::analysis::{self, Causes, Depth, Detection, Finding, Kind, Rank, Scope, Symptom};
use rezolus_store::Source;
use rezolus_store::promql::{Options, Value, range};
use rezolus_store::recording::Recording;
use rezolus_store::sample::Values;
use serde::Deserialize;
use tempfile::TempDir;

/// A finding this many ticks before an incident, or after it, is still of it.
const SLACK: f64 = 3.0;
/// How near an onset has to be, in ticks.
const NEAR: f64 = 2.0;

/// What happened in a recording, as `modes/incidents/run` writes it.
#[derive(Debug, Deserialize)]
struct Truth {
    scenario: String,
    /// ns since the epoch.
    begin: i64,
    end: i64,
    incident: Option<Incident>,
}

#[derive(Debug, Deserialize)]
struct Incident {
    kind: String,
    onset: i64,
    end: i64,
    resources: Vec<String>,
    /// ns, of what comes again.
    period: Option<i64>,
}

impl Incident {
    /// At which place the right resource is, from 1.
    fn rank(&self, ranking: &[Rank]) -> Option<usize> {
        let right = |rank: &Rank| self.resources.iter().any(|name| name == rank.resource.name());
        ranking.iter().position(right).map(|at| at + 1)
    }

    /// What `cause` says of its span.
    fn causes(&self, source: &dyn Source) -> Causes {
        let window = Symptom::Window(self.onset, self.end);
        analysis::cause(source, window, Depth::Rest, &Options::default()).unwrap()
    }
}

/// How well one was found.
#[derive(Debug)]
struct Score {
    name: String,
    /// None: there was nothing to be found.
    found: Option<bool>,
    is_change: bool,
    /// Of the finding, in ticks; positive: late. None of what has no onset.
    onset: Option<f64>,
    /// At which place the right resource is, from 1.
    rank: Option<usize>,
    /// The same of `cause`, given the span. None of what has no onset.
    cause: Option<usize>,
    /// Findings of something else.
    others: Vec<String>,
    /// Without an incident.
    quiet_minutes: f64,
}

fn score(name: &str, truth: &Truth, detection: &Detection) -> Score {
    let interval = detection.frame.interval as f64;
    let hits = |finding: &&Finding| {
        truth.incident.as_ref().is_some_and(|incident| is_of(finding, incident, interval))
    };
    let hit = detection.findings.iter().filter(hits).max_by(|a, b| a.score.total_cmp(&b.score));
    let others = detection.findings.iter().filter(|finding| !hits(finding));
    let is_change = |incident: &&Incident| incident.kind == "change";
    let change = truth.incident.as_ref().filter(is_change);
    // A job that runs, or a leak that goes on, all the time leaves no quiet minute.
    let busy = truth.incident.as_ref().map_or(0, |incident| incident.end - incident.onset);
    Score {
        name: name.into(),
        found: truth.incident.as_ref().map(|_| hit.is_some()),
        is_change: change.is_some(),
        onset: hit.zip(change).map(|(hit, incident)| (hit.onset - incident.onset) as f64 / interval),
        rank: hit.zip(truth.incident.as_ref()).and_then(|(hit, incident)| incident.rank(&hit.ranking)),
        cause: None,
        others: others.map(|finding| finding.summary.clone()).collect(),
        quiet_minutes: (truth.end - truth.begin - busy) as f64 / 60e9,
    }
}

fn is_of(finding: &Finding, incident: &Incident, interval: f64) -> bool {
    let slack = (SLACK * interval) as i64;
    match incident.kind.as_str() {
        "periodic" => {
            let near = |(a, b): (i64, i64)| (a - b).abs() as f64 <= interval.max(b as f64 / 30.0);
            finding.kind == Kind::Periodic && finding.period.zip(incident.period).is_some_and(near)
        }
        // A leak that is fast for the recording's length is a change that goes on to the end.
        "drift" => finding.kind == Kind::Drift || (finding.kind == Kind::Change && !finding.over),
        _ => {
            let overlaps = finding.onset <= incident.end + slack && finding.end >= incident.onset - slack;
            finding.kind == Kind::Change && overlaps
        }
    }
}

/// All of them as figures.
#[derive(Debug, Default)]
struct Total {
    incidents: usize,
    found: usize,
    changes: usize,
    near: usize,
    first: usize,
    /// Of those with an onset, found or not.
    spans: usize,
    first_of_span: usize,
    others: usize,
    quiet_minutes: f64,
}

impl Total {
    fn of(all: &[Score]) -> Self {
        let count = |is: &dyn Fn(&Score) -> bool| all.iter().filter(|score| is(score)).count();
        Self {
            incidents: count(&|score| score.found.is_some()),
            found: count(&|score| score.found == Some(true)),
            changes: count(&|score| score.onset.is_some()),
            near: count(&|score| score.onset.is_some_and(|onset| onset.abs() <= NEAR)),
            first: count(&|score| score.rank == Some(1)),
            spans: count(&|score| score.is_change),
            first_of_span: count(&|score| score.cause == Some(1)),
            others: all.iter().map(|score| score.others.len()).sum(),
            quiet_minutes: all.iter().map(|score| score.quiet_minutes).sum(),
        }
    }

    fn per_ten_minutes(&self) -> f64 {
        self.others as f64 / self.quiet_minutes.max(f64::MIN_POSITIVE) * 10.0
    }

    fn print(&self) {
        let part =
            |of: usize, all: usize| format!("{of} of {all} ({:.0} %)", of as f64 / all.max(1) as f64 * 100.0);
        println!("recall                          {}", part(self.found, self.incidents));
        println!("precision                       {}", part(self.found, self.found + self.others));
        println!("onset within two ticks          {}", part(self.near, self.changes));
        println!("the right resource first        {}", part(self.first, self.incidents));
        println!(
            "others per ten quiet minutes    {:.2} ({} in {:.0})",
            self.per_ten_minutes(),
            self.others,
            self.quiet_minutes
        );
    }
}

/// Each claim can be asked again: its query gives one series, which goes at least half as far in its span.
fn claims_hold(source: &dyn Source, detection: &Detection) {
    for evidence in detection.findings.iter().flat_map(|finding| &finding.evidence) {
        let (query, step) = (&evidence.query, detection.frame.step);
        let answer = range(source, query, evidence.onset, evidence.end, step, &Options::default()).unwrap();
        let Value::Matrix(series) = answer.value else { panic!("{query}") };
        assert_eq!(series.len(), 1, "{query}");
        let Values::Floats(values) = &series[0].samples.values else { panic!("{query}") };
        let change = evidence.level - evidence.baseline;
        let far = |value: &f64| (value - evidence.baseline) * change.signum() >= change.abs() / 2.0;
        assert!(values.iter().any(far), "{evidence:?}: {values:?}");
    }
}

fn scores(folder: &Path) -> Vec<Score> {
    let files = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut stories: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    stories.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    stories.sort();
    stories.iter().map(|story| scored(story)).collect()
}

/// Opens a recording; those that are kept are compressed, since most of so small a one is text. With the folder
/// that it is in for that long.
fn recording(path: &Path) -> (Recording, Option<TempDir>) {
    let open = |path: &Path| Recording::open(path, &[], Arc::default()).unwrap();
    if path.exists() {
        return (open(path), None);
    }
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("recording.parquet");
    let packed = File::open(path.with_extension("parquet.zst")).unwrap();
    zstd::stream::copy_decode(packed, File::create(&plain).unwrap()).unwrap();
    (open(&plain), Some(folder))
}

fn scored(story: &Path) -> Score {
    let text = std::fs::read_to_string(story).unwrap();
    let truth: Truth =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", story.display()));
    let (source, _folder) = recording(&story.with_extension("parquet"));
    let detection = analysis::detect(&source, Scope::default(), &Options::default()).unwrap();
    claims_hold(&source, &detection);
    let mut score = score(&truth.scenario, &truth, &detection);
    let change = truth.incident.as_ref().filter(|incident| incident.kind == "change");
    let causes = change.map(|incident| incident.causes(&source));
    score.cause = change.zip(causes.as_ref()).and_then(|(incident, causes)| incident.rank(&causes.ranking));
    let onset = score.onset.map_or("-".into(), |onset| format!("{onset:+.1}"));
    let place = |rank: Option<usize>| rank.map_or("-".into(), |rank| rank.to_string());
    let (rank, cause) = (place(score.rank), place(score.cause));
    let found = match score.found {
        None => "nothing to find",
        Some(true) => "found",
        Some(false) => "MISSED",
    };
    println!(
        "{:<20} {found:<16} onset {onset:>6}, rank {rank}, from its span {cause}, {} others",
        score.name,
        score.others.len()
    );
    if let Some(causes) = causes {
        println!("    from its span: {}", causes.says.split(". ").next().unwrap_or_default());
    }
    for finding in &detection.findings {
        let seconds = |time: i64| (time - truth.begin) as f64 / 1e9;
        let what = if score.others.contains(&finding.summary) { "other" } else { "it" };
        println!(
            "    {what:<5} {:.0} to {:.0} s: {}",
            seconds(finding.onset),
            seconds(finding.end),
            finding.summary
        );
    }
    score
}

#[test]
fn incidents_are_found_where_and_when_they_were() {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/incidents");
    let given = std::env::var_os("REZOLUS_INCIDENTS").map(PathBuf::from);
    let all = scores(given.as_deref().unwrap_or(&kept));
    let total = Total::of(&all);
    assert!(!all.is_empty(), "no recordings of incidents");
    total.print();
    assert!(total.found * 100 >= total.incidents * 95, "{total:?}");
    assert!(total.near * 10 >= total.changes * 9, "{total:?}");
    assert!(total.first * 10 >= total.incidents * 9, "{total:?}");
    assert!(total.first_of_span * 10 >= total.spans * 9, "{total:?}");
    assert!(total.per_ten_minutes() <= 1.0, "{total:?}");
}
