//! What machine this is: CPUs, caches, memory, network interfaces, GPUs.
//!
//! Everything comes from files under `/proc` and `/sys`, and any of them may be
//! missing, unreadable or odd: in a container, on another architecture, with a
//! CPU offline. Collecting therefore never fails; what is not known is `null`
//! (or an empty list), never a guess.
//!
//! The first part of [`SystemInfo`] has the names and shapes that existing
//! recordings and viewers know. Fields may be added behind them.

mod cpu;
mod devices;
mod memory;
mod sysfs;
#[cfg(test)]
mod tests;

use std::path::Path;

use serde::Serialize;

pub use cpu::{Cache, Frequency, LogicalCpu};
pub use devices::{Gpu, Nic};
pub use memory::{HugePages, MemoryNode};
use sysfs::Tree;

/// The body of `/systeminfo`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SystemInfo {
    /// Operating system, as Rust names it: `linux`, `macos`, ...
    pub os: String,
    /// The text of `/proc/version`.
    pub kernel: Option<String>,
    /// Architecture the agent was built for: `x86_64`, `aarch64`, ...
    pub arch: String,
    pub hostname: Option<String>,
    /// The model that the CPU reports, or the names of its kinds of cores.
    pub cpu_model: Option<String>,
    /// `GenuineIntel`, `AuthenticAMD`, `ARM`, ...
    pub cpu_vendor: Option<String>,
    /// Logical CPUs online.
    pub cpus: Option<usize>,
    /// Physical cores with a CPU online.
    pub cores: Option<usize>,
    /// Sockets with a CPU online.
    pub packages: Option<usize>,
    /// Whether some core runs more than one thread.
    pub smt: Option<bool>,
    pub memory_total_bytes: Option<u64>,
    pub numa_nodes: Option<usize>,
    /// One entry per online CPU, ascending.
    pub cpu_topology: Vec<LogicalCpu>,
    pub caches: Vec<Cache>,
    /// Interfaces with a device behind them: no loopback, bridge or veth.
    pub nics: Vec<Nic>,
    pub gpus: Vec<Gpu>,

    /// CPUs plugged in, online or not.
    pub cpus_present: Option<usize>,
    pub cpu_frequency: Option<Frequency>,
    pub memory_nodes: Vec<MemoryNode>,
    pub swap_total_bytes: Option<u64>,
    pub huge_pages: Option<HugePages>,
    /// `always`, `madvise` or `never`.
    pub transparent_huge_pages: Option<String>,
    /// The name the distribution gives itself.
    pub distribution: Option<String>,
    /// Maker and product as the firmware has them; the instance type in most clouds.
    pub machine: Option<Machine>,
}

/// What the firmware (DMI, or the device tree) says about the whole machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Machine {
    pub vendor: Option<String>,
    pub product: Option<String>,
}

/// Describes the machine whose file systems hang below `root`: `/` outside of
/// tests. Reads a few thousand small files on a machine with hundreds of CPUs,
/// so the answer is worth keeping.
pub fn collect(root: &Path) -> SystemInfo {
    let tree = Tree::new(root);
    let mut info = SystemInfo {
        os: std::env::consts::OS.to_owned(),
        kernel: tree.text("proc/version"),
        arch: std::env::consts::ARCH.to_owned(),
        hostname: tree.text("proc/sys/kernel/hostname"),
        distribution: distribution(&tree),
        machine: machine(&tree),
        nics: devices::nics(&tree),
        gpus: devices::gpus(&tree),
        ..SystemInfo::default()
    };
    cpu::fill(&tree, &mut info);
    memory::fill(&tree, &mut info);
    if root == Path::new("/") {
        fill_from_std(&mut info);
    }
    info
}

/// What the standard library knows where there is no `/proc` and `/sys`.
fn fill_from_std(info: &mut SystemInfo) {
    if info.cpus.is_none() {
        info.cpus = std::thread::available_parallelism().ok().map(Into::into);
    }
    if info.hostname.is_none() {
        let answer = std::process::Command::new("hostname").output().ok();
        info.hostname =
            answer.filter(|answer| answer.status.success()).and_then(|answer| sysfs::cleaned(&answer.stdout));
    }
}

fn distribution(tree: &Tree) -> Option<String> {
    let release = tree.text("etc/os-release").or_else(|| tree.text("usr/lib/os-release"))?;
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    let name = name.trim().trim_matches(['"', '\'']);
    (!name.is_empty()).then(|| name.to_owned())
}

fn machine(tree: &Tree) -> Option<Machine> {
    let machine = Machine {
        vendor: tree.text("sys/class/dmi/id/sys_vendor"),
        product: tree
            .text("sys/class/dmi/id/product_name")
            .or_else(|| tree.text("sys/firmware/devicetree/base/model")),
    };
    (machine != Machine::default()).then_some(machine)
}
