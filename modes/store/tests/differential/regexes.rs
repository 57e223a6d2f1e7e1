//! Regular expressions by chance: both refuse the same ones, and the others match the
//! same values.

use rezolus_store::promql::{self, Options};

use crate::data::{self, START};
use crate::prometheus::Server;
use crate::queries::{Query, Random};
use crate::{ask, same};

const EXPRESSIONS: usize = 3000;

/// What the label `v` of the series `t` is. Newlines are none of them: Prometheus 2.42
/// does not let `.` match these.
pub const VALUES: [&str; 16] = [
    "a", "ab", "aab", "b-a", "é", "É", "٣", "3", "_", "a b", "[a]", "a&b", "x\u{b}y", "\u{17f}", "{2}", "-~",
];

/// Pieces of expressions; some are no good by themselves.
const PIECES: &[&str] = &[
    "a",
    "b",
    "é",
    "-",
    "_",
    ".",
    "^",
    "$",
    "{2}",
    "{,2}",
    "{1,}",
    "{",
    "}",
    "]",
    " ",
    "#",
    "&",
    "~",
    r"\d",
    r"\D",
    r"\w",
    r"\W",
    r"\s",
    r"\S",
    r"\b",
    r"\B",
    r"\A",
    r"\z",
    r"\Z",
    r"\C",
    r"\x61",
    r"\x{e9}",
    r"\141",
    r"\1",
    r"\_",
    r"\-",
    r"\<",
    r"\Q[a]\E",
    r"\pL",
    r"\PL",
    r"\p{Greek}",
    r"\p{Nope}",
    "[ab]",
    "[^a]",
    "[a-b]",
    "[b-a]",
    r"[\d\W]",
    r"[^\w]",
    "[[a]",
    "[a&&b]",
    "[-~]",
    "[~~a]",
    "[]a]",
    "[^]a]",
    "[[:alpha:]]",
    "[[:^alpha:]]",
    "[[:no:]]",
    r"[\b]",
    r"[\]a]",
    r"[\x61-\x{17f}]",
    "(?i)",
    "(?s)",
    "(?x)",
    "(?U)",
    "(?u)",
    "(?-s)",
    "(?m)",
];

fn expression(random: &mut Random, depth: u32) -> String {
    let mut out = String::new();
    for _ in 0..1 + random.below(3) {
        if depth > 0 && random.below(4) == 0 {
            let open = random.one(&["(", "(?:", "(?i:", "(?P<n>", "(?<n>", "(?i-s:"]);
            // Go knew this only later.
            let open = if open == "(?<n>" { "(" } else { open };
            out += &format!("{open}{})", expression(random, depth - 1));
        } else {
            let piece = random.one(PIECES);
            out += piece;
            // A repetition of flags is refused here only.
            if piece.starts_with("(?") {
                out.push('a');
            }
        }
        out += random.one(&["", "", "", "", "*", "+", "?", "+?", "|", "**", "{2}"]);
    }
    out
}

#[test]
fn expressions_match_what_they_match_in_prometheus() {
    let mut random = Random::new(7);
    let data = data::values(&VALUES);
    let server = Server::start(&data.openmetrics).expect("prometheus and promtool of Debian");
    let (mut refused, mut different) = (0, String::new());
    for _ in 0..EXPRESSIONS {
        let expression = expression(&mut random, 2);
        let quoted = expression.replace('\\', "\\\\");
        let text = match random.below(3) {
            0 => format!("label_replace(t, \"w\", \"<$0>\", \"v\", \"{quoted}\")"),
            1 => format!("t{{v!~\"{quoted}\"}}"),
            _ => format!("t{{v=~\"{quoted}\"}}"),
        };
        let query = Query { text, start: START + 500, end: START + 500, step: None };
        let theirs = server.ask(&query).expect("an answer of prometheus");
        let ours = ask(&data.memory, &query, &Options::default());
        refused += usize::from(ours.is_err());
        let equal = match (&theirs, &ours) {
            (Ok(theirs), Ok(ours)) => same(theirs, ours),
            (theirs, ours) => theirs.is_err() && ours.is_err(),
        };
        if !equal {
            different += &format!("{expression}\n  theirs: {theirs:?}\n  ours:   {ours:?}\n");
        }
    }
    assert!(different.is_empty(), "{different}");
    assert!((EXPRESSIONS / 10..EXPRESSIONS * 2 / 3).contains(&refused), "{refused} are refused");
    assert!(promql::check("t{v=~\"(?<n>a)\"}").is_ok());
}
