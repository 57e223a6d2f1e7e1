use proptest::prelude::*;

use super::*;

/// Queries that are none, and what is said of them.
const WRONG: &[(&str, &str)] = &[
    ("", "1:1: parse error: no expression found in input"),
    ("1 +", "1:4: parse error: unexpected end of input"),
    ("(1", "1:3: parse error: unclosed left parenthesis"),
    ("(1))", "1:5: parse error: unexpected right parenthesis ')'"),
    ("*a", "1:1: parse error: unexpected <op:*>"),
    ("a\n  b", "2:3: parse error: unexpected identifier \"b\""),
    ("1 =~ 1", "1:3: parse error: unexpected character after '=': '~'"),
    ("1 !~ 1", "1:3: parse error: unexpected character after '!': '~'"),
    (".", "1:1: parse error: unexpected character: '.'"),
    ("2.5.", "1:4: parse error: unexpected character: '.'"),
    ("100..4", "1:5: parse error: unexpected number \".4\""),
    ("0deadbeef", "1:1: parse error: bad number or duration syntax: \"0de\""),
    ("a $", "1:3: parse error: unexpected character: '$'"),
    ("\"a", "1:1: parse error: unterminated quoted string"),
    ("`a", "1:1: parse error: unterminated raw string"),
    (r#""\c""#, "1:1: parse error: unknown escape sequence U+0063 'c'"),
    (r#""\xg1""#, "1:1: parse error: illegal character U+0067 'g' in escape sequence"),
    (r#""\ud800""#, "1:1: parse error: escape sequence is an invalid Unicode code point"),
    (
        "1e999",
        "1:1: parse error: error parsing number: strconv.ParseFloat: parsing \"1e999\": value out of range",
    ),
    ("a{", "1:3: parse error: unexpected end of input inside braces"),
    ("a}", "1:2: parse error: unexpected character: '}'"),
    ("a{b", "1:4: parse error: unexpected end of input inside braces"),
    ("a{b=c}", "1:5: parse error: unexpected identifier \"c\" in label matching, expected string"),
    ("a{b:c=\"d\"}", "1:4: parse error: unexpected character inside braces: ':'"),
    ("a{b}", "1:4: parse error: unexpected \"}\" in label matching, expected label matching operator"),
    ("a{1}", "1:3: parse error: unexpected character inside braces: '1'"),
    ("a{,}", "1:3: parse error: unexpected \",\" in label matching, expected identifier or \"}\""),
    ("a{b==\"c\"}", "1:5: parse error: unexpected \"=\" in label matching, expected string"),
    (
        "a{b=\"c\" d}",
        "1:9: parse error: unexpected identifier \"d\" in label matching, expected \",\" or \"}\"",
    ),
    ("a{b=~\"(\"}", "1:3: parse error: error parsing regexp: missing closing ): `(`"),
    ("{}", "1:1: parse error: vector selector must contain at least one non-empty matcher"),
    ("{a=\"\"}", "1:1: parse error: vector selector must contain at least one non-empty matcher"),
    ("a{__name__=\"b\"}", "1:1: parse error: metric name must not be set twice: \"a\" or \"b\""),
    ("a[5mm]", "1:3: parse error: bad number or duration syntax: \"5mm\""),
    ("a[5m", "1:5: parse error: unclosed left bracket"),
    (
        "a[]",
        "1:3: parse error: unexpected \"]\" in subquery or range selector, expected number, duration, step(), or range()",
    ),
    ("a[0m]", "1:3: parse error: duration must be greater than 0"),
    ("a[1m5h]", "1:3: parse error: not a valid duration string: \"1m5h\""),
    ("a[5m:", "1:6: parse error: unclosed left bracket"),
    ("a[5m:5m:5m]", "1:8: parse error: unexpected colon ':'"),
    ("a[b]", "1:3: parse error: unexpected character in duration expression: 'b'"),
    ("a offset 1m[5m]", "1:12: parse error: no offset modifiers allowed before range"),
    ("a @ 5 [5m]", "1:7: parse error: no @ modifiers allowed before range"),
    ("(a + b)[5m]", "1:8: parse error: ranges only allowed for vector selectors"),
    (
        "a offset",
        "1:9: parse error: unexpected end of input in offset, expected number, duration, step(), or range()",
    ),
    (
        "1 offset 1m",
        "1:1: parse error: offset modifier must be preceded by an instant vector selector or range vector selector or a subquery",
    ),
    ("a offset 1m offset 2m", "1:1: parse error: offset may not be set multiple times"),
    ("a @ 1m", "1:5: parse error: unexpected duration \"1m\" in @, expected timestamp"),
    (
        "1 @ 5",
        "1:1: parse error: @ modifier must be preceded by an instant vector selector or range vector selector or a subquery",
    ),
    ("a @ 1 @ 2", "1:1: parse error: @ <timestamp> may not be set multiple times"),
    ("a @ Inf", "1:1: parse error: timestamp out of bounds for @ modifier: +Inf"),
    ("nothing(a)", "1:1: parse error: unknown function with name \"nothing\""),
    (
        "rate(a)",
        "1:6: parse error: expected type range vector in call to function \"rate\", got instant vector",
    ),
    ("abs(1)", "1:5: parse error: expected type instant vector in call to function \"abs\", got scalar"),
    ("1 + floor()", "1:5: parse error: expected 1 argument(s) in call to \"floor\", got 0"),
    ("hour(a, b)", "1:1: parse error: expected at most 1 argument(s) in call to \"hour\", got 2"),
    (
        "label_join(a, \"b\")",
        "1:1: parse error: expected at least 3 argument(s) in call to \"label_join\", got 2",
    ),
    (
        "label_join(a, \"b\", \"c\", 1)",
        "1:25: parse error: expected type string in call to function \"label_join\", got scalar",
    ),
    ("abs(a,)", "1:6: parse error: trailing commas not allowed in function call args"),
    ("sum a", "1:5: parse error: unexpected identifier \"a\""),
    ("sum(a b)", "1:7: parse error: unexpected identifier \"b\" in aggregation"),
    ("sum(a) by b", "1:11: parse error: unexpected identifier \"b\" in grouping opts, expected \"(\""),
    (
        "sum by (a b) (c)",
        "1:11: parse error: unexpected identifier \"b\" in grouping opts, expected \",\" or \")\"",
    ),
    ("sum by (1) (c)", "1:9: parse error: unexpected number \"1\" in grouping opts, expected label"),
    ("sum by (\"\") (a)", "1:9: parse error: invalid label name for grouping: \"\""),
    ("sum by (a) (b) by (c)", "1:16: parse error: unexpected <by>"),
    ("sum()", "1:1: parse error: no arguments for aggregate expression provided"),
    (
        "topk(a)",
        "1:1: parse error: wrong number of arguments for aggregate expression provided, expected 2, got 1",
    ),
    ("topk(a, b)", "1:6: parse error: expected type scalar in aggregation parameter, got instant vector"),
    ("sum(1)", "1:5: parse error: expected type instant vector in aggregation expression, got scalar"),
    ("1 == 1", "1:3: parse error: comparisons between scalars must use BOOL modifier"),
    ("a + bool b", "1:3: parse error: bool modifier can only be used on comparison operators"),
    ("a and 1", "1:1: parse error: set operator \"and\" not allowed in binary scalar expression"),
    ("a and on (b) group_left c", "1:1: parse error: no grouping allowed for \"and\" operation"),
    (
        "a + on (b) group_left (b) c",
        "1:3: parse error: label \"b\" must not occur in ON and GROUP clause at once",
    ),
    ("a + on (b) 1", "1:1: parse error: vector matching only allowed between instant vectors"),
    ("a + on b", "1:8: parse error: unexpected identifier \"b\" in grouping opts, expected \"(\""),
    ("1 + a[5m]", "1:5: parse error: binary expression must contain only scalar and instant vector types"),
    (
        "-\"a\"",
        "1:1: parse error: unary expression only allowed on expressions of type scalar or instant vector, got \"string\"",
    ),
    ("1[5m:]", "1:1: parse error: subquery is only allowed on instant vector, got scalar instead"),
    // Form goes before types.
    ("rate(a) +", "1:10: parse error: unexpected end of input"),
    ("sum(rate(a[5m])", "1:16: parse error: unclosed left parenthesis"),
];

#[test]
fn errors_say_what_and_where() {
    let mut wrong = String::new();
    for (text, wanted) in WRONG {
        let got =
            query(text, Times::default()).map_or_else(|error| error.message, |node| format!("{node:?}"));
        if got != *wanted {
            wrong += &format!("{text}\n  wanted {wanted}\n  got    {got}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_place_of_an_error_is_a_range() {
    let range = |text| query(text, Times::default()).unwrap_err().range;
    assert_eq!(range("sum(rate(foo))"), Some(9..12));
    assert_eq!(range("1 + nothing(a)"), Some(4..11));
    assert_eq!(range("a +"), Some(3..3));
}

fn good(text: &str) -> Node {
    query(text, Times::default()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn operators_bind_as_they_do_in_prometheus() {
    for (text, same) in [
        ("1 + 2 * 3 ^ 2 ^ -1", "(1 + (2 * (3 ^ (2 ^ (-1)))))"),
        ("-2 ^ 2 * 3", "((-(2 ^ 2)) * 3)"),
        ("1 - 2 - 3 % 4 / 5", "((1 - 2) - ((3 % 4) / 5))"),
        ("a or b and c unless d == e + f", "(a or ((b and c) unless (d == (e + f))))"),
        ("a atan2 b * c", "((a atan2 b) * c)"),
        ("-a offset 5m + b", "((-(a offset 5m)) + b)"),
        ("a offset 5m * 2", "((a offset 5m) * 2)"),
    ] {
        let bare = |text: &str| {
            // Without parentheses and places.
            let shown = format!("{:?}", good(text)).replace("Paren(", "(");
            let mut shown: String = shown.chars().filter(|c| !"()".contains(*c)).collect();
            while let Some(at) = shown.find("place: Some") {
                let end = at + shown[at..].find('}').unwrap();
                shown.replace_range(at..=end, "");
            }
            shown
        };
        assert_eq!(bare(text), bare(same), "{text}");
    }
}

#[test]
fn words_are_names_too() {
    for text in [
        "sum",
        "min + max",
        "and",
        "by",
        "offset",
        "step",
        "start{a=\"b\"}",
        "fill",
        "smoothed",
        "a:b",
        "sum by (on, by, sum, and, start) (x)",
        "{\"a.b\", c=\"d\"}",
        "{\"a\", 'b.c'=~`d`}",
        "SUM BY (a) (x)",
        "a OFFSET 5m",
        "x == BOOL 1",
        "sum by (\"a b\") (x)",
    ] {
        good(text);
    }
    for text in ["on", "bool", "group_left", "1 by"] {
        query(text, Times::default()).unwrap_err();
    }
}

#[test]
fn numbers_have_all_their_forms() {
    for (text, wanted) in [
        ("0x1F", 31.0),
        ("0x_1f", 31.0),
        ("1_000.5", 1000.5),
        ("010", 8.0),
        ("08", 8.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e-3", 1e-3),
        ("1E+3", 1e3),
        ("iNf", f64::INFINITY),
        ("1h30m", 5400.0),
        ("10ms", 0.01),
        ("-5m", -300.0),
    ] {
        assert!(matches!(good(text), Node::Number(number) if number == wanted), "{text}");
    }
}

#[test]
fn durations_are_computed() {
    let times = Times { step: 5_000_000_000, range: 60_000_000_000 };
    for (text, seconds) in [
        ("a[5m]", 300.0),
        ("a[300]", 300.0),
        ("a[0x10]", 16.0),
        ("a[1.5]", 1.5),
        ("a[5m+1m]", 360.0),
        ("a[2^3*2-1]", 15.0),
        ("a[-(-1m)]", 60.0),
        ("a[step()*2]", 10.0),
        ("a[range()/3]", 20.0),
        ("a[max(step(),1m)%50]", 10.0),
        ("a[min(step(), 1m, )]", f64::NAN),
        ("a[2 * (1 + 3s)]", 8.0),
        ("a[STEP()]", 5.0),
    ] {
        match query(text, times) {
            Ok(Node::Range(_, range)) => assert_eq!(range, (seconds * 1e9) as i64, "{text}"),
            other => assert!(other.is_err() && seconds.is_nan(), "{text}: {other:?}"),
        }
    }
    for (text, seconds) in [
        ("a offset 5m", 300.0),
        ("a offset -5", -5.0),
        ("a offset (1h - 5)", 3595.0),
        ("a offset -(5*2)", -10.0),
        ("a offset step()", 5.0),
        ("a offset -min(step(), 1)", -1.0),
    ] {
        let Ok(Node::Selector(selector)) = query(text, times) else { panic!("{text}") };
        assert_eq!(selector.shift.offset, (seconds * 1e9) as i64, "{text}");
    }
    let error = query("a[5m/0]", times).unwrap_err();
    assert_eq!(error.message, "1:5: parse error: division by zero");
}

#[test]
fn calls_know_their_places() {
    let query = "1 + sum by (a) (\n  rate(x{a=\"(\"}[5m] offset -1m) * on (b) group_left (c)\n  -topk(1e+3, sort(y)))";
    let place = |line, column| Some(Place { line, column });
    let Node::Binary(binary) = good(query) else { panic!() };
    let Node::Aggregate(sum) = &binary.rhs else { panic!() };
    let Node::Binary(product) = &sum.inner else { panic!() };
    assert_eq!(product.place, place(2, 3));
    let Node::Call(rate) = &product.lhs else { panic!() };
    assert_eq!(rate.arg_places, [Place { line: 2, column: 8 }]);
    let Node::Negate(negated) = &product.rhs else { panic!() };
    let Node::Aggregate(topk) = &**negated else { panic!() };
    assert_eq!(topk.param_place, place(3, 9));
    assert_eq!(topk.inner_place, place(3, 15));
}

/// Without optimizations this takes more than the stack of a test.
#[test]
fn depth_has_bounds() {
    let thread = std::thread::Builder::new().stack_size(8 << 20).spawn(bounds_of_depth);
    thread.unwrap().join().unwrap();
}

fn bounds_of_depth() {
    for text in [
        format!("{}1{}", "(".repeat(400), ")".repeat(400)),
        format!("1{}", " + 1".repeat(1600)),
        format!("{}a{}", "abs(".repeat(400), ")".repeat(400)),
        format!("{}a", "-".repeat(400)),
    ] {
        good(&text);
    }
    for text in [
        "(".repeat(100_000),
        format!("1{}", " + 1".repeat(1601)),
        format!("1{}", "^1".repeat(401)),
        format!("{}1{}", "(".repeat(401), ")".repeat(401)),
        "-".repeat(401),
        "a".repeat(MOST_BYTES + 1),
    ] {
        assert!(query(&text, Times::default()).unwrap_err().range.is_some());
    }
}

const WORDS: &[&str] = &[
    "a",
    "sum",
    "topk",
    "rate",
    "(",
    "(",
    ")",
    ")",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "5m",
    "1",
    "0x1",
    "1e",
    "\"s\"",
    "\"",
    "'\\",
    "`",
    "+",
    "-",
    "*",
    "^",
    "==",
    "=",
    "=~",
    "!",
    "!=",
    "<",
    "</",
    ">/",
    "and",
    "or",
    "by",
    "on",
    "bool",
    "group_left",
    "offset",
    "@",
    "start",
    "step",
    "max",
    "fill",
    "smoothed",
    "é",
    "#",
    "\n",
    " ",
    "inf",
    "info",
    "1.5h",
    "9y",
    "_",
];

proptest! {
    /// Whatever is refused has a place inside of the query.
    #[test]
    fn every_error_has_a_place(words in prop::collection::vec(prop::sample::select(WORDS), 0..14)) {
        let text = words.join(" ");
        let glued = words.concat();
        for text in [text, glued] {
            if let Err(error) = query(&text, Times::default()) {
                let range = error.range.clone().expect("a place");
                prop_assert!(text.get(range.clone()).is_some(), "{text:?} {range:?}");
                let place = Place::of(&text, range.start).to_string();
                prop_assert!(error.message.starts_with(&format!("{place}: parse error: ")), "{text:?}: {error}");
            }
        }
    }
}
