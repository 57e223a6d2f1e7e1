//! The commands `record` and `recording`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use rezolus_modes::log::Contents;
use rezolus_modes::recorder::{self, Options};

use crate::cli::{DEFAULT_URL, Record, Recording};

/// `rezolus record`
///
/// # Errors
///
/// Those of the recorder.
pub fn record(options: Record) -> Result<ExitCode> {
    let mut urls = options.urls;
    urls.extend(options.url);
    if urls.is_empty() {
        urls.push(DEFAULT_URL.into());
    }
    let output = options.output.or(options.file).unwrap_or_else(|| {
        let now = jiff::Zoned::now();
        PathBuf::from(now.strftime("rezolus-%Y%m%dT%H%M%S.parquet").to_string())
    });
    let code = recorder::run(&Options {
        urls,
        output,
        interval: options.interval,
        duration: options.duration,
        metadata: options.metadata,
        force: options.force,
        command: options.command,
    })?;
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// `rezolus recording`
///
/// # Errors
///
/// What is wrong with a file, and with which.
pub fn recording(command: Recording) -> Result<ExitCode> {
    match command {
        Recording::Recover { log, output, force } => recover(&log, output, force),
        Recording::Tool(tool) => match tool.run(&mut std::io::stdout().lock())? {
            true => Ok(ExitCode::SUCCESS),
            false => Ok(ExitCode::FAILURE),
        },
    }
}

fn recover(log: &Path, output: Option<PathBuf>, force: bool) -> Result<ExitCode> {
    let output = match output {
        Some(output) => output,
        None if log.extension().is_some_and(|extension| extension == "log") => log.with_extension(""),
        None => bail!("{}: say where to write with -o FILE", log.display()),
    };
    if output.exists() && !force {
        bail!(
            "{}: this file exists: choose another name with -o, or replace it with --force",
            output.display()
        );
    }
    let contents = Contents::read(log, 0..=u64::MAX).map_err(anyhow::Error::msg)?;
    for damage in &contents.damage {
        eprintln!("rezolus: {damage}");
    }
    if contents.rows == 0 {
        bail!("{}: there are no ticks in it", log.display());
    }
    recorder::remove_leftovers(&output);
    recorder::write_recording(&contents, &output, Default::default())
        .with_context(|| format!("{}", log.display()))?;
    println!("{}: {} ticks; {} can be removed", output.display(), contents.rows, log.display());
    Ok(ExitCode::SUCCESS)
}
