use super::*;
use rezolus_plugin_api::abi::RawValues;

const TEXT: &str = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:    3193      29    0    0    0     0          0         0     3193      29    0    0    0     0       0          0
eth0:327372029    9602    1    2    3     4          5         6   415136    4882    7    8    9    10      11         12
";

#[test]
fn lines_are_decoded() {
    let all: Vec<_> = interfaces(TEXT.as_bytes()).collect();
    assert_eq!(
        all,
        [
            (&b"lo"[..], [3193, 29, 0, 0, 3193, 29, 0, 0]),
            (&b"eth0"[..], [327_372_029, 9602, 1, 2, 415_136, 4882, 7, 8]),
        ]
    );
}

#[test]
fn what_is_no_interface_is_passed_over() {
    for text in [
        "",
        "\n\n",
        "eth0",
        "eth0: 1 2 3",
        "eth0: 1 2 x 4 5 6 7 8 9 10 11 12",
        ": 1 2 3 4 5 6 7 8 9 10 11 12",
    ] {
        assert_eq!(interfaces(text.as_bytes()).count(), 0, "{text:?}");
    }
}

#[test]
fn interfaces_come_and_go() {
    let mut rows = Rows::default();
    let mut round = |names: &[&str]| {
        let mut gone = Vec::new();
        rows.begin();
        let found: Vec<_> = names.iter().map(|name| rows.row_of(name.as_bytes())).collect();
        rows.end(|row| gone.push(row));
        (found, gone)
    };
    assert_eq!(round(&["lo", "eth0"]), (vec![(0, true), (1, true)], vec![]));
    assert_eq!(round(&["lo", "eth0"]), (vec![(0, false), (1, false)], vec![]));
    // The new one does not get the row of the one that it replaces ...
    assert_eq!(round(&["lo", "veth1"]), (vec![(0, false), (2, true)], vec![1]));
    // ... before a refresh has passed.
    assert_eq!(round(&["lo", "veth1", "veth2"]), (vec![(0, false), (2, false), (1, true)], vec![]));
}

#[test]
fn a_refresh_reports_this_machine() {
    let lines: Vec<_> = COLUMNS.iter().map(|(_, id)| *id).collect();
    let mut devices = Devices::start(&Context::new(&lines.join("\n"))).expect("starts");
    let mut raw = RawValues::default();
    devices.refresh(&mut Values::new(&mut raw)).expect("refreshes");
    assert_eq!(raw.cells.len(), raw.rows.len() * COLUMNS.len());
    assert!(raw.rows.iter().any(|row| row.labels[0].1 == "lo"));

    // The second time nothing needs describing.
    let mut again = RawValues::default();
    devices.refresh(&mut Values::new(&mut again)).expect("refreshes");
    assert!(again.rows.is_empty());
    assert_eq!(again.cells.len(), raw.cells.len());
}
