//! Machines as they show themselves in `/proc` and `/sys`, laid out in a temporary folder.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::sysfs::parse_list;
use super::{Cache, Frequency, HugePages, LogicalCpu, Machine, collect};

const CPUS: &str = "sys/devices/system/cpu";
const NODES: &str = "sys/devices/system/node";

struct Fake(TempDir);

impl Fake {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn root(&self) -> &Path {
        self.0.path()
    }

    fn file(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        fs::write(path, content).expect("a file");
        self
    }

    fn link(&self, path: &str, target: &str) -> &Self {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        symlink(target, path).expect("a link");
        self
    }

    fn cpu(&self, cpu: usize, core: i32, die: i32, package: i32, threads: &str) -> &Self {
        let topology = format!("{CPUS}/cpu{cpu}/topology");
        self.file(&format!("{topology}/core_id"), format!("{core}\n"))
            .file(&format!("{topology}/die_id"), format!("{die}\n"))
            .file(&format!("{topology}/physical_package_id"), format!("{package}\n"))
            .file(&format!("{topology}/thread_siblings_list"), format!("{threads}\n"))
    }

    fn cache(&self, cpu: usize, index: usize, what: (u32, &str, &str), shared: &str) -> &Self {
        let cache = format!("{CPUS}/cpu{cpu}/cache/index{index}");
        self.file(&format!("{cache}/level"), format!("{}\n", what.0))
            .file(&format!("{cache}/type"), format!("{}\n", what.1))
            .file(&format!("{cache}/size"), format!("{}\n", what.2))
            .file(&format!("{cache}/shared_cpu_list"), format!("{shared}\n"))
    }
}

/// Two vCPUs of a small virtual machine.
fn small_vm() -> Fake {
    let fake = Fake::new();
    fake.file("proc/version", "Linux version 6.18.0 (builder@host) #1 SMP\n")
        .file("proc/sys/kernel/hostname", "vm\n")
        .file(
            "proc/cpuinfo",
            "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel name\t: AMD EPYC\n\
             cpu cores\t: 2\nflags\t\t: fpu vme\n\nprocessor\t: 1\nvendor_id\t: AuthenticAMD\n\
             model name\t: AMD EPYC\n",
        )
        .file("proc/meminfo", "MemTotal:       24684096 kB\nMemFree:        24429420 kB\n")
        .file(&format!("{CPUS}/online"), "0-1\n")
        .file(&format!("{NODES}/node0/cpulist"), "0-1\n")
        .file(&format!("{NODES}/node0/meminfo"), "Node 0 MemTotal:       24684096 kB\n")
        .file("sys/class/net/lo/mtu", "65536\n")
        .file("sys/class/net/eth0/mtu", "1500\n")
        .file("sys/class/net/eth0/speed", "-1\n")
        .file("sys/class/net/eth0/device/vendor", "0x1af4\n");
    for cpu in 0..2 {
        let this = cpu.to_string();
        fake.cpu(cpu, i32::try_from(cpu).expect("small"), 0, 0, &this)
            .cache(cpu, 0, (1, "Data", "32K"), &this)
            .cache(cpu, 1, (1, "Instruction", "32K"), &this)
            .cache(cpu, 2, (2, "Unified", "1024K"), &this)
            .cache(cpu, 3, (3, "Unified", "32768K"), "0-1");
    }
    fake
}

/// The names and shapes that recordings and viewers already rely on.
#[test]
fn keeps_the_established_shape() {
    let fake = small_vm();
    let info = serde_json::to_value(collect(fake.root())).expect("JSON");
    let expected = json!({
        "os": std::env::consts::OS,
        "kernel": "Linux version 6.18.0 (builder@host) #1 SMP",
        "arch": std::env::consts::ARCH,
        "hostname": "vm",
        "cpu_model": "AMD EPYC",
        "cpu_vendor": "AuthenticAMD",
        "cpus": 2,
        "cores": 2,
        "packages": 1,
        "smt": false,
        "memory_total_bytes": 25276514304_u64,
        "numa_nodes": 1,
        "cpu_topology": [
            {"cpu": 0, "core": 0, "die": 0, "package": 0, "numa_node": 0},
            {"cpu": 1, "core": 1, "die": 0, "package": 0, "numa_node": 0},
        ],
        "caches": [
            {"level": "L1d", "size": "32K", "instances": 2, "shared_cpus": [[0], [1]]},
            {"level": "L1i", "size": "32K", "instances": 2, "shared_cpus": [[0], [1]]},
            {"level": "L2", "size": "1024K", "instances": 2, "shared_cpus": [[0], [1]]},
            {"level": "L3", "size": "32768K", "instances": 1, "shared_cpus": [[0, 1]]},
        ],
        "gpus": [],
    });
    for (key, value) in expected.as_object().expect("an object") {
        assert_eq!(&info[key], value, "{key}");
    }
    let nic = info["nics"][0].as_object().expect("one interface");
    let established = ["name", "speed", "numa_node", "driver"].map(|key| nic[key].clone());
    assert_eq!(established, [json!("eth0"), Value::Null, Value::Null, Value::Null]);
    assert_eq!(info["nics"].as_array().map(Vec::len), Some(1), "no loopback");
}

#[test]
fn nothing_to_read_is_nothing_known() {
    let fake = Fake::new();
    let info = collect(fake.root());
    assert_eq!((info.cpus, info.cores, info.packages, info.smt), (None, None, None, None));
    assert_eq!((info.kernel, info.hostname, info.cpu_model), (None, None, None));
    assert_eq!((info.memory_total_bytes, info.numa_nodes), (None, None));
    assert!(info.cpu_topology.is_empty() && info.caches.is_empty());
    assert!(info.nics.is_empty() && info.gpus.is_empty());
}

#[test]
fn garbage_is_nothing_known() {
    let fake = Fake::new();
    fake.file("proc/cpuinfo", b"\xff\xfe: \xff\nmodel name\nprocessor: x\n: :\n")
        .file("proc/meminfo", "MemTotal:\nSwapTotal: lots kB\nHugepagesize: 99999999999999999999 kB\n")
        .file(&format!("{CPUS}/online"), "0-4294967295\n")
        .file(&format!("{CPUS}/present"), "5-2\n")
        .file(&format!("{NODES}/nodeX/cpulist"), "0\n")
        .file("sys/class/net/eth0/device/numa_node", "\0\n")
        .file("sys/bus/pci/devices/0000:00:02.0/class", "0x030000\n");
    let info = collect(fake.root());
    assert_eq!((info.cpus, info.cpus_present, info.cpu_model), (None, None, None));
    assert_eq!((info.memory_total_bytes, info.swap_total_bytes, info.huge_pages), (None, None, None));
    assert_eq!(info.numa_nodes, None);
    assert!(info.gpus.is_empty());
}

/// Two sockets, two cores each, two threads per core; CPU 7 is offline, the core
/// numbers repeat in the second socket.
#[test]
fn sockets_threads_and_an_offline_cpu() {
    let fake = Fake::new();
    fake.file(&format!("{CPUS}/online"), "0-6\n").file(&format!("{CPUS}/present"), "0-7\n");
    for (cpu, threads) in ["0,4", "1,5", "2,6", "3", "0,4", "1,5", "2,6"].into_iter().enumerate() {
        let core = i32::try_from(cpu % 2).expect("small");
        let package = i32::from(cpu % 4 >= 2);
        fake.cpu(cpu, core, 0, package, threads);
        fake.cache(cpu, 0, (2, "Unified", "2048K"), threads);
        fake.cache(cpu, 1, (3, "Unified", "36864K"), ["0-1,4-5", "2-3,6"][usize::from(package == 1)]);
    }
    fake.file(&format!("{CPUS}/cpu7/online"), "0\n")
        .file(&format!("{NODES}/node0/cpulist"), "0-1,4-5\n")
        .file(&format!("{NODES}/node0/meminfo"), "Node 0 MemTotal:    1024 kB\n")
        .file(&format!("{NODES}/node0/distance"), "10 21\n")
        .file(&format!("{NODES}/node1/cpulist"), "2-3,6\n")
        .file(&format!("{NODES}/node1/meminfo"), "\nNode 1 MemTotal:    2048 kB\nNode 1 MemFree: 1 kB\n")
        .file(&format!("{NODES}/node1/distance"), "21 10\n");

    let info = collect(fake.root());
    assert_eq!((info.cpus, info.cpus_present), (Some(7), Some(8)));
    assert_eq!((info.cores, info.packages, info.smt), (Some(4), Some(2), Some(true)));
    let expected = LogicalCpu { cpu: 6, core: Some(0), die: Some(0), package: Some(1), numa_node: Some(1) };
    assert_eq!(info.cpu_topology[6], expected);
    assert_eq!(info.caches[0].shared_cpus, [vec![0, 4], vec![1, 5], vec![2, 6], vec![3]]);
    assert_eq!(info.caches[1].shared_cpus, [vec![0, 1, 4, 5], vec![2, 3, 6]]);
    assert_eq!(info.numa_nodes, Some(2));
    assert_eq!(info.memory_nodes[1].total_bytes, Some(2 << 20));
    assert_eq!(info.memory_nodes[1].distances, [21, 10]);
}

/// A board with two kinds of cores. Its kernel numbers neither packages nor dies.
#[test]
fn arm_cores_are_named_by_their_numbers() {
    let fake = Fake::new();
    fake.file(
        "proc/cpuinfo",
        "processor\t: 0\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: 0xd05\n\n\
         processor\t: 1\nCPU implementer\t: 0x41\nCPU part\t: 0xd05\n\n\
         processor\t: 2\nCPU implementer\t: 0x41\nCPU part\t: 0xd0b\n",
    )
    .file("sys/firmware/devicetree/base/model", "Some Board\0");
    fake.file(&format!("{CPUS}/online"), "0-2\n");
    for (cpu, threads) in ["0", "1", "2"].into_iter().enumerate() {
        fake.cpu(cpu, i32::try_from(cpu).expect("small"), -1, -1, threads);
    }
    let info = collect(fake.root());
    assert_eq!(info.cpu_model.as_deref(), Some("Cortex-A55 + Cortex-A76"));
    assert_eq!(info.cpu_vendor.as_deref(), Some("ARM"));
    assert_eq!((info.cores, info.packages, info.smt), (Some(3), None, Some(false)));
    assert_eq!((info.cpu_topology[2].die, info.cpu_topology[2].package), (None, None));
    assert_eq!(info.machine, Some(Machine { vendor: None, product: Some("Some Board".into()) }));
}

#[test]
fn cpuinfo_of_other_architectures() {
    let model = |cpuinfo: &str| {
        let fake = Fake::new();
        fake.file("proc/cpuinfo", cpuinfo);
        let info = collect(fake.root());
        (info.cpu_model.unwrap_or_default(), info.cpu_vendor.unwrap_or_default(), info.cpus)
    };
    let text = |name: &str, vendor: &str, cpus| (name.to_owned(), vendor.to_owned(), Some(cpus));
    assert_eq!(
        model("processor : 0\nCPU implementer : 0x41\nCPU part : 0xd0c\n"),
        text("Neoverse-N1", "ARM", 1)
    );
    assert_eq!(
        model("processor : 0\nCPU implementer : 0x7f\nCPU part : 0x00c\n"),
        text("implementer 0x7f part 0x00c", "implementer 0x7f", 1)
    );
    assert_eq!(
        model("processor : 0\ncpu\t\t: POWER9, altivec supported\n"),
        text("POWER9, altivec supported", "", 1)
    );
    assert_eq!(model("processor : 0\nhart : 0\nuarch : sifive,u74-mc\n"), text("sifive,u74-mc", "", 1));
    assert_eq!(
        model(
            "vendor_id       : IBM/S390\nprocessor 0: version = FF,  machine = 8561\nprocessor 1: version = FF\n"
        ),
        text("", "IBM/S390", 2)
    );
}

#[test]
fn hundreds_of_cpus() {
    const THREADS: usize = 512;
    let fake = Fake::new();
    fake.file(&format!("{CPUS}/online"), "0-511\n");
    for cpu in 0..THREADS {
        let core = cpu % (THREADS / 2);
        let threads = format!("{core},{}", core + THREADS / 2);
        let (first, second) = (core / 8 * 8, core / 8 * 8 + THREADS / 2);
        let shared = format!("{first}-{},{second}-{}", first + 7, second + 7);
        let number = i32::try_from(core).expect("small");
        fake.cpu(cpu, number % 128, 0, number / 128, &threads);
        fake.cache(cpu, 0, (1, "Data", "32K"), &threads);
        fake.cache(cpu, 3, (3, "Unified", "32768K"), &shared);
    }
    let info = collect(fake.root());
    assert_eq!((info.cpus, info.cores, info.packages), (Some(512), Some(256), Some(2)));
    assert_eq!(info.smt, Some(true));
    let instances: Vec<usize> = info.caches.iter().map(|cache| cache.instances).collect();
    assert_eq!(instances, [256, 32]);
    let sharers = |cache: &Cache| cache.shared_cpus.iter().map(Vec::len).sum::<usize>();
    assert!(info.caches.iter().all(|cache| sharers(cache) == THREADS));
}

#[test]
fn memory_and_frequency_details() {
    let fake = Fake::new();
    fake.file(
        "proc/meminfo",
        "MemTotal: 2048 kB\nSwapTotal: 1024 kB\nHugePages_Total:      13\nHugepagesize:       2048 kB\n",
    )
    .file("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n")
    .file("etc/os-release", "ID=x\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n")
    .file("sys/class/dmi/id/sys_vendor", "Amazon EC2\n")
    .file("sys/class/dmi/id/product_name", "m7g.large\n")
    .file(&format!("{CPUS}/online"), "2\n")
    .file(&format!("{CPUS}/cpu2/cpufreq/scaling_governor"), "performance\n")
    .file(&format!("{CPUS}/cpu2/cpufreq/cpuinfo_max_freq"), "3500000\n");
    let info = collect(fake.root());
    assert_eq!(info.swap_total_bytes, Some(1 << 20));
    assert_eq!(info.huge_pages, Some(HugePages { size_bytes: 2 << 20, total: 13 }));
    assert_eq!(info.transparent_huge_pages.as_deref(), Some("madvise"));
    assert_eq!(info.distribution.as_deref(), Some("Debian GNU/Linux 12 (bookworm)"));
    assert_eq!(info.machine.and_then(|machine| machine.product).as_deref(), Some("m7g.large"));
    let expected = Frequency {
        governor: Some("performance".into()),
        maximum_hz: Some(3_500_000_000),
        ..Frequency::default()
    };
    assert_eq!(info.cpu_frequency, Some(expected));
}

#[test]
fn devices_of_a_gpu_server() {
    let fake = Fake::new();
    let (card, nic) = ("sys/bus/pci/devices/0000:17:00.0", "sys/devices/pci0000:00/0000:3b:00.0");
    fake.file(&format!("{card}/class"), "0x030200\n")
        .file(&format!("{card}/vendor"), "0x10de\n")
        .file(&format!("{card}/device"), "0x2330\n")
        .file(&format!("{card}/numa_node"), "1\n")
        .link(&format!("{card}/driver"), "../../drivers/nvidia")
        .file("proc/driver/nvidia/gpus/0000:17:00.0/information", "Model: \t\t NVIDIA H100\nIRQ: 5\n")
        // A management controller's screen.
        .file("sys/bus/pci/devices/0000:03:00.0/class", "0x030000\n")
        .file("sys/bus/pci/devices/0000:03:00.0/vendor", "0x1a03\n")
        .file("sys/bus/pci/devices/0000:c1:00.0/class", "0x038000\n")
        .file("sys/bus/pci/devices/0000:c1:00.0/vendor", "0x1002\n")
        .file("sys/bus/pci/devices/0000:c1:00.0/device", "0x74a1\n")
        .file("sys/bus/pci/devices/0000:c1:00.0/mem_info_vram_total", "206141652992\n")
        .file(&format!("{nic}/numa_node"), "0\n")
        .file(&format!("{nic}/virtio2/net/eth0/speed"), "200000\n")
        .file(&format!("{nic}/virtio2/net/eth0/queues/rx-0/rps_cpus"), "0\n")
        .file(&format!("{nic}/virtio2/net/eth0/queues/rx-1/rps_cpus"), "0\n")
        .file(&format!("{nic}/virtio2/net/eth0/queues/tx-0/xps_cpus"), "0\n")
        .link(&format!("{nic}/virtio2/net/eth0/device"), "../../../virtio2")
        .link(&format!("{nic}/virtio2/driver"), "../../../../bus/virtio/drivers/virtio_net")
        .link("sys/class/net/eth0", "../../devices/pci0000:00/0000:3b:00.0/virtio2/net/eth0")
        .file("sys/class/net/veth0/speed", "10000\n");

    let info = collect(fake.root());
    let [nvidia, amd] = &info.gpus[..] else { panic!("{:?}", info.gpus) };
    assert_eq!((nvidia.index, nvidia.name.as_deref()), (0, Some("NVIDIA H100")));
    assert_eq!((nvidia.driver.as_deref(), nvidia.numa_node), (Some("nvidia"), Some(1)));
    assert_eq!((amd.index, amd.name.as_deref()), (1, Some("device 0x74a1")));
    assert_eq!(amd.memory_bytes, Some(206_141_652_992));

    let [eth0] = &info.nics[..] else { panic!("{:?}", info.nics) };
    assert_eq!((eth0.speed, eth0.driver.as_deref()), (Some(200_000), Some("virtio_net")));
    assert_eq!(eth0.numa_node, Some(0), "of the PCI device that carries the virtio one");
    assert_eq!((eth0.receive_queues, eth0.transmit_queues), (2, 1));
}

#[test]
fn lists() {
    assert_eq!(parse_list("0-3,8,10-11\n"), Some(vec![0, 1, 2, 3, 8, 10, 11]));
    assert_eq!(parse_list("7"), Some(vec![7]));
    assert_eq!(parse_list("3,1-3"), Some(vec![1, 2, 3]));
    for broken in ["", "a", "-", "1-", "3-1", "0-99999999", "1,,2", "-1"] {
        assert_eq!(parse_list(broken), None, "{broken:?}");
    }
    let repeated = vec!["0-65535"; 1000].join(",");
    assert_eq!(parse_list(&repeated), None, "does not grow without bounds");
}

#[test]
fn this_machine() {
    let info = collect(Path::new("/"));
    assert!(info.cpus >= Some(1), "{info:?}");
    assert_eq!(info.os, std::env::consts::OS);
    if cfg!(target_os = "linux") {
        assert_eq!(info.cpus, Some(info.cpu_topology.len()));
        assert!(info.memory_total_bytes > Some(1 << 20) && info.kernel.is_some());
    }
}
