//! How long the analysis of a recording takes: `cargo bench -p rezolus-modes --bench analysis -- RECORDING`,
//! of the hour that the bench `machine` makes, for example. Each starts with nothing decoded. With
//! `--findings` what was found is printed as well.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use rezolus_modes::analysis::{self, Depth, Scope};
use rezolus_store::cache::Cache;
use rezolus_store::promql::Options;
use rezolus_store::recording::Recording;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let Some(path) = arguments.iter().find(|argument| !argument.starts_with("--")) else {
        println!(
            "no recording was given: make one by `cargo bench -p rezolus-modes --bench machine -- OUTPUT`"
        );
        return ExitCode::SUCCESS;
    };
    match run(Path::new(path), arguments.iter().any(|argument| argument == "--findings")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{path}: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(path: &Path, findings: bool) -> Result<(), String> {
    let options = Options::default();
    let opened = || Recording::open(path, &[], Arc::new(Cache::default()));
    let source = opened()?;
    let begun = Instant::now();
    let health = analysis::summarize(&source, None, &options).map_err(|error| error.to_string())?;
    let resources = health.resources.len();
    println!("summarize             {:>8.3} s, {resources} resources", begun.elapsed().as_secs_f64());
    for depth in [Depth::Resources, Depth::Rest, Depth::Everything] {
        let source = opened()?;
        let scope = Scope { window: None, depth };
        let begun = Instant::now();
        let signals = analysis::signals(&source, scope, &options).map_err(|error| error.to_string())?;
        let evaluated = begun.elapsed().as_secs_f64();
        let detection = analysis::detect_in(signals);
        let whole = begun.elapsed().as_secs_f64();
        let (signals, count) = (detection.signals, detection.findings.len());
        let steps = detection.frame.count;
        println!(
            "detect {:<14} {whole:>8.3} s, {evaluated:.3} s of it to evaluate; {signals} signals, {steps} steps, {count} findings",
            format!("{depth:?}")
        );
        for finding in detection.findings.iter().filter(|_| findings) {
            let at = (finding.onset - detection.frame.start) as f64 / 1e9;
            let end = (finding.end - detection.frame.start) as f64 / 1e9;
            println!("  {at:.0} to {end:.0} s, {:?} {:.2}: {}", finding.kind, finding.score, finding.summary);
            for rank in &finding.ranking {
                println!("    {} {:.2}, {} signals", rank.resource.name(), rank.score, rank.signals);
            }
            for evidence in finding.evidence.iter().take(12) {
                let at = (evidence.onset - detection.frame.start) as f64 / 1e9;
                println!(
                    "      {at:.0} s {:?} {:.2} {}: {:.4} to {:.4} {}",
                    evidence.shape,
                    evidence.score,
                    evidence.signal,
                    evidence.baseline,
                    evidence.level,
                    evidence.unit
                );
            }
        }
    }
    Ok(())
}
