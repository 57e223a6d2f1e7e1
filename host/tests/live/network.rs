//! Live tests of the plugin `network`: known packets, and /proc/net/dev.
//!
//! What the plugin counts belongs to the whole machine, so a test makes its
//! packets in a network namespace of its own, many of them, and allows for
//! what crosses the machine's own interfaces meanwhile.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::agent::{Agent, Delta, Snapshot};

/// Tests that count what the whole machine does keep out of each other's way.
pub fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A network namespace with nothing but a loopback interface, which is up.
pub struct Namespace(File);

impl Namespace {
    pub fn new() -> Self {
        let made = thread::spawn(|| {
            // SAFETY: concerns this thread only, which ends here.
            let result = unsafe { libc::unshare(libc::CLONE_NEWNET) };
            assert_eq!(result, 0, "no network namespace: {}", std::io::Error::last_os_error());
            ip("link set lo up");
            File::open("/proc/thread-self/ns/net").unwrap()
        });
        Self(made.join().expect("a network namespace"))
    }

    /// Runs something inside, on a thread of its own.
    pub fn run<R: Send>(&self, inside: impl FnOnce() -> R + Send) -> R {
        thread::scope(|scope| {
            let worker = scope.spawn(|| {
                // SAFETY: a namespace's file, for this thread only.
                let result = unsafe { libc::setns(self.0.as_raw_fd(), libc::CLONE_NEWNET) };
                assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
                inside()
            });
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// As ip(8) takes it.
    fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }
}

/// Two namespaces joined by a cable: `near` is 10.77.0.1, `far` 10.77.0.2.
pub struct Cable {
    pub near: Namespace,
    pub far: Namespace,
}

impl Cable {
    pub fn new() -> Self {
        let (near, far) = (Namespace::new(), Namespace::new());
        near.run(|| {
            ip(&format!("link add near type veth peer name far netns {}", far.path()));
            ip("addr add 10.77.0.1/24 dev near");
        });
        far.run(|| {
            ip("addr add 10.77.0.2/24 dev far");
            quiet("far");
            ip("link set far up");
        });
        near.run(|| {
            quiet("near");
            ip("link set near up");
        });
        Self { near, far }
    }
}

/// Keeps IPv6 from speaking up by itself.
fn quiet(interface: &str) {
    let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6"), "1");
}

pub fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output().expect("ip(8) of iproute2");
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The numbers of /proc/net/dev of this thread's namespace, by interface.
fn devices() -> BTreeMap<String, Vec<u64>> {
    let text = fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, numbers)| {
            let numbers = numbers.split_whitespace().map(|word| word.parse().unwrap()).collect();
            (name.trim().to_string(), numbers)
        })
        .collect()
}

/// Received bytes and packets, sent bytes and packets, of all interfaces here.
pub fn sums() -> [u64; 4] {
    let mut sums = [0; 4];
    for numbers in devices().values() {
        for (sum, column) in sums.iter_mut().zip([0, 1, 8, 9]) {
            *sum += numbers[column];
        }
    }
    sums
}

/// What the load did to `sums()` here and to those of the machine's own
/// interfaces, and to the metrics.
fn measured(agent: &Agent, inside: &Namespace, load: impl FnOnce()) -> ([u64; 4], [u64; 4], Delta) {
    let (inner, outer) = (inside.run(sums), sums());
    let delta = agent.delta(load);
    thread::sleep(Duration::from_millis(20));
    let (inner_after, outer_after) = (inside.run(sums), sums());
    let difference = |after: [u64; 4], before: [u64; 4]| std::array::from_fn(|i| after[i] - before[i]);
    (difference(inner_after, inner), difference(outer_after, outer), delta)
}

fn traffic(delta: &Delta) -> [u64; 4] {
    let counter = |name, direction| delta.counter(name, &[("direction", direction)]);
    [
        counter("network_bytes", "receive"),
        counter("network_packets", "receive"),
        counter("network_bytes", "transmit"),
        counter("network_packets", "transmit"),
    ]
}

#[test]
fn root_packets_and_bytes_of_a_known_load() {
    const DATAGRAMS: u64 = 200_003;
    const PAYLOAD: u64 = 1009;
    /// Ethernet, IP, UDP.
    const FRAME: u64 = 14 + 20 + 8 + PAYLOAD;
    let _alone = alone();
    let agent = Agent::start(&["network"]);
    let cable = Cable::new();
    let (inner, outer, delta) = measured(&agent, &cable.near, || {
        cable.near.run(|| {
            let socket = UdpSocket::bind("10.77.0.1:0").unwrap();
            for _ in 0..DATAGRAMS {
                socket.send_to(&[0; PAYLOAD as usize], "10.77.0.2:9").unwrap();
            }
        });
    });
    assert!(inner[3] >= DATAGRAMS && inner[2] >= DATAGRAMS * FRAME, "{inner:?}");
    // The other end receives what this end sends and sends what this receives.
    let here = [inner[0] + inner[2], inner[1] + inner[3]];
    for (index, measured) in traffic(&delta).into_iter().enumerate() {
        let expected = here[index % 2];
        let others = outer[index] * 2 + if index % 2 == 0 { 2_000_000 } else { 1000 };
        assert!(
            (expected..=expected + others).contains(&measured),
            "{index}: {measured}, expected {expected} and at most {others} more"
        );
    }
}

#[test]
fn root_offloaded_packets_count_as_on_the_wire() {
    const BYTES: usize = 100_000_007;
    let _alone = alone();
    let agent = Agent::start(&["network"]);
    let cable = Cable::new();
    let segments = || tcp_numbers(["InSegs", "OutSegs"]).iter().sum::<u64>();
    let before = cable.near.run(segments);
    let (inner, outer, delta) = measured(&agent, &cable.near, || transfer(&cable, BYTES));
    let segments = cable.near.run(segments) - before;
    // The cable carried whole trains of segments ...
    assert!(inner[3] < segments / 2, "no segmentation offload: {inner:?}, {segments} segments");
    // ... which count as TCP counts them, with 66 bytes of headers each.
    let expected = [BYTES as u64 + segments * 66, segments];
    for (index, measured) in traffic(&delta).into_iter().enumerate() {
        let expected = expected[index % 2];
        let others = outer[index] * 2 + if index % 2 == 0 { 2_000_000 } else { 1000 };
        assert!(
            (expected..=expected + others).contains(&measured),
            "{index}: {measured}, expected {expected} and at most {others} more"
        );
    }
}

/// Sends bytes by TCP from the near end to the far one.
fn transfer(cable: &Cable, bytes: usize) {
    let listener = cable.far.run(|| TcpListener::bind("10.77.0.2:7").unwrap());
    thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = listener.accept().unwrap();
            let read = std::io::copy(&mut stream, &mut std::io::sink()).unwrap();
            assert_eq!(read, bytes as u64);
        });
        cable.near.run(|| {
            let mut stream = TcpStream::connect("10.77.0.2:7").unwrap();
            stream.write_all(&vec![b'x'; bytes]).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            // Until the other end has read everything and closed.
            assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        });
    });
}

/// Numbers of the line Tcp of this thread's /proc/net/snmp.
pub fn tcp_numbers<const N: usize>(names: [&str; N]) -> [u64; N] {
    named("/proc/thread-self/net/snmp", "Tcp:", names)
}

/// Numbers from a file with a line of names and one of numbers.
pub fn named<const N: usize>(path: &str, line: &str, names: [&str; N]) -> [u64; N] {
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines().filter(|text| text.starts_with(line)).map(str::split_whitespace);
    let (columns, numbers) = (lines.next().unwrap(), lines.next().unwrap());
    let all: BTreeMap<_, _> = columns.zip(numbers).collect();
    names.map(|name| all[name].parse().unwrap())
}

#[test]
fn root_drops_are_counted_by_reason() {
    const CLOSED_PORT: u64 = 10_007;
    const MISADDRESSED: u64 = 5_003;
    let _alone = alone();
    let agent = Agent::start(&["network"]);
    let cable = Cable::new();
    let delta = agent.delta(|| {
        cable.near.run(|| {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            for _ in 0..CLOSED_PORT {
                socket.send_to(b"?", "127.0.0.1:9").unwrap();
            }
            ip("neigh replace 10.77.0.2 lladdr 02:00:00:00:00:99 dev near nud permanent");
            for _ in 0..MISADDRESSED {
                socket.send_to(b"?", "10.77.0.2:9").unwrap();
            }
        });
    });
    for (reason, expected) in [("no_socket", CLOSED_PORT), ("otherhost", MISADDRESSED)] {
        let measured = delta.counter("network_drop_reason", &[("reason", reason)]);
        assert!((expected..expected + 100).contains(&measured), "{reason}: {measured}, not {expected}");
    }
    // Drops that happen while the snapshot is taken may be in one sum only.
    let (all, by_reason) = (delta.counter("network_drop", &[]), delta.counter("network_drop_reason", &[]));
    assert!(all.abs_diff(by_reason) <= 5, "{all} drops, {by_reason} by reason");
    assert!((CLOSED_PORT + MISADDRESSED..CLOSED_PORT + MISADDRESSED + 1000).contains(&all), "{all}");
}

#[test]
fn root_drivers_take_what_is_transmitted() {
    const DATAGRAMS: u64 = 50_021;
    let _alone = alone();
    let agent = Agent::start(&["network"]);
    let cable = Cable::new();
    let (_, outer, delta) = measured(&agent, &cable.near, || {
        cable.near.run(|| {
            let socket = UdpSocket::bind("10.77.0.1:0").unwrap();
            for _ in 0..DATAGRAMS {
                socket.send_to(b"!", "10.77.0.2:9").unwrap();
            }
        });
    });
    // The far end answers some of them (port unreachable), at a limited rate.
    let complete = delta.counter("network_transmit_complete", &[]);
    assert!((DATAGRAMS..DATAGRAMS + outer[3] * 2 + 2000).contains(&complete), "{complete}");
    assert_eq!(delta.counter("network_transmit_timeout", &[]), 0);
    assert_eq!(delta.counter("network_transmit_busy", &[]), 0, "veth is never busy");
}

/// The metrics of one interface, in the order of /proc/net/dev's columns.
const INTERFACE: [(&str, &str, usize); 8] = [
    ("network_interface_bytes", "receive", 0),
    ("network_interface_packets", "receive", 1),
    ("network_interface_errors", "receive", 2),
    ("network_interface_drops", "receive", 3),
    ("network_interface_bytes", "transmit", 8),
    ("network_interface_packets", "transmit", 9),
    ("network_interface_errors", "transmit", 10),
    ("network_interface_drops", "transmit", 11),
];

fn interface(snapshot: &Snapshot, name: &str) -> Option<Vec<u64>> {
    INTERFACE
        .iter()
        .map(|(metric, direction, _)| {
            snapshot.try_counter(metric, &[("interface", name), ("direction", direction)])
        })
        .collect()
}

#[test]
fn root_interfaces_show_what_the_kernel_shows() {
    let _alone = alone();
    let agent = Agent::start(&["network"]);
    let _ = agent.snapshot();
    // So that the next snapshot reads the file again.
    thread::sleep(Duration::from_millis(300));
    let before = devices();
    let snapshot = agent.snapshot();
    let after = devices();
    for (name, before) in &before {
        let measured = interface(&snapshot, name).unwrap_or_else(|| panic!("{name} is missing"));
        for ((_, _, column), measured) in INTERFACE.iter().zip(measured) {
            let range = before[*column]..=after[name][*column];
            assert!(range.contains(&measured), "{name}, column {column}: {measured} is not in {range:?}");
        }
    }
}

#[test]
fn root_interfaces_come_and_go() {
    let _alone = alone();
    let agent = Agent::start(&["network"]);
    let present = |name: &str| interface(&agent.snapshot(), name).is_some();
    assert!(present("lo") && !present("rzl0"));
    for (one, other) in [("rzl0", "rzl1"), ("rzl2", "rzl3")] {
        ip(&format!("link add {one} type veth peer name {other}"));
        agent.wait_until("the new interfaces", Duration::from_secs(2), |_| present(one) && present(other));
        ip(&format!("link del {one}"));
        agent.wait_until("interfaces to go", Duration::from_secs(2), |_| !present(one) && !present(other));
    }
    assert!(present("lo"));
}
