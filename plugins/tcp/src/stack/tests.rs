use super::*;
use rezolus_plugin_api::abi::RawValues;

const SNMP: &[u8] = b"\
Icmp: InMsgs InErrors\n\
Icmp: 0 0\n\
Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab InSegs OutSegs \
RetransSegs InErrs OutRsts InCsumErrors\n\
Tcp: 1 200 120000 -1 8 7 6 5 4 4211 4213 3 2 1 0\n\
Udp: InDatagrams NoPorts\n\
Udp: 5 0\n";
const SOCKSTAT: &[u8] = b"\
sockets: used 22\n\
TCP: inuse 3 orphan 1 tw 7 alloc 4 mem 11\n\
UDP: inuse 0 mem 0\n";

fn ids() -> String {
    let ids: Vec<_> = SOURCES.iter().flat_map(|source| source.wanted).map(|(_, id, _)| *id).collect();
    ids.join("\n")
}

fn number(source: &Source, text: &[u8], name: &str) -> Option<u64> {
    words(source.numbers(text)?).nth(source.column(text, name)?).and_then(decimal)
}

#[test]
fn numbers_are_found_by_name() {
    let [snmp, _, sockstat] = &SOURCES;
    assert_eq!(number(snmp, SNMP, "InSegs"), Some(4211));
    assert_eq!(number(snmp, SNMP, "CurrEstab"), Some(4));
    assert_eq!(number(snmp, SNMP, "InDatagrams"), None);
    assert_eq!(number(snmp, SNMP, "MaxConn"), None, "it is -1");
    assert_eq!(number(sockstat, SOCKSTAT, "tw"), Some(7));
    assert_eq!(number(sockstat, SOCKSTAT, "mem"), Some(11));
}

#[test]
fn text_cut_short_is_no_number() {
    let [snmp, ..] = &SOURCES;
    for end in 0..SNMP.len() {
        let _ = number(snmp, &SNMP[..end], "InErrs");
    }
    assert_eq!(number(snmp, b"", "InErrs"), None);
    assert_eq!(number(snmp, b"Tcp: InErrs\n", "InErrs"), None);
    assert_eq!(number(snmp, b"Tcp: InErrs\nTcp:\n", "InErrs"), None);
}

#[test]
fn a_refresh_reports_every_series_of_this_machine() {
    let ids = ids();
    let mut stack = Stack::start(&Context::new(&ids)).expect("starts");
    let mut raw = RawValues::default();
    stack.refresh(&mut Values::new(&mut raw)).expect("refreshes");
    assert_eq!(raw.cells.len(), ids.lines().count());
}

#[test]
fn the_page_size_is_a_power_of_two() {
    let size = page_size().expect("known");
    assert!(size >= 4096 && (size as u64).is_power_of_two());
}
