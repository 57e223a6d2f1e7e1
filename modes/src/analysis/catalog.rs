//! Which signals there are: for each resource what it is used for, where work waits, what fails, how
//! long things take (the USE method, Gregg 2013, with traffic and latency of the four golden signals,
//! Beyer et al. 2016).
//!
//! `$interval` is the window of a rate, `$quantile` a quantile of a histogram, `$with` the place where
//! the labels of one series go when that series alone is cited.

use serde::Serialize;

/// What a signal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Resource {
    Cpu,
    Scheduler,
    Memory,
    Blockio,
    Network,
    Tcp,
    Syscall,
    Cgroup,
    Agent,
    Other,
}

impl Resource {
    pub const ALL: [Self; 10] = [
        Self::Cpu,
        Self::Scheduler,
        Self::Memory,
        Self::Blockio,
        Self::Network,
        Self::Tcp,
        Self::Syscall,
        Self::Cgroup,
        Self::Agent,
        Self::Other,
    ];

    /// As it is written: `cpu`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Scheduler => "scheduler",
            Self::Memory => "memory",
            Self::Blockio => "blockio",
            Self::Network => "network",
            Self::Tcp => "tcp",
            Self::Syscall => "syscall",
            Self::Cgroup => "cgroup",
            Self::Agent => "agent",
            Self::Other => "other",
        }
    }

    /// By the first word of a metric's name.
    pub(super) fn of_metric(name: &str) -> Self {
        match name.split('_').next().unwrap_or_default() {
            "cpu" | "softirq" | "irq" => Self::Cpu,
            "scheduler" => Self::Scheduler,
            "memory" => Self::Memory,
            "blockio" => Self::Blockio,
            "network" => Self::Network,
            "tcp" => Self::Tcp,
            "syscall" => Self::Syscall,
            "cgroup" | "task" => Self::Cgroup,
            "rezolus" => Self::Agent,
            _ => Self::Other,
        }
    }
}

/// What a signal says of its resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Aspect {
    Utilisation,
    Saturation,
    Errors,
    Traffic,
    Latency,
    /// What is none of these: how the resource is laid out.
    State,
}

/// Which way is trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    High,
    Low,
    Either,
}

/// A signal before there is a recording.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spec {
    pub id: &'static str,
    pub resource: Resource,
    pub aspect: Aspect,
    pub title: &'static str,
    pub query: &'static str,
    pub unit: &'static str,
    /// The least change that matters to who runs the machine, in the signal's unit,
    pub matter: f64,
    /// and as a part of what it is normally.
    pub relative: f64,
    /// How much a change says of this resource rather than of another one whose work passes through
    /// it. A full disk makes tasks switch; switching tasks fill no disk.
    pub weight: f64,
    pub worse: Direction,
}

const fn spec(
    id: &'static str,
    (resource, aspect): (Resource, Aspect),
    title: &'static str,
    query: &'static str,
    (unit, matter, relative): (&'static str, f64, f64),
    weight: f64,
    worse: Direction,
) -> Spec {
    Spec { id, resource, aspect, title, query, unit, matter, relative, weight, worse }
}

use Aspect::{Errors, Latency, Saturation, State, Traffic, Utilisation};
use Direction::{Either, High, Low};
use Resource::{Agent, Blockio, Cgroup, Cpu, Memory, Network, Scheduler, Syscall, Tcp};

const MEBI: f64 = 1048576.0;
const MILLI: f64 = 1e6;

/// All of them. `matter` is chosen so that a change of so much, held for several seconds, is worth
/// somebody's attention on a machine of any size; `relative` keeps big machines from being held to
/// the floors of small ones.
#[rustfmt::skip]
pub(super) const ALL: &[Spec] = &[
    spec("cpu_busy", (Cpu, Utilisation), "CPU time in use, of all there is",
        r#"sum(rate(cpu_usage{state=~"user|nice|system",$with}[$interval])) / 1e9 / scalar(cpu_cores)"#, ("ratio", 0.1, 0.3), 1.0, High),
    spec("cpu_busiest", (Cpu, Utilisation), "CPU time in use on the busiest CPU",
        r#"max(sum by (id) (rate(cpu_usage{state=~"user|nice|system",$with}[$interval]))) / 1e9"#, ("ratio", 0.25, 0.4), 0.6, High),
    spec("cpu_system", (Cpu, Utilisation), "CPU time in the kernel, of all there is",
        r#"sum(rate(cpu_usage{state="system",$with}[$interval])) / 1e9 / scalar(cpu_cores)"#, ("ratio", 0.1, 0.4), 0.5, High),
    spec("cpu_steal", (Cpu, Saturation), "CPU time taken by the hypervisor, of all there is",
        r#"sum(rate(cpu_usage{state="steal",$with}[$interval])) / 1e9 / scalar(cpu_cores)"#, ("ratio", 0.05, 0.5), 1.0, High),
    spec("cpu_pressure", (Cpu, Saturation), "Time in which a task waited for a CPU",
        r#"sum by (kind) (rate(pressure_stalled{resource="cpu",$with}[$interval])) / 1e9"#, ("ratio", 0.1, 0.4), 1.0, High),
    spec("cpu_softirq", (Cpu, Utilisation), "CPU time in soft interrupts, of all there is",
        r#"sum(rate(softirq_time{$with}[$interval])) / 1e9 / scalar(cpu_cores)"#, ("ratio", 0.05, 0.5), 0.5, High),
    spec("cpu_migrations", (Cpu, State), "Moves of tasks between CPUs",
        r#"sum(rate(cpu_migrations{direction="to",$with}[$interval]))"#, ("events/s", 1000.0, 1.0), 0.2, High),
    spec("cpu_ipc", (Cpu, State), "Instructions per cycle",
        "sum(rate(cpu_instructions{$with}[$interval])) / sum(rate(cpu_cycles{$with}[$interval]))", ("count", 0.4, 0.4), 0.2, Low),

    spec("scheduler_waiting", (Scheduler, Saturation), "Runnable tasks without a CPU, on average",
        "sum(rate(scheduler_runqueue_wait{$with}[$interval])) / 1e9", ("count", 0.5, 0.5), 0.6, High),
    spec("scheduler_latency", (Scheduler, Latency), "Time from runnable to running",
        "histogram_quantile($quantile, sum(rate(scheduler_runqueue_latency{$with}[$interval])))", ("nanoseconds", 2.0 * MILLI, 1.0), 0.6, High),
    spec("scheduler_switches", (Scheduler, Traffic), "Switches away from tasks",
        "sum by (kind) (rate(scheduler_context_switch{$with}[$interval]))", ("events/s", 5000.0, 0.7), 0.3, High),
    spec("scheduler_forks", (Scheduler, Traffic), "Processes and threads created",
        "sum(rate(scheduler_fork{$with}[$interval]))", ("events/s", 30.0, 1.0), 1.0, High),

    spec("memory_used", (Memory, Utilisation), "Memory that programs cannot get any more, of all there is",
        "1 - memory_available{$with} / memory_total{$with}", ("ratio", 0.05, 0.1), 0.9, High),
    spec("memory_anonymous", (Memory, Utilisation), "Memory of processes",
        "sum(memory_anonymous{$with})", ("bytes", 256.0 * MEBI, 0.25), 0.6, High),
    spec("memory_slab", (Memory, Utilisation), "Memory of kernel objects",
        "sum by (slab) (memory_slab{$with})", ("bytes", 128.0 * MEBI, 0.5), 0.5, High),
    spec("memory_committed", (Memory, Utilisation), "Memory promised to processes",
        "sum(memory_committed{$with})", ("bytes", 1024.0 * MEBI, 0.5), 0.3, High),
    spec("memory_dirty", (Memory, State), "Page cache waiting to be written",
        "sum(memory_dirty{$with})", ("bytes", 256.0 * MEBI, 1.0), 0.2, High),
    spec("memory_pressure", (Memory, Saturation), "Time in which a task waited for memory",
        r#"sum by (kind) (rate(pressure_stalled{resource="memory",$with}[$interval])) / 1e9"#, ("ratio", 0.02, 0.5), 1.2, High),
    spec("memory_scanned", (Memory, Saturation), "Pages looked at by reclaim",
        "sum by (reclaimer) (rate(memory_pages_scanned{$with}[$interval]))", ("pages/s", 2000.0, 1.0), 1.1, High),
    spec("memory_stalls", (Memory, Saturation), "Allocations that had to reclaim memory themselves",
        "sum(rate(memory_allocation_stalls{$with}[$interval]))", ("events/s", 5.0, 1.0), 1.2, High),
    spec("memory_stalled_tasks", (Memory, Saturation), "Tasks stalled to make memory free, on average",
        "sum by (name) (rate(cgroup_memory_stall_time{$with}[$interval])) / 1e9", ("count", 0.05, 0.5), 1.1, High),
    spec("memory_refaults", (Memory, Saturation), "Pages read in again soon after they were thrown out",
        "sum by (kind) (rate(memory_refaults{$with}[$interval]))", ("pages/s", 200.0, 1.0), 1.1, High),
    spec("memory_swapped", (Memory, Saturation), "Pages swapped",
        "sum by (direction) (rate(memory_swapped{$with}[$interval]))", ("pages/s", 100.0, 1.0), 1.1, High),
    spec("memory_major_faults", (Memory, Saturation), "Page faults that had to read from a disk",
        "sum(rate(memory_page_faults_major{$with}[$interval]))", ("events/s", 100.0, 1.0), 0.7, High),
    spec("memory_faults", (Memory, Traffic), "Page faults",
        "sum(rate(memory_page_faults{$with}[$interval]))", ("events/s", 20000.0, 1.0), 0.3, High),
    spec("memory_oom_kills", (Memory, Errors), "Processes killed because memory ran out",
        "sum(rate(memory_oom_kills{$with}[$interval]))", ("events/s", 0.05, 1.0), 1.3, High),

    spec("blockio_busy", (Blockio, Utilisation), "Time in which a device had work",
        "sum by (device) (rate(blockio_device_busy{$with}[$interval])) / 1e9", ("ratio", 0.2, 0.5), 1.0, High),
    spec("blockio_queue", (Blockio, Saturation), "Operations of a device not completed, on average",
        "sum by (device) (rate(blockio_device_queued{$with}[$interval])) / 1e9", ("count", 1.0, 0.7), 1.0, High),
    spec("blockio_pressure", (Blockio, Saturation), "Time in which a task waited for I/O",
        r#"sum by (kind) (rate(pressure_stalled{resource="io",$with}[$interval])) / 1e9"#, ("ratio", 0.1, 0.5), 0.9, High),
    spec("blockio_operations", (Blockio, Traffic), "Requests completed",
        "sum by (op) (rate(blockio_operations{$with}[$interval]))", ("operations/s", 200.0, 1.0), 0.9, High),
    spec("blockio_bytes", (Blockio, Traffic), "Bytes read and written",
        "sum by (op) (rate(blockio_bytes{$with}[$interval]))", ("bytes/s", 20.0 * MEBI, 1.0), 0.9, High),
    spec("blockio_latency", (Blockio, Latency), "Time from issue to completion",
        "histogram_quantile($quantile, sum by (op) (rate(blockio_latency{$with}[$interval])))", ("nanoseconds", 5.0 * MILLI, 1.0), 1.0, High),
    spec("blockio_queue_latency", (Blockio, Latency), "Time from making to issue of a request",
        "histogram_quantile($quantile, sum by (op) (rate(blockio_queue_latency{$with}[$interval])))", ("nanoseconds", 5.0 * MILLI, 1.0), 0.9, High),
    spec("blockio_errors", (Blockio, Errors), "Requests that failed",
        "sum by (op) (rate(blockio_errors{$with}[$interval]))", ("events/s", 0.2, 1.0), 1.3, High),
    // A driver gives requests back when its device's queue is full; that is no error.
    spec("blockio_requeues", (Blockio, Saturation), "Requests given back by a driver",
        "sum by (op) (rate(blockio_requeues{$with}[$interval]))", ("events/s", 5.0, 1.0), 0.6, High),

    spec("network_bytes", (Network, Traffic), "Bytes received and transmitted",
        "sum by (direction) (rate(network_bytes{$with}[$interval]))", ("bytes/s", 10.0 * MEBI, 1.0), 0.7, Either),
    spec("network_packets", (Network, Traffic), "Packets received and transmitted",
        "sum by (direction) (rate(network_packets{$with}[$interval]))", ("packets/s", 5000.0, 1.0), 0.6, Either),
    spec("network_drops", (Network, Errors), "Packets that the kernel dropped",
        "sum(rate(network_drop{$with}[$interval]))", ("packets/s", 5.0, 1.0), 1.0, High),
    spec("network_drop_reasons", (Network, Errors), "Packets that the kernel dropped, by reason",
        r#"sum by (reason) (rate(network_drop_reason{reason!~"no_socket|socket_close|unix_disconnect|queue_purge|not_specified",$with}[$interval]))"#, ("packets/s", 5.0, 1.0), 1.0, High),
    spec("network_interface_drops", (Network, Errors), "Packets that an interface dropped",
        "sum by (interface, direction) (rate(network_interface_drops{$with}[$interval]))", ("packets/s", 5.0, 1.0), 1.1, High),
    spec("network_interface_errors", (Network, Errors), "Packets damaged or not sent",
        "sum by (interface, direction) (rate(network_interface_errors{$with}[$interval]))", ("packets/s", 1.0, 1.0), 1.2, High),
    spec("network_busy", (Network, Saturation), "Packets that a driver refused for now",
        "sum(rate(network_transmit_busy{$with}[$interval]))", ("packets/s", 5.0, 1.0), 1.1, High),
    spec("network_stuck", (Network, Errors), "Transmit queues found stuck",
        "sum(rate(network_transmit_timeout{$with}[$interval]))", ("events/s", 0.05, 1.0), 1.2, High),

    spec("tcp_bytes", (Tcp, Traffic), "Payload that applications sent and took",
        "sum by (direction) (rate(tcp_bytes{$with}[$interval]))", ("bytes/s", 10.0 * MEBI, 1.0), 0.5, Either),
    spec("tcp_segments", (Tcp, Traffic), "Segments",
        "sum by (direction) (rate(tcp_segments{$with}[$interval]))", ("operations/s", 5000.0, 1.0), 0.5, Either),
    spec("tcp_retransmits", (Tcp, Errors), "Segments sent again",
        "sum(rate(tcp_retransmit{$with}[$interval]))", ("events/s", 2.0, 1.0), 1.2, High),
    spec("tcp_synack_retransmits", (Tcp, Errors), "Answers to connects sent again",
        "sum(rate(tcp_synack_retransmit{$with}[$interval]))", ("events/s", 1.0, 1.0), 1.1, High),
    spec("tcp_timeouts", (Tcp, Errors), "Retransmission timeouts",
        "sum(rate(tcp_timeouts{$with}[$interval]))", ("events/s", 1.0, 1.0), 1.2, High),
    spec("tcp_connect_failed", (Tcp, Errors), "Connects that failed",
        "sum(rate(tcp_connect_failed{$with}[$interval]))", ("events/s", 1.0, 1.0), 1.2, High),
    spec("tcp_resets", (Tcp, Errors), "Connections reset",
        "sum by (direction) (rate(tcp_reset{$with}[$interval]))", ("events/s", 10.0, 1.0), 0.8, High),
    spec("tcp_connections", (Tcp, Traffic), "Connections opened",
        "sum by (kind) (rate(tcp_connections{$with}[$interval]))", ("events/s", 100.0, 1.0), 0.5, High),
    spec("tcp_listen_overflows", (Tcp, Saturation), "Connects turned away by full queues",
        "sum(rate(tcp_listen_overflows{$with}[$interval]))", ("events/s", 0.5, 1.0), 1.2, High),
    spec("tcp_backlog_drops", (Tcp, Saturation), "Segments dropped by full backlogs",
        "sum(rate(tcp_backlog_drops{$with}[$interval]))", ("events/s", 1.0, 1.0), 1.0, High),
    spec("tcp_established", (Tcp, Utilisation), "Established connections",
        "sum(tcp_established{$with})", ("count", 200.0, 0.5), 0.4, High),
    spec("tcp_connect_latency", (Tcp, Latency), "Time that connects took",
        "histogram_quantile($quantile, sum(rate(tcp_connect_latency{$with}[$interval])))", ("nanoseconds", 20.0 * MILLI, 1.0), 0.9, High),
    spec("tcp_round_trip", (Tcp, Latency), "Smoothed round-trip time",
        "histogram_quantile($quantile, sum(rate(tcp_srtt{$with}[$interval])))", ("nanoseconds", 10.0 * MILLI, 1.0), 0.9, High),
    spec("tcp_read_latency", (Tcp, Latency), "Time from arrival to the application's read",
        "histogram_quantile($quantile, sum(rate(tcp_packet_latency{$with}[$interval])))", ("nanoseconds", 20.0 * MILLI, 1.0), 0.3, High),

    spec("syscalls", (Syscall, Traffic), "System calls whose work is the call itself",
        r#"sum by (op) (rate(syscall{op=~"query|time|yield|other|lock|ipc|timer",$with}[$interval]))"#, ("operations/s", 10000.0, 1.0), 1.0, High),
    spec("syscalls_of_work", (Syscall, Traffic), "System calls that another resource serves",
        r#"sum by (op) (rate(syscall{op=~"read|write|poll|sleep|socket|filesystem|memory|event",$with}[$interval]))"#, ("operations/s", 20000.0, 1.0), 0.6, High),
    spec("syscalls_of_processes", (Syscall, Traffic), "System calls that make, end and signal processes",
        r#"sum by (op) (rate(syscall{op="process",$with}[$interval]))"#, ("operations/s", 2000.0, 1.0), 0.4, High),
    spec("syscall_lock_latency", (Syscall, Latency), "Time in futex calls",
        r#"histogram_quantile($quantile, sum by (op) (rate(syscall_latency{op="lock",$with}[$interval])))"#, ("nanoseconds", 20.0 * MILLI, 2.0), 0.3, High),
    spec("syscall_latency", (Syscall, Latency), "Time in system calls that do not wait by nature",
        r#"histogram_quantile($quantile, sum by (op) (rate(syscall_latency{op=~"filesystem|memory|query|time",$with}[$interval])))"#, ("nanoseconds", 5.0 * MILLI, 2.0), 0.3, High),

    spec("cgroup_throttled", (Cgroup, Saturation), "CPU time withheld by a cgroup's quota",
        "sum by (name) (rate(cgroup_cpu_bandwidth_throttled_time{$with}[$interval])) / 1e9", ("cores", 0.05, 0.5), 1.2, High),
    spec("cgroup_throttled_periods", (Cgroup, Saturation), "Periods in which a cgroup used up its quota",
        "sum by (name) (rate(cgroup_cpu_bandwidth_throttled_periods{$with}[$interval])) / sum by (name) (rate(cgroup_cpu_bandwidth_periods{$with}[$interval]))", ("ratio", 0.1, 0.5), 1.2, High),
    spec("cgroup_cpu", (Cgroup, Utilisation), "CPU time of a cgroup",
        "sum by (name) (rate(cgroup_cpu_usage{$with}[$interval])) / 1e9", ("cores", 0.3, 0.5), 0.3, High),
    spec("cgroup_waiting", (Cgroup, Saturation), "Runnable tasks of a cgroup without a CPU",
        "sum by (name) (rate(cgroup_scheduler_runqueue_wait{$with}[$interval])) / 1e9", ("count", 0.5, 0.7), 0.3, High),
    spec("cgroup_syscalls", (Cgroup, Traffic), "System calls of a cgroup",
        "sum by (name) (rate(cgroup_syscall{$with}[$interval]))", ("operations/s", 20000.0, 1.0), 0.2, High),
    spec("cgroup_oom_victims", (Cgroup, Errors), "Processes of a cgroup that were killed for memory",
        "sum by (name) (rate(cgroup_memory_oom_victims{$with}[$interval]))", ("events/s", 0.05, 1.0), 1.0, High),

    spec("agent_cpu", (Agent, Utilisation), "CPU time of the agent",
        "sum(rate(rezolus_cpu_usage{$with}[$interval])) / 1e9", ("cores", 0.2, 1.0), 0.5, High),
    spec("agent_memory", (Agent, Utilisation), "Resident memory of the agent",
        "sum(rezolus_memory_usage_resident_set_size{$with})", ("bytes", 32.0 * MEBI, 0.5), 0.5, High),
];
