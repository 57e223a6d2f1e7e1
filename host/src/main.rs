//! `rezolus`: the agent, and the commands that look after it.

// Without eBPF much of what reads its tables has nobody to read for.
#![cfg_attr(not(ebpf), allow(unused))]

#[cfg(ebpf)]
mod bpf;

mod active;
mod agent;
mod cgroup;
mod cli;
mod collector;
mod config;
mod heap;
mod http;
mod inspect;
mod mcp;
mod metric;
mod modes;
mod own;
mod plugin;
mod query;
mod record;
mod report;
mod snapshot;
mod status;
mod supervisor;
mod systeminfo;
mod table;
mod view;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use cli::{Cli, Command};

fn main() -> ExitCode {
    // Not for people: neither in the help nor completed.
    if std::env::args_os().nth(1).is_some_and(|argument| argument == plugin::TRIAL_OPTION) {
        return ExitCode::from(plugin::run_trial());
    }
    let cli = Cli::parse();
    if cli.command.is_some() {
        end_with_the_reader();
    }
    let result = match cli.command {
        Some(Command::Status(options)) => report::run(&options),
        Some(Command::Record(options)) => record::record(options),
        Some(Command::Exporter { config }) => modes::run_exporter(&config),
        Some(Command::Hindsight { config }) => modes::run_hindsight(&config),
        Some(Command::Query(options)) => query::run(&options),
        Some(Command::Serve(options)) => modes::run_serve(&options),
        Some(Command::View(options)) => view::run(options),
        Some(Command::Mcp(options)) => mcp::run(options),
        Some(Command::Recording(command)) => record::recording(command),
        Some(Command::Plugins(cli::Plugins::Check { files, json })) => inspect::run(&files, json),
        Some(Command::Config(cli::Config::Check { file })) => check_config(&file),
        Some(Command::Completions { shell }) => {
            clap_complete::generate(shell, &mut Cli::command(), "rezolus", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
        None => match cli.config {
            Some(path) => agent::run(&path),
            None => {
                // clap asks for at least one argument.
                eprintln!("rezolus: a configuration file or a command is needed; see rezolus --help");
                return ExitCode::from(2);
            }
        },
    };
    result.unwrap_or_else(|error| {
        eprintln!("rezolus: {error:#}");
        ExitCode::FAILURE
    })
}

/// Lets a command end quietly when nobody reads its output any more, as in
/// `rezolus status | head`. The agent must not: a client that hangs up is no
/// reason to end.
fn end_with_the_reader() {
    // SAFETY: the default disposition, before there are other threads.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

fn check_config(path: &std::path::Path) -> anyhow::Result<ExitCode> {
    config::Config::read(path)?;
    println!("{}: valid", path.display());
    Ok(ExitCode::SUCCESS)
}
