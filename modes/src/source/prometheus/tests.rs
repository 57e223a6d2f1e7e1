use proptest::prelude::*;

use super::*;
use crate::snapshot::{labels, metric_name};

const FIXTURE: &str = include_str!("../../../tests/fixtures/exporter_both_modes.prom");

fn read(cache: &mut Cache, text: &str) -> Snapshot {
    let snapshot = cache.snapshot(text, "host-9100", SystemTime::UNIX_EPOCH, Duration::ZERO).unwrap();
    consistent(&snapshot);
    snapshot
}

fn once(text: &str) -> Snapshot {
    read(&mut Cache::default(), text)
}

/// What must be so whatever is read.
fn consistent(snapshot: &Snapshot) {
    let [group] = &snapshot.groups[..] else { panic!("one group") };
    let schema = &group.schema;
    assert_eq!(group.lengths, snapshot.numbers.lengths());
    assert_eq!(schema.counters.len(), group.lengths.counters);
    assert_eq!(schema.gauges.len(), group.lengths.gauges);
    assert_eq!(schema.histograms.len(), group.lengths.histograms);
    assert_eq!(group.hash, schema.hash());
    let all = schema.counters.iter().chain(&schema.gauges).chain(&schema.histograms);
    let columns: HashSet<&str> = all.clone().map(|described| described.name.as_str()).collect();
    assert_eq!(columns.len(), all.count(), "columns are unique");
    // Reads back what it writes: shapes and lines are in order.
    let bytes = crate::wire::Encoder::default().encode(snapshot, &[]).unwrap();
    let back = crate::wire::decode(&bytes, &mut Default::default()).unwrap();
    assert_eq!(back.numbers, snapshot.numbers);
}

/// Column and number of everything but histograms.
fn numbers(snapshot: &Snapshot) -> Vec<String> {
    let schema = &snapshot.groups[0].schema;
    let show = |described: &MetricDesc, value: Option<i128>| match value {
        Some(value) => format!("{} {value}", described.name),
        None => format!("{} none", described.name),
    };
    let counters = schema.counters.iter().zip(&snapshot.numbers.counters);
    let gauges = schema.gauges.iter().zip(&snapshot.numbers.gauges);
    let counters = counters.map(|(described, value)| format!("c {}", show(described, value.map(i128::from))));
    let gauges = gauges.map(|(described, value)| format!("g {}", show(described, value.map(i128::from))));
    counters.chain(gauges).collect()
}

/// The buckets of the first histogram: lowest value of each, and count.
fn buckets(snapshot: &Snapshot) -> Vec<(u64, u64)> {
    let (_, slices) = snapshot.groups().next().unwrap();
    let histogram = slices.histograms().next().unwrap().unwrap();
    let config = histogram::Histogram::new(histogram.grouping_power, histogram.max_value_power).unwrap();
    let ranges: Vec<u64> = config.into_iter().map(|bucket| bucket.start()).collect();
    let mut found = Vec::new();
    histogram.each(|index, count| found.push((ranges[index], count)));
    found
}

#[test]
fn kinds() {
    let text = "# TYPE a counter\na 1\n# TYPE b gauge\nb -2\n# TYPE c_total gauge\nc_total 3\n\
                d_total 4\nd_sum 5\nd_count 6\nd 7\n# TYPE e counter\ne_total 8\ne_created 1.5e9\n\
                # TYPE s summary\ns{quantile=\"0.5\"} 9\ns_sum 10\ns_count 11\n# TYPE i info\ni_info{v=\"x\"} 1\n\
                # TYPE g gaugehistogram\ng_bucket{le=\"1\"} 12\ng_gsum 13\nf_created 14\nh_bucket 15\n";
    let expected = [
        "c a 1",
        "c d_count 6",
        "c d_sum 5",
        "c d_total 4",
        "c e_total 8",
        "c s_count 11",
        "c s_sum 10",
        "g b -2",
        "g c_total 3",
        "g d 7",
        "g f_created 14",
        "g g_bucket/1 12",
        "g g_gsum 13",
        "g h_bucket 15",
        "g i_info/x 1",
        "g s/0.5 9",
    ];
    assert_eq!(numbers(&once(text)), expected);
}

#[test]
fn what_is_no_reading() {
    let text = "a_total NaN\nb_total -1\nc_total 18446744073709551615\nd_total 18446744073709551616\n\
                e -9223372036854775808\nf 9223372036854775808\ng +Inf\nh 1e300\ni -Inf\nj 1e3\n";
    let expected = [
        "c a_total none",
        "c b_total none",
        "c c_total 18446744073709551615",
        "c d_total none",
        "g e -9223372036854775808",
        "g f none",
        "g g none",
        "g h none",
        "g i none",
        "g j 1000",
    ];
    assert_eq!(numbers(&once(text)), expected);
}

#[test]
fn fractions_are_kept_beside() {
    let cache = &mut Cache::default();
    assert_eq!(numbers(&read(cache, "a{x=\"1\"} 3\na{x=\"2\"} 4\n")), ["g a/1 3", "g a/2 4"]);
    let text = "a{x=\"1\", unit=\"Celsius\"} 0.25\na{x=\"2\"} 4\nb_total 1.9\n";
    let expected = [
        "c b_total 1",
        "c b_total_millionths 1900000",
        "g a/Celsius/1 0",
        "g a/2 4",
        "g a_millionths/1 250000",
        "g a_millionths/2 4000000",
    ];
    assert_eq!(numbers(&read(cache, text)), expected);
    // They do not go away when the values happen to be whole.
    assert_eq!(
        numbers(&read(cache, "a{x=\"1\"} -3\na{x=\"2\"} NaN\n")),
        ["g a/1 -3", "g a/2 none", "g a_millionths/1 -3000000", "g a_millionths/2 none"]
    );
    // They do with the metric.
    read(cache, "c 1\n");
    assert_eq!(numbers(&read(cache, "a 3\n")), ["g a 3"]);
}

#[test]
fn names_and_labels_fit_into_descriptions() {
    let text = "a:b{metric=\"m\", unit=\"bytes\", x=\"\", y=\"1/2\", é=\"\"} 1\n".replace(", é=\"\"", "");
    let snapshot = once(&text);
    let described = &snapshot.groups[0].schema.gauges[0];
    assert_eq!(described.name, "a_b/m/bytes/1/2");
    assert_eq!(metric_name(described), "a_b");
    assert_eq!(described.metadata["unit"], "bytes");
    assert_eq!(labels(described).collect::<Vec<_>>(), [("exported_metric", "m"), ("y", "1/2")]);
    let snapshot = once("{\"1.x\", \"a.b\"=\"c\"} 1\n");
    let described = &snapshot.groups[0].schema.gauges[0];
    assert_eq!((metric_name(described), &*described.metadata["a_b"]), ("_1_x", "c"));
}

#[test]
fn columns_are_unique_and_duplicates_dropped() {
    let text =
        "a{x=\"1\"} 1\na{y=\"1\"} 2\na{x=\"1\"} 3\n# TYPE a_bucket untyped\na_bucket{le=\"1\",x=\"1\"} 4\n";
    let snapshot = once(text);
    assert_eq!(numbers(&snapshot), ["g a/1 1", "g a/1#2 2"]);
    assert_eq!(snapshot.groups[0].schema.histograms[0].name, "a/1#3");
}

#[test]
fn schemas_are_made_when_series_change() {
    let cache = &mut Cache::default();
    let first = read(cache, "a{x=\"1\",y=\"2\"} 1\nb 2\nh_bucket{le=\"1\"} 3\n");
    let same = read(cache, "h_bucket{le=\"1\"} 4\nb 5\na{y=\"2\",x=\"1\"} 6\n");
    assert!(Arc::ptr_eq(&first.groups[0].schema, &same.groups[0].schema));
    assert_eq!(same.numbers.gauges, [Some(6), Some(5)]);
    let more = read(cache, "a{x=\"1\",y=\"2\"} 1\nb 2\nc 3\nh_bucket{le=\"1\"} 3\n");
    assert_ne!(first.groups[0].hash, more.groups[0].hash);
    let wider = read(cache, "a{x=\"1\",y=\"2\"} 1\nb 2\nc 3\nh_bucket{le=\"1e9\"} 3\n");
    assert_ne!(wider.groups[0].hash, more.groups[0].hash);
}

#[test]
fn histograms() {
    let text = "# TYPE a_seconds histogram\na_seconds_bucket{le=\"0.005\"} 2\na_seconds_bucket{le=\"+Inf\"} 9\n\
                a_seconds_bucket{le=\"1\"} 7\na_seconds_count 9\na_seconds_sum 2.5\n";
    let snapshot = once(text);
    let described = &snapshot.groups[0].schema.histograms[0];
    assert_eq!(described.name, "a_seconds");
    let metadata =
        ["metric", "unit", "grouping_power", "max_value_power"].map(|key| &*described.metadata[key]);
    // ceil(log2(10^9)) + 1
    assert_eq!(metadata, ["a_seconds", "nanoseconds", "7", "31"]);
    // Each the lowest value of the bucket in which 5 ms and 1 s are.
    assert_eq!(buckets(&snapshot), [(4_980_736, 2), (998_244_352, 5)]);
    assert_eq!(numbers(&snapshot)[..2], ["c a_seconds_count 9", "c a_seconds_sum 2"]);
    // The smallest bound becomes 1 or more.
    assert_eq!(buckets(&once("a_bucket{le=\"0.02\"} 1\na_bucket{le=\"0.25\"} 4\n")), [(2, 1), (25, 3)]);
    // Bounds of 0 and below, counts that go down.
    let text = "a_bucket{le=\"-1\"} 1\na_bucket{le=\"0\"} 2\na_bucket{le=\"5\"} 1\na_bucket{le=\"6\"} 3\n";
    assert_eq!(buckets(&once(text)), [(0, 2), (6, 1)]);
    // Nothing but the last bound.
    assert_eq!(buckets(&once("a_bucket{le=\"+Inf\"} 5\n")), []);
    // Bounds beyond what a number can be.
    assert_eq!(buckets(&once("a_bucket{le=\"1e300\"} 5\n")), [(0xff00_0000_0000_0000, 5)]);
}

#[test]
fn histograms_of_a_metric_have_one_layout() {
    let text = "a_bucket{x=\"1\",le=\"0.1\"} 1\na_bucket{x=\"2\",le=\"1000\"} 1\n";
    let shapes = once(text).numbers.histograms;
    assert_eq!(shapes[0].map(|shape| shape.max_value_power), Some(15));
    assert_eq!(shapes[1].map(|shape| shape.max_value_power), Some(15));
}

#[test]
fn buckets_are_those_of_the_histogram_crate() {
    let histogram = histogram::Histogram::new(GROUPING_POWER, 64).unwrap();
    for (index, range) in histogram.into_iter().enumerate() {
        assert_eq!((bucket(range.start()), bucket(range.end())), (index, index));
    }
}

#[test]
fn an_exporter_of_agents_snapshots() {
    let snapshot = once(FIXTURE);
    let schema = &snapshot.groups[0].schema;
    assert_eq!(snapshot.meta("source"), Some("host-9100"));
    let cgroup =
        schema.counters.iter().find(|described| metric_name(described) == "cgroup_cpu_usage").unwrap();
    assert_eq!(cgroup.metadata["name"], "/system.slice/a\"b\\c.service");
    assert_eq!(cgroup.metadata["unit"], "nanoseconds");
    let numbers = numbers(&snapshot);
    assert!(numbers.contains(&"c cpu_usage/0/cpu_usage/user/nanoseconds 5000".into()), "{numbers:?}");
    assert!(numbers.contains(&"g syscall_latency/read/0.99/syscall_latency/nanoseconds 26623".into()));
    let read = &schema.histograms[0];
    assert_eq!(metric_name(read), "syscall_latency_distribution");
    assert_eq!(read.metadata["exported_grouping_power"], "3");
    assert_eq!(read.metadata["grouping_power"], "7");
    assert_eq!(buckets(&snapshot)[0], (31, 50));
}

#[test]
fn descriptions_are_those_of_metrics() {
    let cache = &mut Cache::default();
    read(
        cache,
        "# HELP a All of a.\n# TYPE a counter\na_total 1\n# HELP b \nb 1\n# HELP c:d C.\nc:d 1\n# HELP e E.\n",
    );
    let expected = [("a_total", "All of a."), ("c_d", "C.")].map(|(a, b)| (a.to_string(), b.to_string()));
    assert_eq!(cache.descriptions(), &BTreeMap::from(expected));
}

#[test]
fn units_of_openmetrics() {
    let snapshot =
        once("# TYPE a_bytes counter\n# UNIT a_bytes bytes\na_bytes_total 1\na_bytes_total_x 1\n# EOF\n");
    assert_eq!(snapshot.groups[0].schema.counters[0].metadata["unit"], "bytes");
    assert!(!snapshot.groups[0].schema.gauges[0].metadata.contains_key("unit"));
}

proptest! {
    #[test]
    fn whatever_is_read_is_consistent(lines in prop::collection::vec(
        r#"(a|b:c|b_c|a_bucket|a_total|a_seconds_bucket|a_millionths)(\{(le="(-1|0|0.3|1e9|1e300|\+Inf|x)"|x="[ab]?",unit="s")\})? (-?[0-9]{1,25}|0\.[0-9]|NaN|-Inf|1e30)"#,
        0..20,
    )) {
        let cache = &mut Cache::default();
        let first = read(cache, &lines.join("\n"));
        // What was seen of fractions is remembered, so that only now is it stable.
        let second = read(cache, &lines.iter().rev().map(String::as_str).collect::<Vec<_>>().join("\r\n"));
        prop_assert_eq!(first.groups[0].hash, second.groups[0].hash);
    }

    #[test]
    fn numbers_are_read_back(
        counters in prop::collection::btree_map("[a-z]{1,8}_total", any::<u64>(), 0..5),
        gauges in prop::collection::btree_map("[A-Z]{1,8}", any::<i64>(), 0..5),
    ) {
        let mut text = String::new();
        counters.iter().for_each(|(name, value)| text.push_str(&format!("{name} {value}\n")));
        gauges.iter().for_each(|(name, value)| text.push_str(&format!("{name}{{a=\"b\"}} {value} 5\n")));
        let snapshot = once(&text);
        prop_assert_eq!(snapshot.numbers.counters, counters.into_values().map(Some).collect::<Vec<_>>());
        prop_assert_eq!(snapshot.numbers.gauges, gauges.into_values().map(Some).collect::<Vec<_>>());
    }
}
