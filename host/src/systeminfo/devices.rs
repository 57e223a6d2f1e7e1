//! Network interfaces and GPUs.

use serde::Serialize;

use super::sysfs::Tree;

const INTERFACES: &str = "sys/class/net";
const PCI: &str = "sys/bus/pci/devices";

/// A network interface with a device behind it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Nic {
    pub name: String,
    /// Mbit/s; unknown while the link is down, and for most virtual devices.
    pub speed: Option<u64>,
    pub numa_node: Option<usize>,
    pub driver: Option<String>,
    pub mtu: Option<u64>,
    pub receive_queues: usize,
    pub transmit_queues: usize,
}

/// A GPU on the PCI bus.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Gpu {
    pub index: usize,
    /// As its driver calls it; the PCI device number otherwise.
    pub name: Option<String>,
    pub vendor: String,
    /// Known for AMD's driver only, without asking vendor libraries.
    pub memory_bytes: Option<u64>,
    pub driver: Option<String>,
    pub numa_node: Option<usize>,
}

/// The interfaces that have a device, by name. A container host has hundreds of
/// the other sort (bridges, veth), which say nothing about the machine.
pub fn nics(tree: &Tree) -> Vec<Nic> {
    let names = tree.names(INTERFACES);
    names.into_iter().filter_map(|name| nic(tree, name)).collect()
}

fn nic(tree: &Tree, name: String) -> Option<Nic> {
    let path = format!("{INTERFACES}/{name}");
    if !tree.path(&format!("{path}/device")).exists() {
        return None;
    }
    // A virtio device has no node of its own; the PCI device that carries it has.
    let node = |device| tree.id(&format!("{path}/{device}/numa_node"));
    Some(Nic {
        speed: tree.number(&format!("{path}/speed")).filter(|&speed| speed > 0),
        numa_node: node("device").or_else(|| node("device/..")),
        driver: tree.link_name(&format!("{path}/device/driver")),
        mtu: tree.number(&format!("{path}/mtu")),
        receive_queues: tree.numbered(&format!("{path}/queues"), "rx-").len(),
        transmit_queues: tree.numbered(&format!("{path}/queues"), "tx-").len(),
        name,
    })
}

/// Display and 3D controllers of the vendors that make GPUs; what a server's
/// management controller or a hypervisor shows as a screen is none.
pub fn gpus(tree: &Tree) -> Vec<Gpu> {
    let addresses = tree.names(PCI);
    let found = addresses.iter().filter_map(|address| gpu(tree, address));
    found.enumerate().map(|(index, gpu)| Gpu { index, ..gpu }).collect()
}

fn gpu(tree: &Tree, address: &str) -> Option<Gpu> {
    let file = |name| format!("{PCI}/{address}/{name}");
    if !tree.text(&file("class"))?.starts_with("0x03") {
        return None;
    }
    let vendor = match tree.text(&file("vendor"))?.as_str() {
        "0x10de" => "NVIDIA",
        "0x1002" => "AMD",
        "0x8086" => "Intel",
        _ => return None,
    };
    let name = tree
        .text(&file("product_name"))
        .or_else(|| nvidia_model(tree, address))
        .or_else(|| Some(format!("device {}", tree.text(&file("device"))?)));
    Some(Gpu {
        index: 0,
        name,
        vendor: vendor.to_owned(),
        memory_bytes: tree.number(&file("mem_info_vram_total")),
        driver: tree.link_name(&file("driver")),
        numa_node: tree.id(&file("numa_node")),
    })
}

fn nvidia_model(tree: &Tree, address: &str) -> Option<String> {
    let information = tree.text(&format!("proc/driver/nvidia/gpus/{address}/information"))?;
    let model = information.lines().find_map(|line| line.strip_prefix("Model:"))?;
    Some(model.trim().to_owned())
}
