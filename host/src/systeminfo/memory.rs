//! Memory: how much, and how it is spread over NUMA nodes.

use serde::Serialize;

use super::SystemInfo;
use super::sysfs::Tree;

pub const NODES: &str = "sys/devices/system/node";

/// The memory of one NUMA node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct MemoryNode {
    pub node: usize,
    pub total_bytes: Option<u64>,
    /// Relative cost of reaching the memory of each online node from this one; 10 is local.
    pub distances: Vec<u32>,
}

/// Pages set aside for explicit use, of the default size.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct HugePages {
    pub size_bytes: u64,
    pub total: u64,
}

pub fn fill(tree: &Tree, info: &mut SystemInfo) {
    let meminfo = tree.text("proc/meminfo").unwrap_or_default();
    let bytes = |key| value(&meminfo, key)?.checked_mul(1024);
    info.memory_total_bytes = bytes("MemTotal:");
    info.swap_total_bytes = bytes("SwapTotal:");
    info.huge_pages = bytes("Hugepagesize:")
        .zip(value(&meminfo, "HugePages_Total:"))
        .map(|(size_bytes, total)| HugePages { size_bytes, total });
    info.transparent_huge_pages = tree
        .text("sys/kernel/mm/transparent_hugepage/enabled")
        .and_then(|modes| chosen(&modes).map(str::to_owned));

    info.memory_nodes = tree.numbered(NODES, "node").into_iter().map(|id| node(tree, id)).collect();
    info.numa_nodes = Some(info.memory_nodes.len()).filter(|&nodes| nodes > 0);
}

fn node(tree: &Tree, node: usize) -> MemoryNode {
    let meminfo = tree.text(&format!("{NODES}/node{node}/meminfo")).unwrap_or_default();
    let distances = tree.text(&format!("{NODES}/node{node}/distance")).unwrap_or_default();
    MemoryNode {
        node,
        total_bytes: value(&meminfo, "MemTotal:").and_then(|kib| kib.checked_mul(1024)),
        distances: distances.split_whitespace().flat_map(str::parse).collect(),
    }
}

/// The number behind `key`, wherever in its line that stands: a node's file puts
/// `Node 0` before it.
fn value(meminfo: &str, key: &str) -> Option<u64> {
    meminfo.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip_while(|&word| word != key);
        words.next()?;
        words.next()?.parse().ok()
    })
}

/// The mode in brackets: `always [madvise] never`.
fn chosen(modes: &str) -> Option<&str> {
    Some(modes.split_once('[')?.1.split_once(']')?.0)
}
