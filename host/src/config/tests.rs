use super::*;

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(Path::new("config.toml"), text).map_err(|error| error.to_string())
}

#[test]
fn an_empty_file_is_the_default() {
    assert_eq!(parse(""), Ok(Config::default()));
}

#[test]
fn the_shipped_file_documents_the_defaults() {
    let text = include_str!("../../../config/config.toml");
    assert_eq!(parse(text), Ok(Config::default()));
    // With its examples uncommented it must still parse: every key it names exists.
    let all: String = text
        .lines()
        .map(|line| match line.strip_prefix("#= ") {
            Some(example) => format!("{example}\n"),
            None => format!("{line}\n"),
        })
        .collect();
    parse(&all).unwrap();
}

#[test]
fn unknown_keys_name_line_and_nearest() {
    assert_eq!(
        parse("[agent]\n\nlisten = \"127.0.0.1:1\"\nplugin_dri = \"/x\"\n").unwrap_err(),
        "config.toml, line 4: unknown key `plugin_dri`; did you mean `plugin_dir`? \
         (valid: listen, plugin_dir, ttl, btf, max_cgroups)"
    );
    assert_eq!(
        parse("[plugins.cpu.samplers.cpu_perf]\nenable = false\n").unwrap_err(),
        "config.toml, line 2: unknown key `enable`; did you mean `enabled`? (valid: enabled, interval)"
    );
    assert!(parse("[plugin.cpu]\n").unwrap_err().contains("did you mean `plugins`"));
}

#[test]
fn faults_name_the_line() {
    for (text, expected) in [
        ("[agent\n", "config.toml, line 1: "),
        ("[agent]\nttl = 10\n", "config.toml, line 2: invalid type"),
        ("[agent]\nttl = \"soon\"\n", "line 2: \"soon\" is not a duration"),
        ("[agent]\nlisten = \"4241\"\n", "line 2: "),
        ("[agent]\nmax_cgroups = 1\n", "max_cgroups is from 64"),
        ("[plugins.cpu]\nenabled = \"no\"\n", "line 2: invalid type: string \"no\", expected a boolean"),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_plugin_switched_off_takes_its_samplers_along() {
    let config = parse("[plugins.cpu]\nenabled = false\n[plugins.cpu.samplers.a]\nenabled = true\n").unwrap();
    assert!(!config.sampler_enabled("cpu", "a", true));
    let config = parse("[plugins.cpu.samplers.a]\nenabled = true\ninterval = \"2s\"\n").unwrap();
    assert!(config.sampler_enabled("cpu", "a", false));
    assert!(!config.sampler_enabled("cpu", "b", false));
    assert_eq!(config.sampler_interval("cpu", "a"), Some(Duration::from_secs(2)));
}

proptest::proptest! {
    #[test]
    fn any_text_is_a_configuration_or_an_error_with_the_file(text in "(\\PC|\n){0,200}") {
        if let Err(error) = parse(&text) {
            assert!(error.starts_with("config.toml"), "{error}");
        }
    }

    #[test]
    fn a_misspelt_key_gets_a_suggestion(key in "[a-z_]{1,12}") {
        if let Err(error) = parse(&format!("[agent]\n{key} = 1\n")) {
            assert!(error.contains("line 2"), "{error}");
        }
    }
}
