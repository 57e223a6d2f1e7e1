//! Promises about the source tree: plugins are built alike, and the generated
//! page of metrics is what the manifests say.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use rezolus_modes::diagnose::definition;
use rezolus_plugin_api::dashboard::Dashboard;
use rezolus_plugin_api::manifest::{Manifest, Metric};

fn tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Name, folder and manifest of every plugin, by name.
fn plugins() -> Vec<(String, PathBuf, Manifest)> {
    let mut found: Vec<_> = fs::read_dir(tree().join("plugins"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|folder| {
            let name = folder.file_name().unwrap().to_string_lossy().into_owned();
            let manifest = Manifest::parse(&read(&folder.join("plugin.toml")));
            (name.clone(), folder, manifest.unwrap_or_else(|error| panic!("{name}: {error}")))
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(found.len(), 7);
    found
}

fn metrics(manifest: &Manifest) -> impl Iterator<Item = &Metric> {
    manifest.sampler.iter().flat_map(|sampler| &sampler.metric)
}

#[test]
fn plugin_folders_are_alike() {
    for (name, folder, manifest) in plugins() {
        assert_eq!(manifest.plugin.name, name);
        for file in ["Cargo.toml", "build.rs", "README.md", "dashboard.json", "diagnoses.json", "src/lib.rs"]
        {
            assert!(folder.join(file).is_file(), "{name}: {file}");
        }
        assert!(folder.join(format!("bpf/{name}.bpf.c")).is_file(), "{name}: bpf/{name}.bpf.c");
    }
}

#[test]
fn everything_is_described_and_drawn() {
    for (name, folder, manifest) in plugins() {
        let dashboard = Dashboard::parse(read(&folder.join("dashboard.json")).as_bytes());
        let dashboard = dashboard.unwrap_or_else(|error| panic!("{name}: {error}"));
        let diagnoses = serde_json::from_str(&read(&folder.join("diagnoses.json")));
        let diagnoses = definition::check(&diagnoses.unwrap_or_else(|error| panic!("{name}: {error}")));
        assert_eq!(diagnoses.refused, Vec::<String>::new(), "{name}");
        assert!(!diagnoses.diagnoses.is_empty(), "{name}: no diagnoses");
        for sampler in &manifest.sampler {
            assert!(
                !sampler.description.is_empty(),
                "{name}: sampler {} says nothing of itself",
                sampler.name
            );
        }
        for metric in metrics(&manifest) {
            assert!(metric.description.ends_with('.'), "{name}: {}: a sentence, please", metric.name);
            assert!(!metric.unit.is_empty(), "{name}: {} has no unit", metric.name);
            assert!(dashboard.draws(&metric.name), "{name}: no chart shows {}", metric.name);
        }
    }
}

/// `REZOLUS_WRITE_DOCS=1 cargo test -p rezolus --test tree` writes the page.
#[test]
fn the_page_of_metrics_is_current() {
    let mut page = String::from(
        "# Metrics\n\nGenerated from the plugins' manifests; `host/tests/tree.rs` says how. What exactly each one counts, and \
         through which hooks, is in the README of its plugin. Every series also has the labels `sampler` and `unit`. \
         Histograms have 496 buckets: exact up to 15, then eight to each power of two.\n",
    );
    for (name, _, manifest) in plugins() {
        let _ = write!(page, "\n## {name}\n\n{}\n", manifest.plugin.description);
        for sampler in &manifest.sampler {
            let _ = write!(page, "\n### {}\n\n{}\n\n", sampler.name, sampler.description);
            if sampler.metric.is_empty() {
                continue;
            }
            page.push_str("| metric | kind | unit | labels | meaning |\n|---|---|---|---|---|\n");
            for metric in &sampler.metric {
                let _ = writeln!(
                    page,
                    "| `{}` | {} | {} | {} | {} |",
                    metric.name,
                    metric.kind,
                    metric.unit,
                    labels(&manifest, metric),
                    metric.description.replace('|', "\\|")
                );
            }
        }
    }
    let path = tree().join("docs/metrics.md");
    if std::env::var_os("REZOLUS_WRITE_DOCS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == page,
        "docs/metrics.md is out of date: REZOLUS_WRITE_DOCS=1 cargo test -p rezolus --test tree"
    );
}

/// `REZOLUS_WRITE_DOCS=1 cargo test -p rezolus --test tree` writes the list.
#[test]
fn the_list_of_diagnoses_is_current() {
    const HEADING: &str = "## Those of the seven plugins\n";
    let mut list = format!(
        "{HEADING}\nGenerated from their `diagnoses.json`; `host/tests/tree.rs` says how.\n\n\
         | diagnosis | says | for | severity | why this threshold |\n|---|---|---|---|---|\n"
    );
    for (name, folder, _) in plugins() {
        let document = serde_json::from_str(&read(&folder.join("diagnoses.json"))).unwrap();
        for diagnosis in definition::check(&document).diagnoses {
            let hold = diagnosis.hold.filter(|hold| !hold.is_zero());
            let _ = writeln!(
                list,
                "| `{name}/{}` | {} | {} | {} | {} |",
                diagnosis.id,
                diagnosis.title,
                hold.map_or_else(|| "once".into(), |hold| format!("{hold:?}")),
                format!("{:?}", diagnosis.severity).to_lowercase(),
                diagnosis.basis.replace('|', "\\|")
            );
        }
    }
    let path = tree().join("docs/diagnoses.md");
    let page = read(&path);
    let (before, found) = page.split_at(page.find(HEADING).expect("a heading"));
    if std::env::var_os("REZOLUS_WRITE_DOCS").is_some() {
        fs::write(&path, format!("{before}{list}")).unwrap();
        return;
    }
    assert!(
        found == list,
        "docs/diagnoses.md is out of date: REZOLUS_WRITE_DOCS=1 cargo test -p rezolus --test tree"
    );
}

fn labels(manifest: &Manifest, metric: &Metric) -> String {
    use rezolus_plugin_api::manifest::Rows;
    let mut labels: Vec<String> =
        metric.labels.iter().map(|(label, value)| format!("{label}={value}")).collect();
    labels.extend(manifest.dimensions(metric).iter().map(|d| format!("{}={}", d.label, d.values.join(", "))));
    let rows = metric.map.as_ref().and_then(|map| manifest.maps.get(map));
    match (rows, metric.rows.as_deref()) {
        (Some(Rows::Cpu), _) | (_, Some("cpu")) => labels.push("id (CPU)".into()),
        (Some(Rows::Cgroup), _) => labels.push("id, name (cgroup)".into()),
        (_, Some(table)) => labels.push(table.into()),
        _ if metric.perf.is_some() => labels.push("id (CPU)".into()),
        _ => {}
    }
    if let Some(iterator) = manifest.iterator.iter().find(|i| metric.iterator.as_ref() == Some(&i.name)) {
        labels.extend(iterator.labels.keys().cloned());
    }
    labels.join("; ")
}
