use super::*;

/// One pass over these names; names with a digit at the end are partitions.
/// Returns the rows of the disks, the new rows, and the dropped ones.
fn pass(roster: &mut Roster, names: &[&str]) -> (Vec<u32>, Vec<u32>, Vec<u32>) {
    let (mut rows, mut new, mut gone) = (vec![], vec![], vec![]);
    roster.begin();
    for name in names {
        let (row, is_new) = roster.row_of(name, |name| !name.ends_with(|c: char| c.is_ascii_digit()));
        rows.extend(row);
        new.extend(row.filter(|_| is_new));
    }
    roster.end(|row| gone.push(row));
    (rows, new, gone)
}

#[test]
fn partitions_have_no_row() {
    let mut roster = Roster::default();
    assert_eq!(pass(&mut roster, &["sda", "sda1", "sdb"]), (vec![0, 1], vec![0, 1], vec![]));
    assert_eq!(pass(&mut roster, &["sda", "sda1", "sdb"]), (vec![0, 1], vec![], vec![]));
}

#[test]
fn devices_come_and_go() {
    let mut roster = Roster::default();
    pass(&mut roster, &["sda", "sdb", "sdc"]);
    assert_eq!(pass(&mut roster, &["sda", "sdc"]), (vec![0, 2], vec![], vec![1]));
    // A free row is used again, wherever the new device is listed.
    assert_eq!(pass(&mut roster, &["loopa", "sda", "sdc"]), (vec![1, 0, 2], vec![1], vec![]));
    assert_eq!(pass(&mut roster, &["loopa", "sda", "sdc", "sdd"]), (vec![1, 0, 2, 3], vec![3], vec![]));
}

#[test]
fn a_row_is_not_given_up_and_taken_in_one_pass() {
    let mut roster = Roster::default();
    pass(&mut roster, &["sda"]);
    assert_eq!(pass(&mut roster, &["sdb"]), (vec![1], vec![1], vec![0]));
    assert_eq!(pass(&mut roster, &["sdb", "sdc"]), (vec![1, 0], vec![0], vec![]));
}

#[test]
fn order_does_not_matter() {
    let mut roster = Roster::default();
    pass(&mut roster, &["sda", "sdb"]);
    assert_eq!(pass(&mut roster, &["sdb", "sda"]), (vec![1, 0], vec![], vec![]));
    assert_eq!(pass(&mut roster, &[]), (vec![], vec![], vec![0, 1]));
}
