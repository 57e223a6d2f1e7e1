//! Each condition on a machine that is busy and well, and on one that has what it is about.

use rezolus_store::histogram::{FloatHistogram, h2_bounds};

use super::*;

/// When what is wrong begins, s; and how long all of it is.
const FROM: i64 = 60;
const LENGTH: i64 = 180;

/// A series, what it is while all is well, and while it is not: of a gauge (`g`) its value, of a counter (`c`) its
/// rate, of a histogram (`h`) the value of each of 500 observations a second.
type Line = (char, &'static str, f64, f64);

const CORES: Line = ('g', "cpu_cores", 2.0, 2.0);
/// Both CPUs are busy, all but a little.
const BUSY: Line = ('c', r#"cpu_usage{state="idle",id="0"}"#, 0.05e9, 0.05e9);
/// One of them is idle.
const IDLE: Line = ('c', r#"cpu_usage{state="idle",id="0"}"#, 1e9, 1e9);
const THROTTLED: &str = r#"cgroup_cpu_bandwidth_throttled_periods{id="7",name="/a"}"#;
const WAIT: &str = r#"cgroup_scheduler_runqueue_wait{state="wait",id="7",name="/a"}"#;
const USAGE: &str = r#"cgroup_cpu_usage{state="user",id="7",name="/a"}"#;
const RUNQUEUE: &str = "scheduler_runqueue_latency";
const BUSY_DISK: &str = r#"blockio_device_busy{device="sda"}"#;
const QUEUED: &str = r#"blockio_device_queued{device="sda"}"#;
const TIME: &str = r#"blockio_device_time{device="sda",op="read"}"#;
const READS: &str = r#"blockio_device_operations{device="sda",op="read"}"#;
const DROPS: &str = r#"network_interface_drops{interface="eth0",direction="receive"}"#;
const RECEIVED: &str = r#"network_interface_packets{interface="eth0",direction="receive"}"#;
const SENT: &str = r#"network_packets{direction="transmit"}"#;
const LOCKS: &str = r#"syscall{op="lock"}"#;

/// By diagnosis.
const CASES: &[(&str, &[Line])] = &[
    (
        "cpu/throttled",
        &[('c', THROTTLED, 1.0, 8.0), ('c', r#"cgroup_cpu_bandwidth_periods{id="7",name="/a"}"#, 10.0, 10.0)],
    ),
    ("cpu/steal", &[CORES, ('c', r#"cpu_usage{state="steal",id="0"}"#, 0.02e9, 0.5e9)]),
    (
        "cpu/softirq_imbalance",
        &[
            ('c', r#"softirq_time{kind="net_rx",id="0"}"#, 0.3e9, 0.7e9),
            ('c', r#"softirq_time{kind="timer",id="0"}"#, 0.01e9, 0.01e9),
            ('c', r#"softirq_time{kind="net_rx",id="1"}"#, 0.02e9, 0.02e9),
        ],
    ),
    (
        "cpu/below_base_frequency",
        &[
            CORES,
            BUSY,
            ('c', r#"cpu_aperf{id="0"}"#, 3e9, 1.5e9),
            ('c', r#"cpu_mperf{id="0"}"#, 2.5e9, 2.5e9),
        ],
    ),
    (
        "scheduler/runqueue_saturation",
        &[
            CORES,
            BUSY,
            ('c', r#"scheduler_runqueue_wait{id="0"}"#, 0.9e9, 3e9),
            ('c', r#"scheduler_runqueue_wait{id="1"}"#, 0.9e9, 3e9),
        ],
    ),
    ("scheduler/contention", &[CORES, BUSY, ('c', WAIT, 0.5e9, 2e9), ('c', USAGE, 0.9e9, 0.9e9)]),
    ("scheduler/latency_with_idle_cpus", &[CORES, IDLE, ('h', RUNQUEUE, 1e6, 80e6)]),
    ("scheduler/fork_storm", &[CORES, ('c', r#"scheduler_fork{id="0"}"#, 150.0, 900.0)]),
    ("memory/pressure", &[('c', r#"pressure_stalled{resource="memory",kind="some"}"#, 0.02e9, 0.3e9)]),
    (
        "memory/thrashing",
        &[
            ('c', r#"pressure_stalled{resource="memory",kind="full"}"#, 0.01e9, 0.4e9),
            ('c', r#"memory_refaults{kind="file"}"#, 2000.0, 9000.0),
        ],
    ),
    ("memory/direct_reclaim", &[('c', "memory_allocation_stalls", 10.0, 300.0)]),
    (
        "memory/cgroup_at_limit",
        &[('c', r#"cgroup_memory_stall_time{stall="memcg_reclaim",id="7",name="/a"}"#, 0.05e9, 0.6e9)],
    ),
    (
        "memory/available_low",
        &[
            ('g', "memory_available", 2e9, 0.2e9),
            ('g', "memory_total", 16e9, 16e9),
            ('g', "memory_hugetlb", 4e9, 4e9),
        ],
    ),
    ("memory/oom_kill", &[('c', "memory_oom_kills", 0.0, 1.0)]),
    ("memory/swapping", &[('c', r#"memory_swapped{direction="in"}"#, 50.0, 5000.0)]),
    (
        "blockio/device_saturated",
        &[
            ('c', BUSY_DISK, 1e9, 1e9),
            ('c', QUEUED, 32e9, 32e9),
            // A fast device with as long a queue is well.
            ('c', TIME, 32e9, 32e9),
            ('c', READS, 100_000.0, 300.0),
        ],
    ),
    ("blockio/device_slow", &[('c', QUEUED, 1e9, 1e9), ('c', TIME, 0.9e9, 0.9e9), ('c', READS, 90.0, 9.0)]),
    (
        "blockio/held_back",
        &[
            ('c', r#"pressure_stalled{resource="io",kind="some"}"#, 0.2e9, 0.9e9),
            ('c', BUSY_DISK, 0.1e9, 0.1e9),
        ],
    ),
    (
        "blockio/errors",
        &[
            ('c', r#"blockio_errors{op="read",error="io"}"#, 0.0, 2.0),
            ('c', r#"blockio_errors{op="discard",error="unsupported"}"#, 5.0, 5.0),
        ],
    ),
    ("blockio/no_space", &[('c', r#"blockio_errors{op="write",error="nospc"}"#, 0.0, 2.0)]),
    (
        "network/interface_errors",
        &[('c', r#"network_interface_errors{interface="eth0",direction="receive"}"#, 0.0, 20.0)],
    ),
    ("network/interface_drops", &[('c', DROPS, 5.0, 900.0), ('c', RECEIVED, 30_000.0, 30_000.0)]),
    (
        "network/no_room",
        &[
            ('c', r#"network_drop_reason{reason="socket_rcvbuff"}"#, 5.0, 400.0),
            ('c', r#"network_drop_reason{reason="netfilter_drop"}"#, 400.0, 400.0),
        ],
    ),
    ("network/transmit_stuck", &[('c', "network_transmit_timeout", 0.0, 1.0)]),
    ("tcp/retransmits", &[('c', "tcp_retransmit", 20.0, 300.0), ('c', SENT, 5000.0, 5000.0)]),
    (
        "tcp/connect_failures",
        &[('c', "tcp_connect_failed", 2.0, 80.0), ('c', r#"tcp_connections{kind="active"}"#, 50.0, 50.0)],
    ),
    ("tcp/connect_slow", &[('h', "tcp_connect_latency", 200e6, 1.2e9)]),
    (
        "tcp/listen_overflow",
        &[
            ('c', "tcp_listen_overflows", 0.0, 4.0),
            ('c', r#"network_drop_reason{reason="tcp_listen_overflow"}"#, 0.0, 4.0),
        ],
    ),
    ("tcp/syn_queue_full", &[('c', "tcp_syn_cookies", 0.0, 100.0)]),
    (
        "syscall/storm",
        &[
            ('c', r#"cgroup_syscall{op="read",id="7",name="/a"}"#, 150_000.0, 900_000.0),
            ('c', USAGE, 0.9e9, 0.9e9),
        ],
    ),
    ("syscall/lock_contention", &[CORES, ('c', LOCKS, 20_000.0, 200_000.0)]),
    ("syscall/yield_spin", &[CORES, ('c', r#"syscall{op="yield"}"#, 1000.0, 800_000.0)]),
];

/// A machine on which something is wrong for so many seconds.
fn machine(lines: &[Line], wrong: i64) -> Memory {
    let bounds = h2_bounds(3, 64).unwrap();
    let mut memory = Memory::default();
    for &(kind, selector, well, ill) in lines {
        let matchers = promql::parse_selector(selector).unwrap();
        let labels = Labels::new(matchers.iter().map(|one| (one.name.to_string(), one.value().to_string())));
        let mut sum = 1000.0;
        let mut counts = BTreeMap::new();
        for second in 0..LENGTH {
            let now = if (FROM..FROM + wrong).contains(&second) { ill } else { well };
            let sample = match kind {
                'g' => Sample::Float(now),
                'c' => {
                    sum += now;
                    Sample::Float(sum)
                }
                _ => {
                    *counts.entry(bounds.partition_point(|bound| *bound < now)).or_insert(0) += 500;
                    let counts = counts.iter().map(|(&at, &count)| (at, count));
                    Sample::Histogram(Arc::new(FloatHistogram::from_h2(&bounds, counts)))
                }
            };
            memory.append(&labels, second * SECOND, sample);
        }
    }
    memory
}

/// What a built-in diagnosis says of a machine.
fn told(id: &str, memory: &Memory) -> Diagnosed {
    let mut definitions = Definitions::default();
    built_in::all().into_iter().for_each(|(plugin, checked)| definitions.take(plugin, "built-in", checked));
    definitions.known.retain(|known| id == format!("{}/{}", known.plugin, known.diagnosis.id));
    assert_eq!(definitions.known.len(), 1, "{id}");
    let told = asked(memory, &definitions, span(0, LENGTH - 1));
    assert_eq!(told.not_asked, [], "{id}");
    told
}

#[test]
fn there_is_a_case_for_each() {
    let all = built_in::all();
    let ids = all.iter().flat_map(|(plugin, checked)| {
        checked.diagnoses.iter().map(move |diagnosis| format!("{plugin}/{}", diagnosis.id))
    });
    let mut cases: Vec<_> = CASES.iter().map(|(id, _)| (*id).to_string()).collect();
    let mut ids: Vec<String> = ids.collect();
    cases.sort();
    ids.sort();
    assert_eq!(cases, ids);
}

#[test]
fn each_holds_while_something_is_wrong() {
    for (id, lines) in CASES {
        let wrong = 50;
        let told = told(id, &machine(lines, wrong));
        let [finding] = &told.held[..] else { panic!("{id} does not hold") };
        let [held] = &finding.times[..] else { panic!("{id}: {:?}", finding.times) };
        let (start, end) = (held.start / SECOND, held.end / SECOND);
        assert!((FROM..FROM + 4).contains(&start), "{id}: {held:?}");
        assert!((FROM + wrong - 1..FROM + wrong + 4).contains(&end), "{id}: {held:?}");
        assert!(held.worst.is_some(), "{id}");
    }
}

#[test]
fn none_holds_on_a_machine_that_is_busy_and_well() {
    for (id, lines) in CASES {
        assert_eq!(told(id, &machine(lines, 0)).held, [], "{id}");
    }
    // Nor on one that has all of that at once.
    let all = CASES.iter().flat_map(|(_, lines)| lines.iter());
    let named: BTreeMap<&str, Line> = all.map(|line| (line.1, *line)).collect();
    let memory = machine(&named.into_values().collect::<Vec<_>>(), 0);
    for (id, _) in CASES {
        assert_eq!(told(id, &memory).held, [], "{id}");
    }
}

#[test]
fn what_is_soon_over_is_no_fault() {
    let all = built_in::all();
    for (id, lines) in CASES {
        let (plugin, name) = id.split_once('/').unwrap();
        let (_, checked) = all.iter().find(|(known, _)| *known == plugin).unwrap();
        let hold = checked.diagnoses.iter().find(|diagnosis| diagnosis.id == name).unwrap().hold.unwrap();
        let brief = hold.as_secs() as i64 / 3;
        if brief > 0 {
            assert_eq!(told(id, &machine(lines, brief)).held, [], "{id}");
        }
    }
}

/// Who is throttled waits too: it is said once, and as what it is.
#[test]
fn throttling_is_not_contention() {
    let lines = [
        CORES,
        IDLE,
        ('c', WAIT, 0.1e9, 2e9),
        ('c', USAGE, 0.5e9, 0.5e9),
        ('h', RUNQUEUE, 1e6, 80e6),
        ('c', r#"scheduler_runqueue_wait{id="0"}"#, 0.1e9, 4e9),
        ('c', THROTTLED, 0.0, 9.0),
        ('c', r#"cgroup_cpu_bandwidth_periods{id="7",name="/a"}"#, 10.0, 10.0),
    ];
    let memory = machine(&lines, 40);
    assert_eq!(told("cpu/throttled", &memory).held.len(), 1);
    for id in ["scheduler/contention", "scheduler/latency_with_idle_cpus", "scheduler/runqueue_saturation"] {
        assert_eq!(told(id, &memory).held, [], "{id}");
    }
}
