//! `rezolus plugins check`: verifies plugin files without a running agent.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use rezolus_plugin_api::dashboard::Dashboard;
use rezolus_plugin_api::manifest::{Manifest, Metric};
use serde::Serialize;

use crate::plugin::{self, Library};

/// What is found in a file.
#[derive(Serialize)]
struct Found {
    file: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plugin: Option<Description>,
}

#[derive(Serialize)]
struct Description {
    name: String,
    description: String,
    version: String,
    contract: u32,
    bpf_object_bytes: usize,
    dashboard: bool,
    /// How many can be asked.
    diagnoses: usize,
    /// What a viewer would stumble over.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    samplers: Vec<Sampler>,
}

#[derive(Serialize)]
struct Sampler {
    name: String,
    description: String,
    enabled: bool,
    reads: Vec<String>,
    programs: BTreeMap<String, Vec<String>>,
    metrics: Vec<Shown>,
}

#[derive(Serialize)]
struct Shown {
    name: String,
    kind: String,
    unit: String,
    labels: Vec<String>,
    description: String,
}

/// Checks every file; the exit code says whether all would be accepted.
pub fn run(files: &[PathBuf], json: bool) -> Result<ExitCode> {
    let found: Vec<Found> = files.iter().map(|file| examine(file)).collect();
    if json {
        println!("{}", serde_json::to_string_pretty(&found)?);
    } else {
        for found in &found {
            print(found);
        }
    }
    let good = found.iter().all(|found| found.refused.is_none());
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn examine(file: &Path) -> Found {
    let opened = plugin::check(file).and_then(|checked| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        plugin::try_out(&name, &checked.bytes)?;
        Library::open(&name, &checked.bytes)
    });
    match opened {
        Ok(library) => Found { file: file.into(), refused: None, plugin: Some(describe(&library)) },
        Err(why) => Found { file: file.into(), refused: Some(why), plugin: None },
    }
}

fn describe(library: &Library) -> Description {
    let manifest = &library.manifest;
    let samplers = manifest
        .sampler
        .iter()
        .map(|sampler| Sampler {
            name: sampler.name.clone(),
            description: sampler.description.clone(),
            enabled: sampler.enabled,
            reads: sampler.reads.clone(),
            programs: manifest
                .program
                .iter()
                .filter(|program| program.samplers.contains(&sampler.name))
                .map(|program| (program.name.clone(), program.alternatives.clone()))
                .collect(),
            metrics: sampler.metric.iter().map(|metric| shown(manifest, metric)).collect(),
        })
        .collect();
    Description {
        name: manifest.plugin.name.clone(),
        description: manifest.plugin.description.clone(),
        version: library.version.clone(),
        contract: library.contract,
        bpf_object_bytes: library.object.map_or(0, <[u8]>::len),
        dashboard: library.dashboard.is_some(),
        diagnoses: library.diagnoses.as_ref().map_or(0, |checked| checked.diagnoses.len()),
        warnings: warnings(library),
        samplers,
    }
}

/// Faults of the diagnoses and of the dashboard, and metrics without a chart. A
/// host loads such a plugin all the same.
fn warnings(library: &Library) -> Vec<String> {
    let mut warnings = of_diagnoses(library);
    warnings.extend(of_dashboard(library));
    warnings
}

/// Diagnoses that a host leaves out, and those that ask for what nobody is said to have.
fn of_diagnoses(library: &Library) -> Vec<String> {
    let Some(checked) = &library.diagnoses else { return Vec::new() };
    let declared = |name: &String| {
        library.manifest.sampler.iter().flat_map(|sampler| &sampler.metric).any(|metric| metric.name == *name)
    };
    let foreign =
        checked.diagnoses.iter().filter(|diagnosis| diagnosis.also.is_empty()).filter_map(|diagnosis| {
            let name = diagnosis.needs.iter().find(|name| !declared(name))?;
            Some(format!(
                "diagnosis {}: {name} is no metric of this plugin; name the one that has it in `also`",
                diagnosis.id
            ))
        });
    checked.refused.iter().map(|why| format!("left out: {why}")).chain(foreign).collect()
}

fn of_dashboard(library: &Library) -> Vec<String> {
    let Some(json) = &library.dashboard else { return Vec::new() };
    match Dashboard::parse(json.to_string().as_bytes()) {
        Ok(dashboard) => library
            .manifest
            .sampler
            .iter()
            .flat_map(|sampler| &sampler.metric)
            .filter(|metric| !dashboard.draws(&metric.name))
            .map(|metric| format!("no chart shows {}", metric.name))
            .collect(),
        Err(error) => vec![error.to_string()],
    }
}

fn shown(manifest: &Manifest, metric: &Metric) -> Shown {
    let fixed = metric.labels.iter().map(|(label, value)| format!("{label}={value}"));
    let several = manifest
        .dimensions(metric)
        .into_iter()
        .map(|dimension| format!("{}={{{}}}", dimension.label, dimension.values.join(",")))
        .collect::<Vec<_>>();
    Shown {
        name: metric.name.clone(),
        kind: metric.kind.to_string(),
        unit: metric.unit.clone(),
        labels: fixed.chain(several).collect(),
        description: metric.description.clone(),
    }
}

fn print(found: &Found) {
    if let Some(why) = &found.refused {
        println!("{}: refused: {why}", found.file.display());
    }
    let Some(plugin) = &found.plugin else { return };
    println!("{}: accepted", found.file.display());
    println!("  plugin     {} {} (contract {})", plugin.name, plugin.version, plugin.contract);
    if !plugin.description.is_empty() {
        println!("             {}", plugin.description);
    }
    println!(
        "  carries    {}, {}, {}",
        match plugin.bpf_object_bytes {
            0 => "no BPF object".to_string(),
            bytes => format!("a BPF object of {bytes} bytes"),
        },
        if plugin.dashboard { "a dashboard" } else { "no dashboard" },
        match plugin.diagnoses {
            0 => "no diagnoses".to_string(),
            1 => "a diagnosis".to_string(),
            count => format!("{count} diagnoses"),
        }
    );
    for warning in &plugin.warnings {
        println!("  warning    {warning}");
    }
    for sampler in &plugin.samplers {
        println!("\n  sampler    {}{}", sampler.name, if sampler.enabled { "" } else { " (off by default)" });
        if !sampler.description.is_empty() {
            println!("             {}", sampler.description);
        }
        for (program, alternatives) in &sampler.programs {
            println!("    program  {program}: {}", alternatives.join(" > "));
        }
        if !sampler.reads.is_empty() {
            println!("    reads    {}", sampler.reads.join(", "));
        }
        for metric in &sampler.metrics {
            let labels = if metric.labels.is_empty() {
                String::new()
            } else {
                format!(" {}", metric.labels.join(" "))
            };
            println!("    {:<9} {}{labels} [{}]", metric.kind, metric.name, metric.unit);
        }
    }
}
