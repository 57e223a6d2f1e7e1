use proptest::prelude::*;

use super::*;

fn one(line: &str) -> Sample<'_> {
    let exposition = parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    assert_eq!(exposition.samples.len(), 1, "{line}");
    exposition.samples.into_iter().next().unwrap()
}

fn label<'a>(sample: &'a Sample<'_>, name: &str) -> &'a str {
    &sample.labels.iter().find(|(label, _)| label == name).unwrap().1
}

#[test]
fn numbers() {
    for (text, value) in [
        ("0", Value::Whole(0)),
        ("-3", Value::Whole(-3)),
        ("18446744073709551615", Value::Whole(u64::MAX.into())),
        ("1.5e3", Value::Float(1500.0)),
        ("+Inf", Value::Float(f64::INFINITY)),
        ("-Inf", Value::Float(f64::NEG_INFINITY)),
        (".5", Value::Float(0.5)),
    ] {
        assert_eq!(Value::parse(text), Some(value), "{text}");
    }
    assert!(Value::parse("NaN").unwrap().as_f64().is_nan());
    for text in ["", "-", "1-1", "x", "1,5", "0x10"] {
        assert_eq!(Value::parse(text), None, "{text}");
    }
}

#[test]
fn what_may_stand_around_a_sample() {
    for line in [
        "a:b_1 5",
        "a:b_1\t5\r",
        "  a:b_1 5 1795354047001",
        "a:b_1{} 5\r\n\r\n",
        "a:b_1 { } 5 1.5",
        "# a comment\n#\n#TYPE\n# HELP\n\na:b_1 5 # {trace_id=\"x\"} 0.5 1.2",
        "a:b_1 5 17 # {} 1\n# EOF\nwhat follows is <no> more",
    ] {
        assert_eq!(one(line), Sample { name: "a:b_1".into(), labels: vec![], value: Value::Whole(5) });
    }
    assert!(parse("").unwrap().samples.is_empty());
    assert!(parse("\n\n").unwrap().samples.is_empty());
}

#[test]
fn labels_and_their_escapes() {
    let sample = one(r#"a { z = "1" , b="\\ \" \n \x2d é, } {" , } 5"#);
    assert_eq!(label(&sample, "z"), "1");
    assert_eq!(label(&sample, "b"), "\\ \" \n \\x2d é, } {");
    assert_eq!(sample.labels[0].0, "b", "they are sorted");
    // As some exporters write it, with nothing escaped.
    let sample = one(r#"a{name="/a"b\c.service", x=""} 5"#);
    assert_eq!(label(&sample, "name"), "/a\"b\\c.service");
    assert_eq!(label(&sample, "x"), "");
}

#[test]
fn names_in_quotes() {
    let sample = one(r#"{"http.requests", "a.b"="c"} 5"#);
    assert_eq!(sample.name, "http.requests");
    assert_eq!(label(&sample, "a.b"), "c");
    let exposition = parse("# TYPE \"http.requests\" counter\n# HELP \"a b\" of \\\\ \\n it\n").unwrap();
    assert_eq!(exposition.types["http.requests"], Type::Counter);
    assert_eq!(exposition.help["a b"], "of \\ \n it");
}

#[test]
fn what_comments_say() {
    let text =
        "# TYPE a counter\n# HELP a  All of \\\\ it. \r\n# UNIT a seconds\n# TYPE b strange\n#TYPE c gauge";
    let exposition = parse(text).unwrap();
    assert_eq!(exposition.types["a"], Type::Counter);
    assert_eq!(exposition.types["b"], Type::Untyped);
    assert_eq!(exposition.help["a"], "All of \\ it.");
    assert_eq!(exposition.units["a"], "seconds");
}

#[test]
fn errors_say_where_and_what() {
    for (line, why) in [
        ("<!DOCTYPE html>", "a name of letters, digits, _ and : is expected, not \"<!DOCTYPE\""),
        ("{\"a\":1}", "a comma or a brace is expected before \":1}\""),
        ("{\"a\": \"b\"}", "a comma or a brace is expected before \": \\\"b\\\"}"),
        ("{}", "without a name"),
        ("{a=\"b\"} 1", "without a name"),
        ("a{\"b\"} 1", "two names"),
        ("1a 5", "a name of letters"),
        ("a", "a number is expected after \"a\", not \"\""),
        ("a b", "a number is expected after \"a\", not \"b\""),
        ("a{b=\"c\"}", "a number is expected"),
        ("a{b=\"c} 1", "the value of label \"b\" has no end"),
        ("a{b=c} 1", "not in quotes"),
        ("a{b} 1", "label \"b\" has no value"),
        ("a{b=\"c\"", "a comma or a brace"),
        ("a{b=\"c\",b=\"d\"} 1", "label \"b\" is there twice"),
        ("a{=\"c\"} 1", "a label's name is expected"),
        ("a{é=\"c\"} 1", "a label's name is expected"),
        ("a{", "a label's name is expected, not \"\""),
        ("a 1 yesterday", "a timestamp or nothing, not \"yesterday\""),
        ("a 1 2 3", "a timestamp or nothing"),
        ("rezolus 5.17 agent", "a timestamp or nothing"),
    ] {
        let error = parse(&format!("b 1\n{line}\nc 1")).unwrap_err();
        assert_eq!(error.line, 2, "{line}");
        assert!(error.why.contains(why), "{line}: {error}");
    }
}

#[test]
fn there_are_limits() {
    let text = "a 1\n".repeat(MOST_SAMPLES + 1);
    let error = parse(&text).unwrap_err();
    assert_eq!(error.line, MOST_SAMPLES + 1);
    assert!(error.why.contains("too much"), "{error}");
    assert_eq!(parse(&text[4..]).unwrap().samples.len(), MOST_SAMPLES);
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

proptest! {
    #[test]
    fn no_text_is_too_bad(text in ".{0,100}") {
        let _ = parse(&text);
    }

    #[test]
    fn no_text_of_its_own_characters_is_too_bad(text in r#"[a{}"\\=, é#\n1.TYPEHLOF]{0,100}"#) {
        let _ = parse(&text);
    }

    #[test]
    fn what_is_written_is_read(
        name in "[a-zA-Z_:][a-zA-Z0-9_:]{0,9}",
        labels in prop::collection::btree_map("[a-zA-Z_][a-zA-Z0-9_]{0,9}", "(?s).{0,20}", 0..4),
        number in any::<f64>(),
        timestamp in any::<Option<i64>>(),
    ) {
        let written = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value)));
        let written = written.collect::<Vec<_>>().join(",");
        let timestamp = timestamp.map(|time| format!(" {time}")).unwrap_or_default();
        let text = format!("# TYPE {name} gauge\n{name}{{{written}}} {number:e}{timestamp}\n");
        let sample = one(&text);
        prop_assert_eq!(&sample.name, &name);
        let read = sample.labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        prop_assert_eq!(labels, read);
        prop_assert!(sample.value.as_f64() == number || number.is_nan());
    }
}
