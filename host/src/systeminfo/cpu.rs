//! CPUs: which are online, how they are grouped, what they are called, their caches.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader};

use serde::Serialize;

use super::SystemInfo;
use super::sysfs::{Tree, parse_list};

mod arm;

const CPUS: &str = "sys/devices/system/cpu";

/// Where one logical CPU sits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LogicalCpu {
    pub cpu: usize,
    /// The kernel's number of the core, unique within the package (not everywhere counted from 0).
    pub core: Option<usize>,
    pub die: Option<usize>,
    pub package: Option<usize>,
    pub numa_node: Option<usize>,
}

/// All caches of one level and size.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Cache {
    /// `L1d`, `L1i`, `L2`, `L3`, ...
    pub level: String,
    /// Of each instance, as the kernel writes it: `32K`.
    pub size: Option<String>,
    pub instances: usize,
    /// The CPUs that share an instance, for every instance.
    pub shared_cpus: Vec<Vec<usize>>,
}

/// Frequency scaling of the first online CPU; absent where the kernel has no say in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Frequency {
    pub driver: Option<String>,
    pub governor: Option<String>,
    pub minimum_hz: Option<u64>,
    pub maximum_hz: Option<u64>,
}

pub fn fill(tree: &Tree, info: &mut SystemInfo) {
    let model = Model::read(tree);
    info.cpu_model = model.name;
    info.cpu_vendor = model.vendor;

    let online = online(tree, model.listed);
    let present = tree.list(&format!("{CPUS}/present")).map(|cpus| cpus.len());
    info.cpus_present = present.filter(|&present| present >= online.len());
    if online.is_empty() {
        return;
    }
    info.cpus = Some(online.len());
    info.cpu_frequency = frequency(tree, online[0]);
    info.caches = caches(tree, &online);
    info.cpu_topology = topology(tree, &online);

    let threads = thread_groups(tree, &online);
    info.cores = (!threads.is_empty()).then_some(threads.len());
    info.smt = info.cores.map(|_| threads.values().any(|&threads| threads > 1));
    let packages: BTreeSet<usize> = info.cpu_topology.iter().filter_map(|cpu| cpu.package).collect();
    info.packages = (!packages.is_empty()).then_some(packages.len());
}

/// The CPUs online, from `/sys`, or, in a container without it, from `/proc/cpuinfo`.
fn online(tree: &Tree, listed: Vec<usize>) -> Vec<usize> {
    if let Some(online) = tree.list(&format!("{CPUS}/online")) {
        return online;
    }
    let numbered = tree.numbered(CPUS, "cpu");
    if numbered.is_empty() { listed } else { numbered }
}

fn topology(tree: &Tree, online: &[usize]) -> Vec<LogicalCpu> {
    let nodes = node_of_cpu(tree);
    let describe = |&cpu: &usize| {
        let id = |file| tree.id(&format!("{CPUS}/cpu{cpu}/topology/{file}"));
        LogicalCpu {
            cpu,
            core: id("core_id"),
            die: id("die_id"),
            package: id("physical_package_id"),
            numa_node: nodes.get(&cpu).copied(),
        }
    };
    online.iter().map(describe).collect()
}

fn node_of_cpu(tree: &Tree) -> BTreeMap<usize, usize> {
    let mut nodes = BTreeMap::new();
    for node in tree.numbered(super::memory::NODES, "node") {
        let cpus = tree.list(&format!("{}/node{node}/cpulist", super::memory::NODES));
        nodes.extend(cpus.unwrap_or_default().into_iter().map(|cpu| (cpu, node)));
    }
    nodes
}

/// How many threads are online in each core, by the core's first thread. Cores
/// are told apart by their threads, as core numbers repeat between packages and,
/// on some machines, between dies.
fn thread_groups(tree: &Tree, online: &[usize]) -> BTreeMap<usize, usize> {
    let mut groups = BTreeMap::new();
    for cpu in online {
        // `core_cpus_list` since 5.3, the older name everywhere.
        let siblings = tree
            .list(&format!("{CPUS}/cpu{cpu}/topology/core_cpus_list"))
            .or_else(|| tree.list(&format!("{CPUS}/cpu{cpu}/topology/thread_siblings_list")));
        if let Some(first) = siblings.and_then(|siblings| siblings.first().copied()) {
            *groups.entry(first).or_insert(0) += 1;
        }
    }
    groups
}

/// Groups the caches of all CPUs by level, kind and size.
fn caches(tree: &Tree, online: &[usize]) -> Vec<Cache> {
    let mut groups: BTreeMap<(u32, String, Option<String>), BTreeSet<Vec<usize>>> = BTreeMap::new();
    // CPUs that share a cache list it under the same index: one of them is
    // enough, which saves most of the reading on large machines.
    let mut seen: BTreeSet<(usize, usize)> = BTreeSet::new();
    for &cpu in online {
        let directory = format!("{CPUS}/cpu{cpu}/cache");
        for index in tree.numbered(&directory, "index") {
            if seen.contains(&(index, cpu)) {
                continue;
            }
            let file = |name| format!("{directory}/index{index}/{name}");
            let Some(level) = tree.number::<u32>(&file("level")) else {
                continue;
            };
            let kind = match tree.text(&file("type")).as_deref() {
                Some("Data") => "d",
                Some("Instruction") => "i",
                _ => "",
            };
            let shared = tree.list(&file("shared_cpu_list")).unwrap_or_else(|| vec![cpu]);
            seen.extend(shared.iter().map(|&sharer| (index, sharer)));
            let size = tree.text(&file("size"));
            groups.entry((level, kind.to_owned(), size)).or_default().insert(shared);
        }
    }
    let cache = |((level, kind, size), shared): ((u32, String, _), BTreeSet<_>)| Cache {
        level: format!("L{level}{kind}"),
        size,
        instances: shared.len(),
        shared_cpus: shared.into_iter().collect(),
    };
    groups.into_iter().map(cache).collect()
}

fn frequency(tree: &Tree, cpu: usize) -> Option<Frequency> {
    let file = |name| format!("{CPUS}/cpu{cpu}/cpufreq/{name}");
    let hertz = |name| tree.number::<u64>(&file(name))?.checked_mul(1000);
    let frequency = Frequency {
        driver: tree.text(&file("scaling_driver")),
        governor: tree.text(&file("scaling_governor")),
        minimum_hz: hertz("cpuinfo_min_freq"),
        maximum_hz: hertz("cpuinfo_max_freq"),
    };
    (frequency != Frequency::default()).then_some(frequency)
}

/// What `/proc/cpuinfo` says. Every architecture writes it in its own way.
#[derive(Default)]
struct Model {
    name: Option<String>,
    vendor: Option<String>,
    /// The CPUs it lists.
    listed: Vec<usize>,
}

impl Model {
    fn read(tree: &Tree) -> Self {
        match File::open(tree.path("proc/cpuinfo")) {
            Ok(file) => Self::parse(BufReader::new(file)),
            Err(_) => Self::default(),
        }
    }

    fn parse(cpuinfo: impl BufRead) -> Self {
        let mut model = Self::default();
        let mut cores = arm::Cores::default();
        for line in cpuinfo.split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            let Some((key, value)) = line.split_once(':') else {
                continue;
            };
            let (key, value) = (key.trim(), value.trim());
            match key {
                "processor" => model.listed.extend(value.parse::<usize>().ok()),
                // x86 and MIPS, PowerPC, RISC-V in this order.
                "model name" | "cpu model" | "cpu" | "uarch" => set(&mut model.name, value),
                "vendor_id" => set(&mut model.vendor, value),
                "CPU implementer" => cores.implementer(value),
                "CPU part" => cores.part(value),
                // s390 lists its CPUs by `processor 0: ...`.
                _ => model.listed.extend(listed_by_s390(key)),
            }
        }
        model.name = model.name.or_else(|| cores.names());
        model.vendor = model.vendor.or_else(|| cores.vendor());
        model
    }
}

fn listed_by_s390(key: &str) -> Option<usize> {
    parse_list(key.strip_prefix("processor ")?)?.first().copied()
}

fn set(field: &mut Option<String>, value: &str) {
    if field.is_none() && !value.is_empty() {
        *field = Some(value.to_owned());
    }
}
