use super::*;

const SMALL: &str = r#"
[plugin]
name = "demo"
from_the_future = true

[values]
op = ["read", "write"]
error = ["io", "other"]

[maps]
totals = "bank"

[[program]]
name = "issue"
alternatives = ["issue_btf", "issue_raw"]
samplers = ["demo_io"]

[[sampler]]
name = "demo_io"

[[sampler.metric]]
name = "demo_errors"
kind = "counter"
description = "Failed operations."
by = ["op", "error"]
map = "totals"
field = "errors"

[[sampler]]
name = "demo_files"
userspace = true

[[sampler.metric]]
name = "demo_open"
kind = "gauge"
unit = "files"
description = "Open files."
by = ["kind:op"]
"#;

fn refused(text: &str) -> String {
    Manifest::parse(text).unwrap_err().to_string()
}

#[test]
fn unknown_keys_are_ignored_and_missing_ones_defaulted() {
    let manifest = Manifest::parse(SMALL).unwrap();
    assert_eq!(manifest.plugin.name, "demo");
    assert!(manifest.sampler[0].enabled);
    assert_eq!(manifest.sampler[0].interval_ms, 250);
}

#[test]
fn the_last_dimension_varies_fastest() {
    let manifest = Manifest::parse(SMALL).unwrap();
    let labels = manifest.combinations(&manifest.sampler[0].metric[0]);
    let short: Vec<_> = labels.iter().map(|l| format!("{}/{}", l[0].1, l[1].1)).collect();
    assert_eq!(short, ["read/io", "read/other", "write/io", "write/other"]);
}

#[test]
fn a_label_may_use_a_list_of_another_name() {
    let manifest = Manifest::parse(SMALL).unwrap();
    let labels = manifest.combinations(&manifest.sampler[1].metric[0]);
    assert_eq!(labels[1], [("kind", "write")]);
    assert_eq!(manifest.userspace_series(&manifest.sampler[1]), ["demo_open/read", "demo_open/write"]);
}

#[test]
fn faults_name_the_item() {
    assert!(refused("[plugin]\nname = ").starts_with("manifest: line 2: "));
    assert_eq!(
        refused("[plugin]\nname = \"No\""),
        "manifest: plugin \"No\": a name is lower-case letters, digits and _"
    );
    let cases = [
        ("map = \"totals\"", "map = \"total\"", "[maps] does not say what the rows of total are"),
        ("by = [\"op\", \"error\"]", "by = [\"opp\"]", "[values] has no list opp"),
        ("samplers = [\"demo_io\"]", "samplers = [\"x\"]", "program issue: there is no sampler x"),
        ("field = \"errors\"", "", "needs a field"),
        ("userspace = true", "", "is not userspace"),
        ("name = \"demo_files\"", "name = \"demo_io\"", "sampler demo_io: declared twice"),
        ("name = \"demo_open\"", "name = \"demo_errors\"\nmap=\"totals\"\nfield=\"x\"", ""),
    ];
    for (from, to, expected) in cases {
        assert!(SMALL.contains(from), "{from}");
        let text = SMALL.replacen(from, to, 1);
        match Manifest::parse(&text) {
            Err(error) => assert!(error.to_string().contains(expected), "{error}"),
            Ok(_) => assert!(expected.is_empty(), "accepted: {to}"),
        }
    }
}

#[test]
fn the_same_series_twice_is_refused() {
    let twice = format!(
        "{SMALL}\n[[sampler.metric]]\nname = \"demo_open\"\nkind = \"gauge\"\ndescription = \"x\"\nlabels = {{ kind = \"read\" }}\n"
    );
    assert!(refused(&twice).contains("declared twice with the same labels"));
}

proptest::proptest! {
    /// Whatever a plugin says, the answer is a manifest or a sentence.
    #[test]
    fn damaged_manifests_never_panic(at in 0..SMALL.len(), length in 0..40usize, insert in "[a-z0-9_=\\[\\]\"{}\n,.:#]{0,12}") {
        let end = (at + length).min(SMALL.len());
        if SMALL.is_char_boundary(at) && SMALL.is_char_boundary(end) {
            let text = format!("{}{insert}{}", &SMALL[..at], &SMALL[end..]);
            if let Ok(manifest) = Manifest::parse(&text) {
                for sampler in &manifest.sampler {
                    manifest.userspace_series(sampler);
                }
            }
        }
    }
}
