use super::*;

const TABLE: &[Field] = &[
    ("pgfault", "faults"),
    ("allocstall_normal", "stalls"),
    ("allocstall_movable", "stalls"),
    ("numa_hit", "numa"),
];
const TARGETS: &[usize] = &[0, 1, 1, 2];

fn decode(layout: &Layout, text: &str) -> (bool, Vec<Option<u64>>) {
    let mut sums = vec![Some(99); 3];
    let complete = layout.decode(text.as_bytes(), TABLE, TARGETS, &mut sums);
    (complete, sums)
}

#[test]
fn lines() {
    assert_eq!(value_of(b"MemTotal:       24684084 kB", "MemTotal"), Some(24_684_084 * 1024));
    assert_eq!(value_of(b"HugePages_Total:       7", "HugePages_Total"), Some(7));
    assert_eq!(value_of(b"pgfault 5223620", "pgfault"), Some(5_223_620));
    assert_eq!(value_of(b"Active(anon):       1520 kB", "Active"), None);
    assert_eq!(value_of(b"pgfault_x 5", "pgfault"), None);
    assert_eq!(value_of(b"pgfault", "pgfault"), None);
    assert_eq!(value_of(b"pgfault ", "pgfault"), None);
    assert_eq!(value_of(b"pgfault -1", "pgfault"), None);
    assert_eq!(value_of(b"MemTotal: 12 MB", "MemTotal"), None);
    assert_eq!(value_of(b"", "pgfault"), None);
}

#[test]
fn sums_and_absent_lines() {
    let text = "nr_free_pages 1\nallocstall_normal 5\nallocstall_movable 6\npgfree 2\npgfault 7\n";
    let layout = Layout::of(text.as_bytes(), TABLE);
    assert_eq!(decode(&layout, text), (true, vec![Some(7), Some(11), None]));
}

#[test]
fn another_order_is_noticed() {
    let layout = Layout::of(b"pgfault 1\nnuma_hit 2\n", TABLE);
    assert!(!decode(&layout, "numa_hit 2\npgfault 1\n").0);
    assert!(!decode(&layout, "numa_hit 2\n").0);
    assert!(!decode(&layout, "").0);
    assert_eq!(decode(&layout, "pgfault 3\nnew 1\nnuma_hit 4\n"), (true, vec![Some(3), None, Some(4)]));
}

#[test]
fn values_at_the_edge_wrap() {
    assert_eq!(value_of(b"pgfault 18446744073709551615", "pgfault"), Some(u64::MAX));
    assert_eq!(value_of(b"pgfault 18446744073709551616", "pgfault"), Some(0));
}
