//! Tests of the runner itself: a judge that lets everything pass is none.

use rezolus_store::Sample;
use rezolus_store::sample::STALE;

use crate::check::{close, shown, shown_points};
use crate::load::Storage;
use crate::script::{self, Command};
use crate::series;

/// What is wrong with the runner.
pub fn complaints() -> Vec<String> {
    let mut out = Vec::new();
    durations(&mut out);
    points(&mut out);
    numbers(&mut out);
    scripts(&mut out);
    hints(&mut out);
    converted(&mut out);
    out
}

fn expect<T: PartialEq + std::fmt::Debug>(out: &mut Vec<String>, what: &str, got: T, wanted: T) {
    if got != wanted {
        out.push(format!("{what}: {got:?} instead of {wanted:?}"));
    }
}

fn durations(out: &mut Vec<String>) {
    for (text, millis) in [
        ("0", Some(0)),
        ("50m", Some(3_000_000)),
        ("1h30m", Some(5_400_000)),
        ("1m500ms", Some(60_500)),
        ("18000s", Some(18_000_000)),
        ("12.5", Some(12_500)),
        ("-1m", Some(-60_000)),
        ("30m1h", None),
        ("1m1m", None),
        ("1x", None),
        ("", None),
    ] {
        let got = script::duration(text).ok().map(|nanos| nanos / 1_000_000);
        expect(out, &format!("duration {text:?}"), got, millis);
    }
}

/// A series as it was understood.
fn described(text: &str) -> Result<String, String> {
    let series = series::parse(text)?;
    Ok(format!("{} {}", series.labels, shown_points(&series.points)).trim_end().to_owned())
}

fn points(out: &mut Vec<String>) {
    for (text, wanted) in [
        ("m 1 2\t 3", "m 1.0 2.0 3.0"),
        ("m 0+10x3", "m 0.0 10.0 20.0 30.0"),
        ("m 0x2 1x0", "m 0.0 0.0 0.0 1.0"),
        ("m -1-2x2 1-1x1", "m -1.0 -3.0 -5.0 1.0 0.0"),
        ("m _ _x2 stale 1", "m _ _ _ stale 1.0"),
        ("m Inf -inf NaN +Inf 1e3 .5 5. 1e-3x1", "m +Inf -Inf NaN +Inf 1000.0 0.5 5.0 0.001 0.001"),
        ("{} 1", "{} 1.0"),
        ("{a='b', \"c.d\"=`e\\`,} 1", r#"{a="b", "c.d"="e\\"} 1.0"#),
        (r#"{"a.b", x="y"} 1"#, r#"{"a.b", x="y"} 1.0"#),
        (r#"m {a="\"\u00e9\x41\101\n"} 1"#, r#"m{a="\"éAA\n"} 1.0"#),
        ("m{}", "m"),
        (
            "m {{schema:1 sum:2 count:3 buckets:[1 2]}}x1",
            "m {{schema:1 count:3.0 sum:2.0 buckets:[1.0 2.0]}} {{schema:1 count:3.0 sum:2.0 buckets:[1.0 2.0]}}",
        ),
        (
            "m {{count:1}}+{{count:2}}x2",
            "m {{schema:0 count:1.0 sum:0.0}} {{schema:0 count:3.0 sum:0.0}} {{schema:0 count:5.0 sum:0.0}}",
        ),
        (
            "m {{count:5 buckets:[5]}}-{{count:2 buckets:[2]}}x1 _",
            "m {{schema:0 count:5.0 sum:0.0 buckets:[5.0]}} {{schema:0 count:3.0 sum:0.0 buckets:[3.0]}} _",
        ),
    ] {
        expect(out, text, described(text), Ok(wanted.to_owned()));
    }
    for text in
        ["", "m 1+1", "m 1x", "m x3", "m{a=b} 1", "m{a=\"b\" 1", "m 1,2", "m {{count:1", "1 2", "m 1a"]
    {
        if let Ok(got) = described(text) {
            out.push(format!("{text:?} is understood as {got}"));
        }
    }
}

fn numbers(out: &mut Vec<String>) {
    for (a, b, wanted) in [
        (1.0, 1.0 + 1e-6, true),
        (1.0, 1.0 + 1e-5, false),
        (f64::NAN, f64::NAN, true),
        (f64::NAN, STALE, false),
        (f64::INFINITY, f64::INFINITY, true),
        (f64::INFINITY, f64::NEG_INFINITY, false),
        (0.0, 1e-300, false),
        (0.0, -0.0, true),
    ] {
        expect(out, &format!("{a} and {b} are close"), close(a, b), wanted);
    }
}

fn scripts(out: &mut Vec<String>) {
    let text = "# a comment\nload 5m\n\tm{a=\"b\"}\t0+1x3\n\nclear\neval instant at 5m m  # no comment\n  m{a=\"b\"} 1\n\
        eval range from 0 to 1m step 30s sum(m)\n\nnonsense\nload 1x\n  m 1\n\neval instant at 1m 1\n 1\nclear\n\
        eval_fail instant at 0 m\n expected_fail_message no\nclear\neval instant at 0 m\n expect maybe\n";
    let got: Vec<String> = script::parse(text)
        .iter()
        .map(|(line, command)| match command {
            Ok(Command::Clear) => format!("{line} clear"),
            Ok(Command::Load(load)) => format!("{line} load {}", load.series.len()),
            Ok(Command::Eval(eval)) => format!("{line} eval {}", eval.query),
            Err((at, _)) => format!("{line} wrong in {at}"),
        })
        .collect();
    let wanted = [
        "2 load 1",
        "5 clear",
        // What follows a series is a series.
        "6 wrong in 8",
        "10 wrong in 10",
        "14 eval 1",
        "16 clear",
        "17 eval m",
        "19 clear",
        "20 wrong in 21",
    ];
    expect(out, "a script", got, wanted.map(str::to_owned).to_vec());
}

fn load(text: &str) -> Result<Storage, String> {
    let mut storage = Storage::default();
    for (_, command) in script::parse(text) {
        match command.map_err(|(_, why)| why)? {
            Command::Load(load) => storage.load(&load)?,
            _ => return Err("this is no load".to_owned()),
        }
    }
    Ok(storage)
}

/// The samples of the series of a name.
fn samples(storage: &Storage, name: &str) -> Vec<String> {
    use rezolus_store::{Matcher, Source};
    let found = storage.memory.select(&[Matcher::equal("__name__", name)], i64::MIN, i64::MAX);
    let all = found.into_iter().flatten().flat_map(|series| {
        (0..series.samples.len()).map(move |at| series.samples.get(at)).collect::<Vec<Sample>>()
    });
    all.map(|sample| shown(&sample)).collect()
}

fn hints(out: &mut Vec<String>) {
    let text = "load 1m\n m {{count:1 buckets:[1]}} {{count:2 buckets:[2]}} {{count:1 buckets:[1]}} \
        {{count:3 buckets:[0 3]}} stale {{count:4 buckets:[4]}} {{schema:1 count:5 buckets:[5]}} \
        {{schema:1 count:5 buckets:[5] counter_reset_hint:gauge}} {{schema:1 count:6 buckets:[6]}}";
    let got = load(text).map(|storage| {
        let hint = |text: &String| {
            let hint = text.split_once("hint:").map_or("unknown", |(_, rest)| rest.trim_end_matches('}'));
            if text == "stale" { "stale".to_owned() } else { hint.to_owned() }
        };
        samples(&storage, "m").iter().map(hint).collect::<Vec<_>>().join(" ")
    });
    let wanted = "unknown not_reset reset reset stale unknown unknown gauge unknown";
    expect(out, "hints", got, Ok(wanted.to_owned()));
    let twice = "load 1m\n m 1 2\n\nload 1m\n m 1 3\n";
    expect(out, "other samples for the same times", load(twice).is_err(), true);
}

fn converted(out: &mut Vec<String>) {
    let text = "load_with_nhcb 1m\n h_bucket{le=\"+Inf\", a=\"b\"} 4 _\n h_bucket{le=\"1\", a=\"b\"} 1 2\n \
        h_bucket{le=\"2.5\", a=\"b\"} 3 2\n h_sum{a=\"b\"} 7 8\n h_count{a=\"b\"} 4 5\n other 1 1\n";
    let got = load(text).map(|storage| samples(&storage, "h"));
    let wanted = [
        "{{schema:-53 count:4.0 sum:7.0 custom_values:[1.0 2.5] buckets:[1.0 2.0 1.0]}}",
        "{{schema:-53 count:5.0 sum:8.0 custom_values:[1.0 2.5] buckets:[2.0 0.0 3.0] counter_reset_hint:reset}}",
    ];
    let wanted = wanted.map(str::to_owned).to_vec();
    expect(out, "a classic histogram", got, Ok(wanted));
    let falling = "load_with_nhcb 1m\n h_bucket{le=\"1\"} 2\n h_bucket{le=\"+Inf\"} 1\n";
    expect(out, "buckets that fall", load(falling).is_err(), true);
}
