//! Makes a recording of a machine that is not here: 64 CPUs at a second's interval, 2,000 series with
//! the names and labels that the plugins give, for the viewer to be measured on.
//!
//! `cargo bench -p rezolus-modes --bench machine -- OUTPUT [TICKS]`; an hour if nothing is said.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use rezolus_modes::log::Contents;
use rezolus_modes::log::columns::{Columns, Source};
use rezolus_modes::snapshot::{Group, GroupSchema, LINE, Line, MetricDesc, Numbers, Shape, Snapshot};
use serde_json::{Value, json};

const CPUS: usize = 64;
const SEGMENT: u64 = 300;
/// 2026-11-22T10:00:00Z
const BEGIN: u64 = 1_795_341_600;
/// Buckets of a histogram of grouping power 3 and maximum value power 64, in lines.
const LINES: usize = 62;
const SERIES: usize = 2000;

const STATES: [&str; 9] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest"];
const SOFTIRQS: [&str; 10] =
    ["hi", "timer", "net_tx", "net_rx", "block", "irq_poll", "tasklet", "sched", "hrtimer", "rcu"];
const OPS: [&str; 4] = ["read", "write", "flush", "discard"];
const CALLS: [&str; 16] = [
    "other",
    "read",
    "write",
    "poll",
    "lock",
    "time",
    "sleep",
    "socket",
    "yield",
    "filesystem",
    "memory",
    "process",
    "query",
    "ipc",
    "timer",
    "event",
];
const MEMORY: [&str; 12] = [
    "memory_total",
    "memory_free",
    "memory_available",
    "memory_buffers",
    "memory_cached",
    "memory_anonymous",
    "memory_shared",
    "memory_mapped",
    "memory_dirty",
    "memory_writeback",
    "memory_committed",
    "cpu_cores",
];
const DIRECTIONS: [&str; 2] = ["receive", "transmit"];

/// A series, and about how much it grows in a second; of a gauge, what it is.
struct Made {
    description: MetricDesc,
    scale: f64,
}

fn made(metric: &str, labels: &[(&str, &str)], unit: &str, scale: f64) -> Made {
    let mut metadata = [("metric", metric), ("unit", unit)].to_vec();
    metadata.extend(labels);
    let metadata = metadata.into_iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    let name = labels.iter().fold(metric.to_string(), |name, (_, value)| format!("{name}/{value}"));
    Made { description: MetricDesc { name, metadata }, scale }
}

fn histograms() -> Vec<Made> {
    let mut all = Vec::new();
    let histogram = |metric: &str, labels: &[(&str, &str)], unit: &str, scale: f64| {
        let mut made = made(metric, labels, unit, scale);
        let powers = [("grouping_power", "3"), ("max_value_power", "64")];
        made.description.metadata.extend(powers.map(|(key, value)| (key.to_string(), value.to_string())));
        made
    };
    for (metric, scale) in
        [("scheduler_runqueue_latency", 9e3), ("scheduler_running", 2e5), ("scheduler_offcpu", 3e6)]
    {
        all.push(histogram(metric, &[], "nanoseconds", scale));
    }
    for op in OPS {
        all.push(histogram("blockio_latency", &[("op", op)], "nanoseconds", 2e5));
        all.push(histogram("blockio_queue_latency", &[("op", op)], "nanoseconds", 1e4));
        all.push(histogram("blockio_size", &[("op", op)], "bytes", 3e4));
    }
    all.extend(CALLS.map(|op| histogram("syscall_latency", &[("op", op)], "nanoseconds", 2e3)));
    all.extend(DIRECTIONS.map(|direction| histogram("tcp_size", &[("direction", direction)], "bytes", 2e3)));
    for metric in ["tcp_srtt", "tcp_jitter", "tcp_packet_latency", "tcp_connect_latency"] {
        all.push(histogram(metric, &[], "nanoseconds", 4e5));
    }
    all
}

fn gauges() -> Vec<Made> {
    MEMORY.map(|name| made(name, &[], "bytes", if name == "cpu_cores" { CPUS as f64 } else { 2e10 })).into()
}

/// Counters, as many as are left of all series.
fn counters(most: usize) -> Vec<Made> {
    let mut all = Vec::new();
    for op in OPS {
        all.push(made("blockio_operations", &[("op", op)], "operations", 900.0));
        all.push(made("blockio_bytes", &[("op", op)], "bytes", 3e7));
    }
    for op in CALLS {
        all.push(made("syscall", &[("op", op)], "syscalls", 3e4));
    }
    for direction in DIRECTIONS {
        for (metric, scale) in
            [("network_bytes", 4e7), ("network_packets", 4e4), ("tcp_bytes", 3e7), ("tcp_segments", 3e4)]
        {
            all.push(made(metric, &[("direction", direction)], "bytes", scale));
        }
    }
    for metric in ["tcp_retransmit", "network_drop", "memory_page_faults", "memory_page_faults_major"] {
        all.push(made(metric, &[], "events", 3.0));
    }
    for resource in ["cpu", "memory", "io"] {
        all.push(made("pressure_stalled", &[("resource", resource), ("kind", "some")], "nanoseconds", 5e7));
    }
    for cpu in 0..CPUS {
        let id = cpu.to_string();
        for state in STATES {
            all.push(made("cpu_usage", &[("state", state), ("id", &id)], "nanoseconds", 1.1e8));
        }
        for kind in ["voluntary", "involuntary"] {
            all.push(made("scheduler_context_switch", &[("kind", kind), ("id", &id)], "switches", 2e3));
        }
        for metric in ["scheduler_wakeup", "scheduler_runqueue_wait", "scheduler_idle_exit", "irq"] {
            all.push(made(metric, &[("id", &id)], "events", 2e3));
        }
    }
    for number in 0..110 {
        let name = format!("/system.slice/service-{number}.service");
        for (metric, scale) in
            [("cgroup_cpu_usage", 2e8), ("cgroup_syscall", 3e3), ("cgroup_scheduler_context_switch", 2e3)]
        {
            all.push(made(metric, &[("name", &name)], "events", scale));
        }
    }
    for cpu in 0..CPUS {
        for kind in SOFTIRQS {
            all.push(made("softirq", &[("kind", kind), ("id", &cpu.to_string())], "interrupts", 300.0));
        }
    }
    assert!(all.len() >= most, "{} of {most}", all.len());
    all.truncate(most);
    all
}

/// Numbers that are the same in every run (xorshift).
struct Random(u64);

impl Random {
    /// From 0 to 1.
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The machine: what it has counted so far.
struct Machine {
    counters: Vec<Made>,
    gauges: Vec<Made>,
    histograms: Vec<Made>,
    counts: Vec<u64>,
    levels: Vec<f64>,
    buckets: Vec<[u64; LINES * LINE]>,
    random: Random,
}

impl Machine {
    fn new() -> Self {
        let (gauges, histograms) = (gauges(), histograms());
        let counters = counters(SERIES - gauges.len() - histograms.len());
        Self {
            counts: vec![0; counters.len()],
            levels: vec![0.5; counters.len() + gauges.len()],
            buckets: vec![[0; LINES * LINE]; histograms.len()],
            counters,
            gauges,
            histograms,
            random: Random(0x9e37_79b9_7f4a_7c15),
        }
    }

    fn schema(&self) -> Arc<GroupSchema> {
        let of = |all: &[Made]| all.iter().map(|made| made.description.clone()).collect();
        Arc::new(GroupSchema {
            counters: of(&self.counters),
            gauges: of(&self.gauges),
            histograms: of(&self.histograms),
            ..GroupSchema::default()
        })
    }

    /// A second passes. Levels wander, and now and then there is a spike of one tick.
    fn tick(&mut self) -> Numbers {
        let random = &mut self.random;
        for level in &mut self.levels {
            *level = (*level + (random.next() - 0.5) * 0.1).clamp(0.05, 1.0);
        }
        let mut numbers = Numbers::default();
        for ((count, made), level) in self.counts.iter_mut().zip(&self.counters).zip(&self.levels) {
            let spike = if random.next() > 0.9995 { 5.0 } else { 1.0 };
            *count += (made.scale * level * spike * (0.9 + 0.2 * random.next())) as u64;
            numbers.counters.push(Some(*count));
        }
        for (made, level) in self.gauges.iter().zip(&self.levels[self.counters.len()..]) {
            let fixed = made.description.name == "cpu_cores";
            numbers.gauges.push(Some(if fixed { made.scale } else { made.scale * level } as i64));
        }
        for (buckets, made) in self.buckets.iter_mut().zip(&self.histograms) {
            let busy = 40.0 + 60.0 * random.next();
            for _ in 0..40 {
                // About log-normal, with a tail.
                let normal: f64 = (0..6).map(|_| random.next()).sum::<f64>() - 3.0;
                let value = made.scale * (normal * 1.6).exp() * if random.next() > 0.98 { 30.0 } else { 1.0 };
                buckets[bucket(value as u64)] += busy as u64;
            }
            let mut lines = 0;
            for (number, counts) in buckets.chunks(LINE).enumerate() {
                if counts.iter().any(|&count| count > 0) {
                    let counts = counts.try_into().expect("a line");
                    numbers.lines.push(Line { number: number as u16, counts });
                    lines += 1;
                }
            }
            numbers.histograms.push(Some(Shape { grouping_power: 3, max_value_power: 64, lines }));
        }
        numbers
    }
}

/// The bucket of a value: `docs/formats/recording.md`.
fn bucket(value: u64) -> usize {
    if value < 16 {
        return value as usize;
    }
    let power = 63 - value.leading_zeros() as usize;
    let k = power - 2;
    (k << 3) + (value >> (power - 3)) as usize - 8
}

/// The plugins' pages, and one of many charts.
fn dashboards() -> String {
    let pages = ["blockio", "cpu", "memory", "network", "scheduler", "syscall", "tcp"];
    let mut all: serde_json::Map<String, Value> = pages
        .into_iter()
        .map(|name| {
            let path = format!("{}/../plugins/{name}/dashboard.json", env!("CARGO_MANIFEST_DIR"));
            let text = fs::read_to_string(path).expect("a dashboard");
            (name.into(), serde_json::from_str(&text).expect("a dashboard"))
        })
        .collect();
    let chart = |cpu: usize| {
        let query = format!("sum by (state) (rate(cpu_usage{{id=\"{cpu}\"}}[$interval])) / 1e9");
        json!({"title": format!("CPU {cpu}"), "kind": "line", "unit": "cores",
            "queries": [{"query": query, "legend": "{{state}}"}]})
    };
    let charts: Vec<Value> = (0..CPUS).map(chart).collect();
    let many = json!({"version": 1, "title": "Every CPU", "order": 100, "groups": [{"title": "CPUs", "charts": charts}]});
    all.insert("every-cpu".into(), many);
    json!({"rezolus": all}).to_string()
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let Some(out) = arguments.first() else {
        println!("machine: nothing to do without an output file");
        return;
    };
    let ticks: u64 = arguments.get(1).map_or(3600, |ticks| ticks.parse().expect("a number of ticks"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut machine = Machine::new();
    let schema = machine.schema();
    let hash = schema.hash();
    let mut columns = Columns::new(&[Source { name: "rezolus".into(), endpoint: None }]);
    let mut number = 0;
    for at in 1..=ticks {
        let numbers = machine.tick();
        let lengths = numbers.lengths();
        let snapshot = Snapshot {
            systemtime: UNIX_EPOCH + Duration::from_secs(BEGIN + at),
            duration: Duration::from_micros(70),
            metadata: Vec::new(),
            groups: vec![Group { name: "bench/main".into(), schema: schema.clone(), hash, lengths }],
            numbers,
        };
        columns.append((BEGIN + at) * 1_000_000_000, &[Some(Arc::new(snapshot))]);
        if at % SEGMENT == 0 || at == ticks {
            let mut segment = Vec::new();
            columns.write(&mut segment, &[]).expect("a segment");
            number += 1;
            let name = format!("{number:08}-{:08x}.parquet", crc32fast::hash(&segment));
            fs::write(folder.path().join(name), segment).expect("a file");
            columns = columns.successor();
        }
    }
    let contents = Contents::read(folder.path(), 0..=u64::MAX).expect("a log");
    let dashboards = dashboards();
    let metadata =
        [("sampling_interval_ms", "1000"), ("source", "rezolus"), ("rezolus.dashboards", &dashboards)];
    let metadata = metadata.map(|(key, value)| (key.to_string(), value.to_string()));
    let file = BufWriter::new(File::create(out).expect("a file"));
    let rows = contents.write(file, &metadata).expect("a recording");
    let bytes = fs::metadata(Path::new(out)).expect("a file").len();
    println!("{out}: {rows} rows, {SERIES} series, {:.1} MB", bytes as f64 / 1e6);
}
