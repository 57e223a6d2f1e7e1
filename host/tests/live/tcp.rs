//! Live tests of the plugin `tcp`: known connections and bytes, /proc/net, the
//! sockets' own view (TCP_INFO), and bpftrace.
//!
//! Counts belong to the whole machine, on which at least the test speaks to the
//! agent by TCP: expectations are exact from below and leave a little room above.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use crate::agent::{Agent, Delta, bounds, bucket_of, quantile_bucket};
use crate::network::{Cable, Namespace, alone, ip, named, sums, tcp_numbers};

/// What others may have done during a test: the test itself connects to the agent.
const OTHERS: u64 = 100;

fn assert_about(what: &str, measured: u64, expected: u64) {
    assert!(
        (expected..=expected + OTHERS).contains(&measured),
        "{what}: {measured}, expected {expected} and at most {OTHERS} more"
    );
}

/// A connection by loopback: the connecting and the accepting end.
fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (far, _) = listener.accept().unwrap();
    for end in [&near, &far] {
        end.set_nodelay(true).unwrap();
    }
    (near, far)
}

#[test]
fn root_payload_is_counted_to_the_byte() {
    const MESSAGES: u64 = 50_021;
    const SIZE: usize = 1009;
    let _alone = alone();
    let agent = Agent::start(&["tcp"]);
    let namespace = Namespace::new();
    let outside = sums();
    let delta = agent.delta(|| {
        namespace.run(|| {
            let (mut near, mut far) = pair();
            let mut message = [0; SIZE];
            for _ in 0..MESSAGES {
                near.write_all(&message).unwrap();
                // Looking does not count, reading does.
                assert!(far.peek(&mut message).unwrap() > 0);
                far.read_exact(&mut message).unwrap();
            }
        });
    });
    let outside_after = sums();
    for (direction, column) in [("receive", 0), ("transmit", 2)] {
        let labels = [("direction", direction)];
        let expected = MESSAGES * SIZE as u64;
        // Others, the test's dialogue with the agent among them, have moved
        // less payload than there was on the machine's own interfaces.
        let others = outside_after[column] - outside[column];
        let bytes = delta.counter("tcp_bytes", &labels);
        assert!(
            (expected..=expected + others).contains(&bytes),
            "{direction}: {bytes}, not {expected} + {others}"
        );
        let calls = delta.counter("tcp_packets", &labels);
        assert!(calls >= MESSAGES, "{direction}: {calls} calls");
        let sizes = delta.histogram("tcp_size", &labels);
        assert_about(direction, sizes[bucket_of(SIZE as u64)], MESSAGES);
        // Others may be at it while the snapshot is taken.
        let sized = sizes.iter().sum::<u64>();
        assert!(sized.abs_diff(calls) <= 5, "{direction}: {calls} calls, {sized} sizes");
    }
}

#[test]
fn root_connections_and_states_are_counted() {
    const CONNECTIONS: u64 = 5003;
    let _alone = alone();
    let agent = Agent::start(&["tcp"]);
    let namespace = Namespace::new();
    let names = ["ActiveOpens", "PassiveOpens"];
    let before = namespace.run(|| tcp_numbers(names));
    let delta = agent.delta(|| {
        namespace.run(|| {
            for _ in 0..CONNECTIONS {
                let (near, mut far) = pair();
                // To close what is shut down already changes no state.
                near.shutdown(Shutdown::Write).unwrap();
                drop(near);
                assert_eq!(far.read(&mut [0]).unwrap(), 0);
            }
        });
    });
    let after = namespace.run(|| tcp_numbers(names));
    assert_eq!([after[0] - before[0], after[1] - before[1]], [CONNECTIONS; 2], "the kernel's count");
    for kind in ["active", "passive"] {
        assert_about(kind, delta.counter("tcp_connections", &[("kind", kind)]), CONNECTIONS);
    }
    let latencies: u64 = delta.histogram("tcp_connect_latency", &[]).iter().sum();
    assert_about("latencies", latencies, CONNECTIONS);
    assert_eq!(delta.counter("tcp_latency_unseen", &[]), 0);
    // Both ends are here. The one that closes first passes through the
    // FIN_WAITs, the other through CLOSE_WAIT and LAST_ACK.
    for (state, times) in [
        ("syn_sent", 1),
        ("syn_recv", 1),
        ("established", 2),
        ("fin_wait1", 1),
        ("fin_wait2", 1),
        ("close_wait", 1),
        ("last_ack", 1),
        ("listen", 1),
    ] {
        let entered = delta.counter("tcp_state_change", &[("state", state)]);
        assert_about(state, entered, times * CONNECTIONS);
    }
    // The two ends and the listener.
    let closed = delta.counter("tcp_state_change", &[("state", "close")]);
    assert_about("close", closed, 3 * CONNECTIONS);
}

#[test]
fn root_refused_connects_fail_and_are_reset() {
    const CONNECTS: u64 = 2003;
    let _alone = alone();
    let agent = Agent::start(&["tcp"]);
    let namespace = Namespace::new();
    let delta = agent.delta(|| {
        namespace.run(|| {
            for _ in 0..CONNECTS {
                TcpStream::connect("127.0.0.1:9").expect_err("nobody listens");
            }
            let [fails, resets] = tcp_numbers(["AttemptFails", "OutRsts"]);
            assert_eq!([fails, resets], [CONNECTS; 2], "the kernel's count");
        });
    });
    assert_about("failed", delta.counter("tcp_connect_failed", &[]), CONNECTS);
    for direction in ["receive", "transmit"] {
        assert_about(direction, delta.counter("tcp_reset", &[("direction", direction)]), CONNECTS);
    }
    let latencies: u64 = delta.histogram("tcp_connect_latency", &[]).iter().sum();
    assert!(latencies <= OTHERS, "a failed connect has no latency: {latencies}");
}

/// Closes a connection without another word, so that nothing of it is sent
/// again and again after the test.
fn abort(stream: TcpStream) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    // SAFETY: the buffer is as long as said.
    let result = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const linger).cast(),
            size_of::<libc::linger>() as libc::socklen_t,
        )
    };
    assert_eq!(result, 0);
}

#[test]
fn root_retransmissions_are_the_kernels() {
    let _alone = alone();
    let agent = Agent::start(&["tcp"]);
    let cable = Cable::new();
    let listener = cable.far.run(|| TcpListener::bind("10.77.0.2:7").unwrap());
    let mut stream = cable.near.run(|| TcpStream::connect("10.77.0.2:7").unwrap());
    let (far, _) = listener.accept().unwrap();
    let retransmitted = || tcp_numbers(["RetransSegs"])[0];
    // The kernel counts those as well that did not get as far as the interface, and these once more.
    let failed = || named("/proc/thread-self/net/netstat", "TcpExt:", ["TCPRetransFail"])[0];
    let (mut inside, mut fails) = (0, 0);
    let outside = retransmitted();
    let delta = agent.delta(|| {
        // Nobody is at this address.
        cable.near.run(|| ip("neigh replace 10.77.0.2 lladdr 02:00:00:00:00:99 dev near nud permanent"));
        stream.write_all(&[0; 10_007]).unwrap();
        thread::sleep(Duration::from_millis(1500));
        (inside, fails) = cable.near.run(|| (retransmitted(), failed()));
    });
    let later = cable.near.run(retransmitted);
    abort(stream);
    abort(far);
    let others = retransmitted() - outside;
    assert!(inside >= 3, "the kernel retransmitted {inside} segments only");
    let measured = delta.counter("tcp_retransmit", &[]);
    let said = format!("{measured}, not {inside} - {fails} to {later} + {others}");
    assert!((inside - fails..=later + others).contains(&measured), "{said}");
}

#[test]
fn root_unanswered_connects_are_retransmitted() {
    let _alone = alone();
    let agent = Agent::start(&["tcp"]);
    let cable = Cable::new();
    let delta = agent.delta(|| {
        cable.near.run(|| {
            ip("neigh replace 10.77.0.2 lladdr 02:00:00:00:00:99 dev near nud permanent");
            let address: SocketAddr = "10.77.0.2:7".parse().unwrap();
            TcpStream::connect_timeout(&address, Duration::from_millis(1500)).expect_err("nobody answers");
        });
    });
    // The first SYN is repeated after a second.
    let measured = delta.counter("tcp_retransmit", &[]);
    assert!((1..10).contains(&measured), "{measured} retransmissions");
    assert_about("failed", delta.counter("tcp_connect_failed", &[]), 1);
}

#[test]
fn root_waiting_data_ages_until_it_is_read() {
    const MESSAGES: u64 = 53;
    const WAIT: Duration = Duration::from_millis(20);
    let _alone = alone();
    let agent = Agent::start(&["tcp"]);
    let namespace = Namespace::new();
    let delta = agent.delta(|| {
        namespace.run(|| {
            let (mut near, mut far) = pair();
            for _ in 0..MESSAGES {
                near.write_all(b"hello").unwrap();
                thread::sleep(WAIT / 2);
                // The age is that of the oldest byte.
                near.write_all(b" again").unwrap();
                thread::sleep(WAIT / 2);
                assert_eq!(far.read(&mut [0; 100]).unwrap(), 11);
            }
        });
    });
    let ages = delta.histogram("tcp_packet_latency", &[]);
    let lowest = bucket_of(WAIT.as_nanos() as u64);
    let waited: u64 = ages[lowest..].iter().sum();
    assert_about("read after 20 ms", waited, MESSAGES);
    let between: u64 = ages[bucket_of(WAIT.as_nanos() as u64 / 3)..lowest].iter().sum();
    assert!(between <= 5, "{between} messages were measured from their second half");
}

/// The kernel's smoothed round-trip time of a connection, in nanoseconds.
fn round_trip(stream: &TcpStream) -> u64 {
    // SAFETY: all zeroes is a valid tcp_info.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: the buffer is as long as said.
    let result = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &mut length,
        )
    };
    assert_eq!(result, 0);
    u64::from(info.tcpi_rtt) * 1000
}

#[test]
fn root_round_trip_times_are_the_sockets_own() {
    const EXCHANGES: u64 = 307;
    let _alone = alone();
    let agent = Agent::start(&["tcp"]);
    let namespace = Namespace::new();
    let mut own = 0;
    let delta = agent.delta(|| {
        own = namespace.run(|| {
            let (mut near, mut far) = pair();
            for _ in 0..EXCHANGES {
                near.write_all(b"?").unwrap();
                far.read_exact(&mut [0]).unwrap();
                // The acknowledgement waits for the answer to travel with.
                thread::sleep(Duration::from_millis(5));
                far.write_all(b"!").unwrap();
                near.read_exact(&mut [0]).unwrap();
            }
            round_trip(&near)
        });
    });
    assert!((4_000_000..40_000_000).contains(&own), "{own} ns are no 5 ms");
    let times = delta.histogram("tcp_srtt", &[]);
    // The other end's times are far shorter. Ours settle after a few exchanges.
    let near_own: u64 = times[bucket_of(own * 3 / 4)..=bucket_of(own * 4 / 3)].iter().sum();
    assert!(near_own >= EXCHANGES * 9 / 10, "{near_own} of {EXCHANGES} near {own} ns");
    let jitters: u64 = delta.histogram("tcp_jitter", &[]).iter().sum();
    let round_trips = times.iter().sum::<u64>();
    assert!(jitters.abs_diff(round_trips) <= 5, "{jitters} jitters, {round_trips} round-trip times");
}

#[test]
fn root_full_listeners_overflow() {
    const CONNECTS: usize = 7;
    let _alone = alone();
    let agent = Agent::start(&["tcp"]);
    let overflows = || named("/proc/net/netstat", "TcpExt:", ["ListenOverflows", "ListenDrops"]);
    let first = overflows();
    let delta = agent.delta(|| {
        // Here, not in a namespace: the agent reads the files of its own.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        // SAFETY: changes the backlog of a socket that listens already.
        assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
        let address = listener.local_addr().unwrap();
        let _held: Vec<_> =
            (0..CONNECTS).map(|_| TcpStream::connect_timeout(&address, Duration::from_millis(100))).collect();
        // So that the next snapshot reads the files again.
        thread::sleep(Duration::from_millis(300));
    });
    let last = overflows();
    let measured = delta.counter("tcp_listen_overflows", &[]);
    assert!(measured >= 1, "no overflow of a queue of one by {CONNECTS}");
    assert!(measured <= last[0] - first[0], "{measured}, the kernel counted {}", last[0] - first[0]);
    assert!(delta.counter("tcp_listen_drops", &[]) >= measured);
}

#[test]
fn root_the_stacks_numbers_are_the_kernels() {
    let _alone = alone();
    let agent = Agent::start(&["tcp"]);
    let _ = agent.snapshot();
    thread::sleep(Duration::from_millis(300));
    let read = || {
        let tcp = tcp_numbers(["InSegs", "OutSegs", "RetransSegs", "InErrs"]);
        let more = ["ListenOverflows", "ListenDrops", "SyncookiesSent", "TCPTimeouts", "TCPBacklogDrop"];
        [&tcp[..], &named("/proc/net/netstat", "TcpExt:", more)].concat()
    };
    let before = read();
    let snapshot = agent.snapshot();
    let after = read();
    let metrics = [
        ("tcp_segments", &[("direction", "receive")][..]),
        ("tcp_segments", &[("direction", "transmit")]),
        ("tcp_segments_retransmitted", &[]),
        ("tcp_receive_errors", &[]),
        ("tcp_listen_overflows", &[]),
        ("tcp_listen_drops", &[]),
        ("tcp_syn_cookies", &[]),
        ("tcp_timeouts", &[]),
        ("tcp_backlog_drops", &[]),
    ];
    for (index, (name, labels)) in metrics.into_iter().enumerate() {
        let measured = snapshot.counter(name, labels);
        let range = before[index]..=after[index];
        assert!(range.contains(&measured), "{name} {labels:?}: {measured} is not in {range:?}");
    }
    // The test's connection to the agent has two ends here.
    assert!(snapshot.gauge("tcp_established", &[]) >= 2);
    assert!(snapshot.gauge("tcp_sockets", &[("use", "in_use")]) >= 2);
    assert!(snapshot.gauge("tcp_memory", &[]) >= 0);
}

/// Prints the latency of each connect, in nanoseconds, a line each.
const BPFTRACE: &str = "
tracepoint:sock:inet_sock_set_state /args->protocol == 6 && args->newstate == 2/ { @began[args->skaddr] = nsecs; }
tracepoint:sock:inet_sock_set_state /args->protocol == 6 && args->oldstate == 2 && @began[args->skaddr]/ {
    if (args->newstate == 1) { printf(\"%ld\\n\", nsecs - @began[args->skaddr]); }
    delete(@began[args->skaddr]);
}
END { clear(@began); }
BEGIN { printf(\"ready\\n\"); }
";

#[test]
fn root_connect_latency_agrees_with_bpftrace() {
    const CONNECTIONS: u64 = 2003;
    let _alone = alone();
    let agent = Agent::start(&["tcp"]);
    let namespace = Namespace::new();
    let mut tracer = crate::agent::with_tracefs("bpftrace")
        .args(["-q", "-e", BPFTRACE])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("bpftrace, of the Debian package of this name");
    let mut lines = BufReader::new(tracer.stdout.take().unwrap()).lines();
    let first = lines.next().map(|line| line.unwrap());
    if first.as_deref() != Some("ready") {
        let mut error = String::new();
        let _ = tracer.stderr.take().unwrap().read_to_string(&mut error);
        panic!("bpftrace: {first:?}, {error}");
    }
    let delta = agent.delta(|| {
        namespace.run(|| (0..CONNECTIONS).for_each(|_| drop(pair())));
    });
    // SAFETY: a signal to our own child, which has not been waited for.
    unsafe { libc::kill(tracer.id() as libc::pid_t, libc::SIGINT) };
    let others = lines.map_while(Result::ok).filter_map(|line| line.trim().parse::<u64>().ok());
    let mut theirs = vec![0; crate::agent::BUCKETS];
    others.for_each(|latency| theirs[bucket_of(latency)] += 1);
    tracer.wait().unwrap();

    compare(&delta, &theirs);
}

fn compare(delta: &Delta, theirs: &[u64]) {
    let ours = delta.histogram("tcp_connect_latency", &[]);
    let (count, their_count) = (ours.iter().sum::<u64>(), theirs.iter().sum::<u64>());
    assert!(count.abs_diff(their_count) * 100 <= their_count, "{count} connects, bpftrace saw {their_count}");
    for quantile in [0.1, 0.5, 0.9, 0.99] {
        let theirs = quantile_bucket(theirs, quantile).unwrap();
        // As many as the counts may differ, the ranks may.
        let lowest = quantile_bucket(&ours, quantile - 0.01).unwrap().saturating_sub(1);
        let highest = quantile_bucket(&ours, quantile + 0.01).unwrap() + 1;
        assert!(
            (lowest..=highest).contains(&theirs),
            "quantile {quantile}: bpftrace's in {:?} ns, ours from {} to {} ns",
            bounds(theirs),
            bounds(lowest).0,
            bounds(highest).1
        );
    }
}
