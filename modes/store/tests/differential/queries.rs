//! Queries by chance, out of a grammar.
//!
//! Whatever jumps (rounding, comparing, choosing) is done only to what both compute
//! exactly, so that the last bit of a sum does not make another answer.

use crate::data::{LENGTH, START};

#[derive(Debug)]
pub struct Query {
    pub text: String,
    /// ms since the epoch, all of them; of an instant query only the start counts.
    pub start: i64,
    pub end: i64,
    pub step: Option<i64>,
}

/// SplitMix64 (Steele, Lea, Flood 2014): the same queries every time.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Less than a limit.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len() as u64) as usize]
    }
}

pub fn generate(random: &mut Random) -> Query {
    // Half a second past a whole one, also a little before and after the data.
    let start = START - 60_000 + random.below(LENGTH as u64 / 1000 + 400) as i64 * 1000 + 500;
    let instant = random.below(2) == 0;
    let text = if random.below(12) == 0 { scalar(random, 3) } else { vector(random, 3) };
    if instant {
        return Query { text, start, end: start, step: None };
    }
    let step = [1000, 7000, 15_000, 60_000][random.below(4) as usize];
    Query { text, start, end: start + step * random.below(40) as i64, step: Some(step) }
}

const STATES: &[&str] = &["id", "state", "id, state", "", "none", "state, none"];

fn matchers(random: &mut Random) -> &'static str {
    random.one(&[
        "",
        "",
        "",
        r#"{id="1"}"#,
        r#"{id!="1"}"#,
        r#"{state=~"idle|wait"}"#,
        r#"{state!~".*t"}"#,
        r#"{id=~"[12]", state!="idle"}"#,
        r#"{none=""}"#,
        r#"{none!=""}"#,
        r#"{id=~"0|3"}"#,
    ])
}

/// `offset` and `@`; nothing, mostly.
fn shift(random: &mut Random) -> String {
    let at = START + random.below(LENGTH as u64 / 1000) as i64 * 1000 + 500;
    let at = format!("@ {}.{:03}", at / 1000, at % 1000);
    match random.below(12) {
        0 => " offset 1m".to_owned(),
        1 => " offset -47s".to_owned(),
        2 => format!(" {at}"),
        3 => format!(" {at} offset 3m"),
        4 => random.one(&[" @ start()", " @ end()", " @ end() offset 20s"]).to_owned(),
        _ => String::new(),
    }
}

fn selector(random: &mut Random) -> String {
    match random.below(12) {
        0 => format!("info{}", shift(random)),
        1 => format!("h_bucket{}", shift(random)),
        2 => "nothing_there".to_owned(),
        3..6 => format!("c_total{}{}", matchers(random), shift(random)),
        _ => format!("g{}{}", matchers(random), shift(random)),
    }
}

/// `g` and `c_total` never have the same value twice.
fn distinct(random: &mut Random) -> String {
    let name = random.one(&["g", "c_total"]);
    format!("{name}{}{}", matchers(random), shift(random))
}

/// What both compute to the last bit.
fn exact(random: &mut Random) -> String {
    match random.below(5) {
        0 => {
            let (op, by) = (random.one(&["sum", "min", "max", "count"]), grouping(random));
            format!("{op}{by} ({})", distinct(random))
        }
        1 => {
            let function = random.one(&["min", "max", "count", "last", "present", "sum"]);
            format!("{function}_over_time({})", plain_range(random))
        }
        2 => format!("odd{}", shift(random)),
        _ => selector(random),
    }
}

fn grouping(random: &mut Random) -> String {
    match random.below(3) {
        0 => String::new(),
        1 => format!(" by ({})", random.one(STATES)),
        _ => format!(" without ({})", random.one(STATES)),
    }
}

fn plain_range(random: &mut Random) -> String {
    let range = random.one(&["10s", "25s", "1m", "2m", "5m", "12m"]);
    let (name, matchers) = (random.one(&["g", "c_total", "odd"]), matchers(random));
    let matchers = if name == "odd" { "" } else { matchers };
    format!("{name}{matchers}[{range}]{}", shift(random))
}

fn range(random: &mut Random, depth: u32) -> String {
    if depth == 0 || random.below(4) > 0 {
        let range = random.one(&["10s", "25s", "1m", "2m", "5m", "12m"]);
        let name = random.one(&["g", "c_total"]);
        return format!("{name}{}[{range}]{}", matchers(random), shift(random));
    }
    let (inner, range) = (vector(random, depth - 1), random.one(&["1m", "2m", "5m"]));
    let step = random.one(&["5s", "7s", "13s", "30s", "1m", ""]);
    format!("({inner})[{range}:{step}]{}", shift(random))
}

fn counter_range(random: &mut Random) -> String {
    let range = random.one(&["25s", "1m", "2m", "5m", "12m"]);
    format!("c_total{}[{range}]{}", matchers(random), shift(random))
}

fn number(random: &mut Random) -> &'static str {
    random.one(&["0", "1", "-1", "2", "0.5", "37.123", "-250.7", "1e3", "NaN", "Inf"])
}

fn scalar(random: &mut Random, depth: u32) -> String {
    if depth == 0 {
        return number(random).to_owned();
    }
    match random.below(6) {
        0 => "time()".to_owned(),
        1 => "pi()".to_owned(),
        2 => format!("scalar({})", vector(random, depth - 1)),
        3 => {
            let op = random.one(&["+", "-", "*", "/"]);
            format!("({} {op} {})", scalar(random, depth - 1), scalar(random, depth - 1))
        }
        4 => format!("-{}", scalar(random, depth - 1)),
        _ => number(random).to_owned(),
    }
}

fn vector(random: &mut Random, depth: u32) -> String {
    if depth == 0 {
        return selector(random);
    }
    let below = depth - 1;
    match random.below(21) {
        0 | 1 => selector(random),
        2 | 3 => {
            let op = random.one(&["sum", "avg", "min", "max", "count", "group"]);
            format!("{op}{} ({})", grouping(random), vector(random, below))
        }
        // 2.42 takes the deviation of a single NaN or infinity for 0.
        20 => {
            let op = random.one(&["stddev", "stdvar"]);
            format!("{op}{} ({})", grouping(random), distinct(random))
        }
        4 => {
            let (op, by) = (random.one(&["topk", "bottomk"]), grouping(random));
            format!("{op}{by} ({}, {})", random.below(4), distinct(random))
        }
        5 => {
            let q = random.one(&["0", "0.3", "0.5", "0.9", "1", "2", "-1"]);
            format!("quantile{} ({q}, {})", grouping(random), vector(random, below))
        }
        6 => format!("count_values{} (\"v\", {})", grouping(random), distinct(random)),
        7 | 8 => {
            let function = random.one(&["rate", "increase", "irate"]);
            format!("{function}({})", counter_range(random))
        }
        9 | 10 => over_range(random, below),
        11 => math(random, below),
        12 => jumping(random),
        13..16 => arithmetic(random, below),
        16 => comparison(random),
        17 => set(random, below),
        18 => histogram(random),
        _ => labels(random, below),
    }
}

fn over_range(random: &mut Random, depth: u32) -> String {
    let range = range(random, depth);
    match random.below(6) {
        0 => format!("quantile_over_time({}, {range})", random.one(&["0", "0.2", "0.5", "0.95", "1", "7"])),
        1 => format!("predict_linear({}, {})", plain_gauge(random), random.one(&["0", "60", "-30"])),
        2 => format!("double_exponential_smoothing({range}, 0.4, 0.7)"),
        3 => format!("absent_over_time({range})"),
        _ => {
            let function = random.one(&[
                "sum_over_time",
                "avg_over_time",
                "min_over_time",
                "max_over_time",
                "count_over_time",
                "last_over_time",
                "present_over_time",
                "stddev_over_time",
                "stdvar_over_time",
                "delta",
                "idelta",
                "deriv",
            ]);
            format!("{function}({range})")
        }
    }
}

fn plain_gauge(random: &mut Random) -> String {
    format!("g{}[{}]", matchers(random), random.one(&["1m", "5m"]))
}

fn math(random: &mut Random, depth: u32) -> String {
    let inner = vector(random, depth);
    match random.below(4) {
        0 => format!("clamp({inner}, {}, {})", number(random), number(random)),
        1 => format!("clamp_{}({inner}, {})", random.one(&["min", "max"]), number(random)),
        _ => {
            let function = random.one(&[
                "abs", "sqrt", "ln", "log2", "log10", "atan", "asinh", "deg", "rad", "tanh", "acosh", "-",
                "exp",
            ]);
            // Otherwise out of all bounds.
            let inner = if function == "exp" { format!("{inner} / 1e5") } else { inner };
            format!("{function}({inner})")
        }
    }
}

/// Functions that jump.
fn jumping(random: &mut Random) -> String {
    let inner = exact(random);
    match random.below(5) {
        0 => format!("round({inner}, {})", random.one(&["1", "0.5", "8"])),
        1 => format!("{}({})", random.one(&["changes", "resets"]), plain_range(random)),
        // With @ 2.42 gets it wrong where there are gaps.
        2 => format!("timestamp({}{})", random.one(&["g", "info"]), random.one(&["", " offset 1m"])),
        3 => {
            let function = random.one(&[
                "minute",
                "hour",
                "day_of_week",
                "day_of_month",
                "day_of_year",
                "days_in_month",
                "month",
                "year",
            ]);
            format!("{function}({} * 86400)", distinct(random))
        }
        _ => format!("{}({inner})", random.one(&["ceil", "floor", "sgn", "round"])),
    }
}

fn matching(random: &mut Random) -> &'static str {
    random.one(&["", "", "", "on (id, state)", "ignoring (none)", "on (id)", "ignoring (state)", "on ()"])
}

fn arithmetic(random: &mut Random, depth: u32) -> String {
    let op = random.one(&["+", "-", "*", "/"]);
    match random.below(6) {
        // 2.42 forgets to drop the name here.
        5 => {
            let (lhs, rhs) = (operand(random, depth), operand(random, depth));
            format!("({lhs} * 1) atan2 {} ({rhs} * 1)", matching(random))
        }
        0 => format!("{} {op} {}", operand(random, depth), scalar(random, 1)),
        1 => format!("{} {op} {}", scalar(random, 1), operand(random, depth)),
        2 => {
            let side = random.one(&["group_left (kind)", "group_left"]);
            format!("{} {op} on (id) {side} info", operand(random, depth))
        }
        3 => format!("info {op} on (id) group_right (kind) {}", operand(random, depth)),
        _ => format!("{} {op} {} {}", operand(random, depth), matching(random), operand(random, depth)),
    }
}

fn operand(random: &mut Random, depth: u32) -> String {
    format!("({})", vector(random, depth))
}

fn comparison(random: &mut Random) -> String {
    let op = random.one(&["==", "!=", ">", "<", ">=", "<="]);
    let bool = random.one(&["", "bool "]);
    match random.below(4) {
        0 => format!("{} {op} {bool}{}", exact(random), number(random)),
        1 => format!("{} {op} {bool}{}", number(random), exact(random)),
        2 => format!("{} % {}", exact(random), random.one(&["2", "3.5", "-7", "0"])),
        // What is not unique fails in Prometheus 3 even if the comparison leaves it out.
        _ => {
            let matching = if bool.is_empty() { "ignoring (none)" } else { matching(random) };
            format!("{} {op} {bool}{matching} {}", exact(random), exact(random))
        }
    }
}

fn set(random: &mut Random, depth: u32) -> String {
    let op = random.one(&["and", "or", "unless"]);
    format!("{} {op} {} {}", operand(random, depth), matching(random), operand(random, depth))
}

fn histogram(random: &mut Random) -> String {
    let q = random.one(&["0", "0.25", "0.5", "0.9", "0.99", "1", "2", "-1"]);
    let inner = random.one(&[
        "h_bucket",
        "rate(h_bucket[2m])",
        "sum by (le) (rate(h_bucket[5m]))",
        "sum by (le, id) (h_bucket)",
        "increase(h_bucket[1m])",
        r#"h_bucket{le!="+Inf"}"#,
    ]);
    format!("histogram_quantile({q}, {inner})")
}

fn labels(random: &mut Random, depth: u32) -> String {
    let inner = vector(random, depth);
    match random.below(6) {
        0 => format!(r#"label_replace({inner}, "new", "$1-x", "id", "([0-2])")"#),
        1 => format!(r#"label_replace({inner}, "state", "${{1}}", "state", "(.).*")"#),
        2 => format!(r#"label_join({inner}, "new", "/", "state", "id")"#),
        3 => format!("absent({inner})"),
        4 => format!("{}({inner})", random.one(&["sort", "sort_desc"])),
        _ => format!("vector({})", scalar(random, 2)),
    }
}
