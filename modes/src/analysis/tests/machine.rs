//! Whole analyses of machines that are made up, with and without incidents.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rezolus_store::labels::NAME;
use rezolus_store::memory::Memory;
use rezolus_store::promql::{Options, instant, range};
use rezolus_store::recording::Recording;
use rezolus_store::{Labels, Metadata, Sample, Series, Source};

use super::Random;
use crate::analysis::{self, Depth, Kind, Resource, Scope, Side, Symptom};

const SECOND: i64 = 1_000_000_000;
const BEGIN: i64 = 1_795_341_600 * SECOND;

/// A metric of the machine: name, labels, how much it grows in a second (a gauge: what it is), how bursty.
type Metric = (&'static str, &'static [(&'static str, &'static str)], f64);

const COUNTERS: &[Metric] = &[
    ("cpu_usage", &[("state", "user"), ("id", "0")], 1.2e8),
    ("cpu_usage", &[("state", "user"), ("id", "1")], 1.0e8),
    ("cpu_usage", &[("state", "system"), ("id", "0")], 4e7),
    ("cpu_usage", &[("state", "system"), ("id", "1")], 3e7),
    ("pressure_stalled", &[("resource", "cpu"), ("kind", "some")], 2e7),
    ("pressure_stalled", &[("resource", "io"), ("kind", "some")], 1e7),
    ("pressure_stalled", &[("resource", "memory"), ("kind", "some")], 0.0),
    ("scheduler_runqueue_wait", &[("id", "0")], 2e7),
    ("scheduler_runqueue_wait", &[("id", "1")], 2e7),
    ("scheduler_context_switch", &[("kind", "voluntary"), ("id", "0")], 1500.0),
    ("scheduler_context_switch", &[("kind", "involuntary"), ("id", "0")], 60.0),
    ("scheduler_fork", &[("id", "0")], 3.0),
    ("memory_page_faults", &[], 2000.0),
    ("memory_page_faults_major", &[], 1.0),
    ("memory_pages_scanned", &[("reclaimer", "direct")], 0.0),
    ("memory_allocation_stalls", &[], 0.0),
    ("memory_refaults", &[("kind", "file")], 2.0),
    ("memory_oom_kills", &[], 0.0),
    ("blockio_operations", &[("op", "read")], 5.0),
    ("blockio_operations", &[("op", "write")], 25.0),
    ("blockio_bytes", &[("op", "read")], 2e5),
    ("blockio_bytes", &[("op", "write")], 1e6),
    ("blockio_device_busy", &[("device", "vda")], 1.5e7),
    ("blockio_device_queued", &[("device", "vda")], 3e7),
    ("blockio_errors", &[("op", "write"), ("error", "io")], 0.0),
    ("network_bytes", &[("direction", "receive")], 2e5),
    ("network_packets", &[("direction", "receive")], 300.0),
    ("network_drop", &[], 0.3),
    ("tcp_retransmit", &[], 0.05),
    ("tcp_timeouts", &[], 0.02),
    ("tcp_connect_failed", &[], 0.02),
    ("syscall", &[("op", "read")], 3000.0),
    ("syscall", &[("op", "write")], 2000.0),
    ("syscall", &[("op", "lock")], 800.0),
    ("syscall", &[("op", "query")], 300.0),
    ("syscall", &[("op", "process")], 60.0),
    ("cgroup_cpu_usage", &[("name", "/a.service")], 8e7),
    ("cgroup_cpu_bandwidth_throttled_time", &[("name", "/a.service")], 0.0),
    ("cgroup_cpu_bandwidth_throttled_periods", &[("name", "/a.service")], 0.0),
    ("cgroup_cpu_bandwidth_periods", &[("name", "/a.service")], 10.0),
];

const GAUGES: &[Metric] = &[
    ("cpu_cores", &[], 2.0),
    ("memory_total", &[], 8e9),
    ("memory_available", &[], 6e9),
    ("memory_anonymous", &[], 1.2e9),
];

/// What goes wrong: which series (by the first label's value, if any) grow by how much a second.
struct Incident {
    name: &'static str,
    expected: &'static [Resource],
    effects: &'static [(&'static str, &'static str, f64)],
}

const INCIDENTS: &[Incident] = &[
    Incident {
        name: "CPUs saturated",
        expected: &[Resource::Cpu, Resource::Scheduler],
        effects: &[
            ("cpu_usage", "user", 8e8),
            ("pressure_stalled", "cpu", 9e8),
            ("scheduler_runqueue_wait", "", 1.5e9),
            ("scheduler_context_switch", "involuntary", 600.0),
        ],
    },
    Incident {
        name: "quota",
        expected: &[Resource::Cgroup],
        effects: &[
            ("cgroup_cpu_bandwidth_throttled_time", "", 8e8),
            ("cgroup_cpu_bandwidth_throttled_periods", "", 9.0),
            ("cpu_usage", "user", 1e8),
        ],
    },
    Incident {
        name: "I/O storm",
        expected: &[Resource::Blockio],
        effects: &[
            ("blockio_operations", "write", 4000.0),
            ("blockio_bytes", "write", 3e8),
            ("blockio_device_busy", "", 9e8),
            ("blockio_device_queued", "", 1e10),
            ("pressure_stalled", "io", 7e8),
            ("syscall", "write", 4000.0),
            ("cpu_usage", "system", 8e7),
        ],
    },
    Incident {
        name: "memory pressure",
        expected: &[Resource::Memory],
        effects: &[
            ("pressure_stalled", "memory", 4e8),
            ("memory_pages_scanned", "", 60_000.0),
            ("memory_allocation_stalls", "", 80.0),
            ("memory_refaults", "", 3000.0),
            ("memory_page_faults_major", "", 900.0),
            ("blockio_operations", "read", 1500.0),
            ("blockio_bytes", "read", 6e7),
            ("pressure_stalled", "io", 4e8),
        ],
    },
    Incident {
        name: "packet loss",
        expected: &[Resource::Tcp, Resource::Network],
        effects: &[("network_drop", "", 40.0), ("tcp_retransmit", "", 25.0), ("tcp_timeouts", "", 6.0)],
    },
    Incident {
        name: "connect failures",
        expected: &[Resource::Tcp],
        effects: &[("tcp_connect_failed", "", 12.0)],
    },
    Incident {
        name: "lock convoy",
        expected: &[Resource::Syscall],
        effects: &[
            ("syscall", "lock", 200_000.0),
            ("scheduler_context_switch", "voluntary", 60_000.0),
            ("cpu_usage", "system", 2e8),
        ],
    },
    Incident {
        name: "fork storm",
        expected: &[Resource::Scheduler],
        effects: &[
            ("scheduler_fork", "", 1200.0),
            ("memory_page_faults", "", 300_000.0),
            ("cpu_usage", "system", 4e8),
            ("syscall", "process", 6000.0),
            ("scheduler_context_switch", "voluntary", 5000.0),
        ],
    },
    Incident {
        name: "syscall storm",
        expected: &[Resource::Syscall],
        effects: &[("syscall", "query", 900_000.0), ("cpu_usage", "system", 3e8), ("cpu_usage", "user", 1e8)],
    },
];

/// A source that knows what its metrics are.
struct Described(Memory);

impl Source for Described {
    fn select(
        &self,
        matchers: &[rezolus_store::Matcher],
        start: i64,
        end: i64,
    ) -> Result<Vec<Series>, rezolus_store::promql::Error> {
        self.0.select(matchers, start, end)
    }
    fn series(
        &self,
        matchers: &[rezolus_store::Matcher],
        start: i64,
        end: i64,
    ) -> Result<Vec<Labels>, rezolus_store::promql::Error> {
        self.0.series(matchers, start, end)
    }
    fn metadata(&self) -> std::collections::BTreeMap<String, Metadata> {
        let of = |kind: &str, all: &[Metric]| -> Vec<(String, Metadata)> {
            all.iter()
                .map(|(name, ..)| (name.to_string(), Metadata { kind: kind.into(), ..Metadata::default() }))
                .collect()
        };
        of("counter", COUNTERS).into_iter().chain(of("gauge", GAUGES)).collect()
    }
    fn range(&self) -> Option<(i64, i64)> {
        self.0.range()
    }
}

/// A machine of a load, with an incident from a tick to another. Ticks are late by up to 4 ms.
fn machine(ticks: usize, load: f64, incident: Option<(&Incident, usize, usize)>, seed: u64) -> Described {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    (0..20).for_each(|_| _ = random.next());
    let labels =
        |(name, labels, _): &Metric| Labels::new([(NAME, *name)].into_iter().chain(labels.iter().copied()));
    let counters: Vec<Labels> = COUNTERS.iter().map(labels).collect();
    let gauges: Vec<Labels> = GAUGES.iter().map(labels).collect();
    let mut counts = vec![0.0; COUNTERS.len()];
    let mut wander = vec![0.0; COUNTERS.len() + 1];
    let mut memory = Memory::default();
    for tick in 0..ticks {
        let time = BEGIN + tick as i64 * SECOND + (random.next() * 4e6) as i64;
        let busy = incident.filter(|(_, from, to)| (*from..*to).contains(&tick));
        for (at, metric) in COUNTERS.iter().enumerate() {
            // Levels wander a little, and there is a spike now and then.
            wander[at] = 0.95 * wander[at] + 0.08 * random.normal();
            let spike = if random.next() < 0.004 { 4.0 } else { 1.0 };
            let rare = metric.2 < 5.0;
            let mut growth = match rare {
                true => f64::from(u8::from(random.next() < metric.2.min(1.0))),
                false => metric.2 * load * (1.0 + wander[at] + 0.2 * random.normal()).max(0.05) * spike,
            };
            if let Some((incident, ..)) = busy {
                let first = metric.1.first().map_or("", |(_, value)| *value);
                for (name, value, more) in incident.effects.iter() {
                    if *name == metric.0 && (value.is_empty() || *value == first) {
                        growth += more * (0.9 + 0.2 * random.next());
                    }
                }
            }
            counts[at] += growth.round();
            memory.append(&counters[at], time, Sample::Float(counts[at]));
        }
        let last = COUNTERS.len();
        wander[last] = 0.99 * wander[last] + 0.005 * random.normal();
        for (labels, metric) in gauges.iter().zip(GAUGES) {
            let fixed = matches!(metric.0, "cpu_cores" | "memory_total");
            let value = if fixed { metric.2 } else { metric.2 * (1.0 + wander[last]) };
            memory.append(labels, time, Sample::Float(value.round()));
        }
    }
    Described(memory)
}

fn scope() -> Scope {
    Scope { window: None, depth: Depth::Rest }
}

#[test]
fn quiet_and_steady_hours_have_hardly_any_findings() {
    let (ticks, mut minutes, mut findings) = (1200, 0.0, 0);
    for seed in 1..=6 {
        for load in [0.1, 1.0, 4.0] {
            let source = machine(ticks, load, None, seed * 31 + load as u64);
            let detection = analysis::detect(&source, scope(), &Options::default()).unwrap();
            minutes += ticks as f64 / 60.0;
            findings += detection.findings.len();
            detection.findings.iter().for_each(|finding| println!("load {load}: {}", finding.summary));
        }
    }
    println!("{findings} findings in {minutes} quiet minutes");
    assert!(findings as f64 <= minutes / 60.0, "{findings} in {minutes} minutes");
}

#[test]
fn incidents_are_found_when_and_where_they_are() {
    let (mut tried, mut found, mut placed, mut right, mut others, mut minutes) = (0, 0, 0, 0, 0, 0.0);
    for (at, incident) in INCIDENTS.iter().enumerate() {
        for seed in 1..=4 {
            let mut random = Random((seed * 1000 + at as u64) * 7919 + 1);
            (0..20).for_each(|_| _ = random.next());
            let ticks = 500 + (random.next() * 500.0) as usize;
            let length = 60 + (random.next() * 180.0) as usize;
            let from = 40 + (random.next() * (ticks - length - 80) as f64) as usize;
            let load = [0.3, 1.0, 2.0][seed as usize % 3];
            let source = machine(ticks, load, Some((incident, from, from + length)), seed * 97 + at as u64);
            let detection = analysis::detect(&source, scope(), &Options::default()).unwrap();
            let step = |time: i64| (time - BEGIN) / SECOND;
            let hit =
                detection.findings.iter().filter(|finding| finding.kind == Kind::Change).find(|finding| {
                    step(finding.onset) < (from + length) as i64 && step(finding.end) >= from as i64
                });
            tried += 1;
            minutes += ticks as f64 / 60.0;
            found += usize::from(hit.is_some());
            placed += usize::from(hit.is_some_and(|hit| (step(hit.onset) - from as i64).abs() <= 2));
            right += usize::from(hit.is_some_and(|hit| incident.expected.contains(&hit.resource)));
            others += detection.findings.len() - usize::from(hit.is_some());
            match hit {
                Some(hit)
                    if incident.expected.contains(&hit.resource)
                        && (step(hit.onset) - from as i64).abs() <= 2 => {}
                hit => println!(
                    "{} (load {load}, seed {seed}) at {from} for {length}: {:?}",
                    incident.name,
                    hit.map(|hit| (step(hit.onset), step(hit.end), hit.summary.clone(), hit.ranking.clone()))
                ),
            }
        }
    }
    println!(
        "{tried} incidents: {found} found, {placed} within two steps, {right} in the right place first; {others} others in {minutes:.0} minutes"
    );
    assert!(found * 100 >= tried * 95 && placed * 10 >= tried * 9 && right * 10 >= tried * 9);
    assert!(f64::from(u32::try_from(others).unwrap()) <= minutes / 30.0, "{others} in {minutes} minutes");
}

#[test]
fn a_cause_is_found_from_a_window_and_from_a_query() {
    for (name, query) in [
        ("memory pressure", "rate(memory_refaults[$interval])"),
        ("I/O storm", "sum(rate(blockio_device_queued[$interval])) / 1e9"),
    ] {
        let incident = INCIDENTS.iter().find(|incident| incident.name == name).unwrap();
        let source = machine(600, 1.0, Some((incident, 300, 400)), 5);
        let window = Symptom::Window(BEGIN + 300 * SECOND, BEGIN + 400 * SECOND);
        for symptom in [window, Symptom::Query(query)] {
            let causes = analysis::cause(&source, symptom, Depth::Rest, &Options::default()).unwrap();
            assert_eq!(causes.ranking[0].resource, incident.expected[0], "{name}: {:?}", causes.ranking);
            assert!(causes.candidates[0].lead.abs() <= 3 * SECOND, "{name}: {:?}", causes.candidates[0]);
        }
        let nothing =
            analysis::cause(&source, Symptom::Query("vector(1)"), Depth::Rest, &Options::default()).unwrap();
        assert_eq!((nothing.window, nothing.candidates.len()), (None, 0));
    }
}

#[test]
fn a_comparison_tells_what_changed_and_nothing_where_nothing_did() {
    let incident = &INCIDENTS[2];
    let source = machine(1200, 1.0, Some((incident, 600, 1200)), 9);
    let part = |from: i64, to: i64| Side {
        source: &source,
        window: Some((BEGIN + from * SECOND, BEGIN + to * SECOND)),
    };
    let same = analysis::compare(part(0, 290), part(300, 590), Depth::Rest, &Options::default()).unwrap();
    assert_eq!(same.changes.iter().map(|change| &change.signal).collect::<Vec<_>>(), Vec::<&String>::new());
    let other = analysis::compare(part(0, 590), part(610, 1190), Depth::Rest, &Options::default()).unwrap();
    let first = &other.changes[0];
    assert_eq!(first.resource, Resource::Blockio);
    assert!(first.delta > 0.99 && first.p < 1e-6, "{first:?}");
    let writes =
        other.changes.iter().find(|change| change.signal == r#"blockio_operations{op="write"}"#).unwrap();
    assert!((writes.shift - 4000.0).abs() < 200.0, "{writes:?}");
}

#[test]
fn what_is_cited_is_what_was_computed() {
    let source = machine(120, 1.0, None, 3);
    let signals = analysis::signals(&source, scope(), &Options::default()).unwrap();
    assert!(signals.all.len() > 30 && !signals.absent.is_empty());
    assert!(signals.absent.iter().all(|absent| absent.reason.contains("recorded")));
    let frame = signals.frame;
    assert_eq!((frame.step, frame.count), (SECOND, 120));
    for signal in &signals.all {
        let answer =
            range(&source, &signal.query, frame.start, frame.end(), frame.step, &Options::default()).unwrap();
        let rezolus_store::promql::Value::Matrix(all) = answer.value else { panic!("{}", signal.query) };
        assert_eq!(all.len(), 1, "{}", signal.query);
        let at = all[0].samples.len() - 1;
        let Sample::Float(value) = all[0].samples.get(at) else { panic!("{}", signal.query) };
        assert_eq!(value.to_bits(), signal.values[frame.count - 1].to_bits(), "{}", signal.query);
    }
    for absent in &signals.absent {
        assert!(instant(&source, &absent.query, BEGIN, &Options::default()).is_ok(), "{}", absent.query);
    }
}

#[test]
fn the_same_source_gives_the_same_answer() {
    let source = machine(400, 1.0, Some((&INCIDENTS[3], 200, 300)), 4);
    let of = || {
        let detection = analysis::detect(&source, scope(), &Options::default()).unwrap();
        let health = analysis::summarize(&source, None, &Options::default()).unwrap();
        (serde_json::to_string(&detection).unwrap(), serde_json::to_string(&health).unwrap())
    };
    let (detection, health) = of();
    assert_eq!((detection.clone(), health.clone()), of());
    let health: serde_json::Value = serde_json::from_str(&health).unwrap();
    assert_eq!(health["schema_version"], 1);
    let cpu = &health["resources"][0];
    assert_eq!(cpu["resource"], "cpu");
    let busy = cpu["utilisation"][0]["p50"].as_f64().unwrap();
    assert!((0.1..0.2).contains(&busy), "{busy}");
    assert!(cpu["absent"].as_array().unwrap().iter().any(|absent| absent["id"] == "cpu_softirq"));
}

#[test]
fn nothing_and_next_to_nothing_is_no_trouble() {
    for ticks in [0, 1, 2, 5] {
        let source = machine(ticks, 1.0, None, 1);
        let options = Options::default();
        let detection = analysis::detect(&source, scope(), &options).unwrap();
        assert_eq!(detection.findings.len(), 0);
        analysis::summarize(&source, None, &options).unwrap();
        let side = Side { source: &source, window: None };
        assert_eq!(analysis::compare(side, side, Depth::Everything, &options).unwrap().changes.len(), 0);
        let window = Symptom::Window(BEGIN, BEGIN + SECOND);
        assert_eq!(analysis::cause(&source, window, Depth::Rest, &options).unwrap().candidates.len(), 0);
        let pair = analysis::Pair { x: "cpu_cores", y: "memory_free", window: None, most_lag: SECOND };
        assert_eq!(analysis::correlate(&source, &pair, &options).unwrap().len(), 0);
    }
}

/// Recordings that others made, where the folder with them is at hand.
#[test]
fn recordings_of_others_are_analysed() {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("REZOLUS_SHARED").map_or(beside, PathBuf::from);
    for name in ["demo", "simple_capture"] {
        let path = shared.join(format!("data/recordings/{name}.parquet"));
        if !path.is_file() {
            println!("{} is not there (REZOLUS_SHARED)", path.display());
            continue;
        }
        let source = Recording::open(&path, &[], Arc::default()).unwrap();
        let options = Options::default();
        let health = analysis::summarize(&source, None, &options).unwrap();
        assert!(health.resources.iter().any(|resource| !resource.absent.is_empty()));
        let everything = Scope { window: None, depth: Depth::Everything };
        let detection = analysis::detect(&source, everything, &options).unwrap();
        println!("{name}: {} signals, {} findings", detection.signals, detection.findings.len());
        detection.findings.iter().for_each(|finding| println!("  {:.2} {}", finding.score, finding.summary));
        // Five minutes of them, and seconds.
        assert!(detection.findings.len() < 10, "{name}");
    }
}
