//! `rezolus status`: a running agent's state as a table.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::cli;
use crate::status::{Plugin, Program, Report, Sampler, State};

/// Asks the agent and prints what it says.
pub fn run(options: &cli::Status) -> Result<ExitCode> {
    let text = fetch(options)?;
    let report: Report = serde_json::from_str(&text)
        .with_context(|| format!("{} answered, but not as a rezolus agent does", options.url))?;
    if options.json {
        println!("{text}");
    } else {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        print!("{}", table(&report, &options.url, colour));
    }
    Ok(ExitCode::SUCCESS)
}

fn fetch(options: &cli::Status) -> Result<String> {
    let mut url = format!("{}/status", options.url.trim_end_matches('/'));
    let mut patience = Duration::from_secs(5);
    if let Some(time) = options.cost {
        let _ = write!(url, "?cost={}", humantime::format_duration(time).to_string().replace(' ', ""));
        patience += time;
    }
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(patience))
        .http_status_as_error(false)
        .build()
        .into();
    let mut response = agent.get(&url).call().with_context(|| {
        format!("no agent answers at {}; is it running, and is [agent] listen the same?", options.url)
    })?;
    let text =
        response.body_mut().read_to_string().with_context(|| format!("{url}: the answer broke off"))?;
    if !response.status().is_success() {
        bail!("{url}: {}: {}", response.status(), text.trim());
    }
    Ok(text)
}

/// The table: a block per plugin, a line per sampler and program.
fn table(report: &Report, url: &str, colour: bool) -> String {
    let mut out = String::new();
    let up = humantime::format_duration(Duration::from_secs(report.uptime_seconds));
    let _ = writeln!(
        out,
        "rezolus {} at {url}, up {up}, configured by {}",
        report.version,
        report.config.display()
    );
    let cgroups = &report.cgroups;
    let _ = writeln!(
        out,
        "cgroups: {} of up to {}{}{}",
        cgroups.tracked,
        cgroups.capacity,
        cgroups.hierarchy.as_deref().map(|h| format!(", {h}")).unwrap_or_default(),
        match (cgroups.tracked, cgroups.overflow) {
            (_, 0) => String::new(),
            // Without BPF there are no rows at all, however many are asked for.
            (0, _) => "; they are not told apart".into(),
            (_, overflow) => format!("; {overflow} found no room (raise max_cgroups)"),
        },
    );
    if let Some(error) = &report.config_error {
        let _ = writeln!(out, "configuration not taken over: {error}");
    }
    for warning in &report.warnings {
        let _ = writeln!(out, "warning: {warning}");
    }
    if report.plugins.is_empty() {
        let _ = writeln!(out, "no plugins");
    }
    let wide = Widths::of(report);
    for plugin in &report.plugins {
        block(&mut out, plugin, &wide, colour);
    }
    out
}

/// Column widths that fit everything.
struct Widths {
    sampler: usize,
    program: usize,
    attached: usize,
}

impl Widths {
    fn of(report: &Report) -> Self {
        let samplers = || report.plugins.iter().flat_map(|plugin| &plugin.samplers);
        let programs = || samplers().flat_map(|sampler| &sampler.programs);
        let longest = |lengths: &mut dyn Iterator<Item = usize>| lengths.max().unwrap_or(0);
        Self {
            sampler: longest(&mut samplers().map(|sampler| sampler.name.len())),
            program: longest(&mut programs().map(|program| program.name.len())),
            attached: longest(
                &mut programs().map(|program| program.attached.as_ref().map_or(12, String::len)),
            ),
        }
    }
}

fn block(out: &mut String, plugin: &Plugin, wide: &Widths, colour: bool) {
    let loaded = match plugin.generation {
        0 => String::new(),
        n => format!(" {}, generation {n}", plugin.version),
    };
    let _ = writeln!(
        out,
        "\n{}{loaded}  {}  {}",
        plugin.name,
        state(plugin.state, colour),
        plugin.file.display()
    );
    if let Some(reason) = &plugin.reason {
        let _ = writeln!(out, "  {reason}");
    }
    for sampler in &plugin.samplers {
        lines(out, sampler, wide, colour);
    }
}

fn lines(out: &mut String, sampler: &Sampler, wide: &Widths, colour: bool) {
    let mut sources: Vec<String> =
        sampler.programs.iter().map(|program| source(program, sampler.state, wide)).collect();
    if !sampler.reads.is_empty() {
        sources.push(format!("{:<w$}  reads {}", "userspace", sampler.reads.join(", "), w = wide.program));
    }
    let padding = " ".repeat(11 - sampler.state.as_str().len());
    let metrics = if sampler.metrics > 0 { sampler.metrics.to_string() } else { "-".into() };
    let indent = " ".repeat(2 + wide.sampler + 2 + 11 + 1 + 3 + 2);
    let line = format!(
        "  {:<w$}  {}{padding} {metrics:>3}  {}",
        sampler.name,
        state(sampler.state, colour),
        sources.join(&format!("\n{indent}")),
        w = wide.sampler
    );
    let _ = writeln!(out, "{}", line.trim_end());
    if let Some(reason) = &sampler.reason {
        let _ = writeln!(out, "    {reason}");
    }
}

fn source(program: &Program, sampler: State, wide: &Widths) -> String {
    let attached = match &program.attached {
        Some(attached) => attached.clone(),
        None if sampler == State::Disabled => "-".into(),
        None => "not attached".into(),
    };
    let mut line = format!("{:<p$}  {attached:<a$}", program.name, p = wide.program, a = wide.attached);
    if let Some(cost) = &program.cost {
        let _ = write!(line, "  {:>6.0} ns", cost.ns_per_event);
        if let Some(rate) = cost.events_per_second {
            let _ = write!(line, "  {rate:>9.0}/s");
        }
    }
    line.truncate(line.trim_end().len());
    line
}

fn state(state: State, colour: bool) -> String {
    let code = match state {
        State::Running => 32,
        State::Degraded => 33,
        State::Failed | State::Refused => 31,
        State::Disabled | State::Unsupported | State::Retired => 90,
    };
    if colour { format!("\x1b[{code}m{}\x1b[0m", state.as_str()) } else { state.as_str().into() }
}
