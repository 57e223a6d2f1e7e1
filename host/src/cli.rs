//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

/// Where an agent serves unless told otherwise.
pub const DEFAULT_URL: &str = "http://127.0.0.1:4241";

#[derive(Debug, Parser)]
#[command(
    name = "rezolus",
    version,
    about = "Performance telemetry for Linux: eBPF samplers as plugins",
    long_about = "Performance telemetry for Linux: eBPF samplers as plugins.\n\n\
        With a configuration file, rezolus is the agent: it loads the plugins in plugin_dir, measures, and serves \
        what it sees over HTTP. Plugins and the configuration file are watched: a plugin dropped into the folder is \
        measuring a moment later, and one switched off costs nothing.",
    after_help = EXAMPLES,
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Run the agent with this configuration file (TOML; an empty one works)
    #[arg(value_name = "CONFIG")]
    pub config: Option<PathBuf>,
}

const EXAMPLES: &str = "Examples:
  sudo rezolus /etc/rezolus/config.toml     run the agent
  rezolus status                            what it measures, through which hooks
  rezolus status --cost 5s                  and what every hook costs
  rezolus record -d 15m -o out.parquet      keep a quarter of an hour of it in a file
  rezolus view out.parquet                  look at it
  rezolus query out.parquet 'rate(cpu_usage[5s])'   ask it something
  rezolus mcp out.parquet                   let an AI assistant ask
  rezolus plugins check ./mine.so           verify a plugin before dropping it in
  rezolus config check config.toml          verify a configuration before the agent reads it
  curl -s localhost:4241/metrics/json       the numbers

Signals: SIGINT and SIGTERM end the agent cleanly, a second one at once;
SIGHUP has it read the configuration and look at the plugins again.
Exit codes: 0 done, 1 something failed, 2 wrong usage.";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show a running agent's plugins, samplers and programs
    Status(Status),
    /// Record an agent, or a Prometheus exporter, into a Parquet file
    Record(Record),
    /// Serve an agent's metrics to Prometheus
    #[command(after_help = "Examples:
  rezolus exporter /etc/rezolus/config.toml    [exporter] says which agent, what, and in which form
  curl -s localhost:4242/metrics

The agent can do the same itself: [exporter] enabled = true. `docs/exporter.md` describes all keys.")]
    Exporter {
        #[arg(value_name = "CONFIG")]
        config: PathBuf,
    },
    /// Keep the last minutes of an agent on disk, to be saved after an incident
    #[command(after_help = "Examples:
  rezolus hindsight /etc/rezolus/config.toml           [hindsight] says what, how long, and where
  kill -HUP PID                                        write it to a file
  curl -X POST 'localhost:4243/dump/file?last=5m'      or a part of it
  curl 'localhost:4243/dump?last=5m' -o incident.parquet

The agent can do the same itself: [hindsight] enabled = true.")]
    Hindsight {
        #[arg(value_name = "CONFIG")]
        config: PathBuf,
    },
    /// Ask a recording, a log or an agent something, in PromQL
    Query(Query),
    /// Answer Prometheus' HTTP API of recordings, logs and agents: for Grafana, promtool and the like
    #[command(after_help = "Examples:
  rezolus serve out.parquet
  rezolus serve before=a.parquet after=b.parquet --listen 127.0.0.1:9090
  promtool query instant http://127.0.0.1:9090 'sum(rate(cpu_usage[10s]))'

In Grafana it is a data source of type Prometheus. An agent is sampled from now on, for an hour at most.")]
    Serve(Serve),
    /// Look at recordings, logs and live agents in the browser
    View(View),
    /// Serve recordings, logs and agents to AI assistants (MCP), or ask the same tools from here
    Mcp(Mcp),
    /// Look after recordings
    #[command(subcommand)]
    Recording(Recording),
    /// Look after plugin files
    #[command(subcommand)]
    Plugins(Plugins),
    /// Look after configuration files
    #[command(subcommand)]
    Config(Config),
    /// Print a completion script for a shell
    #[command(after_help = "Example:\n  rezolus completions bash > /etc/bash_completion.d/rezolus")]
    Completions { shell: Shell },
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  rezolus status
  rezolus status --cost 5s       hold the kernel's BPF statistics on for 5 s: ns per event, events per second
  rezolus status --json | jq '.plugins[].samplers[] | select(.state != \"running\")'")]
pub struct Status {
    /// The agent to ask
    #[arg(long, default_value = DEFAULT_URL)]
    pub url: String,
    /// Measure what every program costs, for this long (up to 60s)
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub cost: Option<Duration>,
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  rezolus record http://host:4241 out.parquet        until Ctrl-C
  rezolus record -d 15m -i 100ms -o out.parquet      a quarter of an hour of the agent here
  rezolus record -o build.parquet -- make -j8        exactly while the command runs; its exit code is passed on
  rezolus record --url a:4241 --url b:9100 -o both.parquet

Ticks are at whole multiples of the interval. They are kept in OUTPUT.log while recording; if that is interrupted,
`rezolus recording recover OUTPUT.log` makes the file.")]
pub struct Record {
    /// An agent or exporter: http://host:port[/path] or host:port
    #[arg(value_name = "URL", conflicts_with = "urls")]
    pub url: Option<String>,
    /// The file to write; default: rezolus-TIME.parquet
    #[arg(value_name = "OUTPUT", conflicts_with = "output")]
    pub file: Option<PathBuf>,
    /// An agent or exporter; several go into one file
    #[arg(long = "url", value_name = "URL")]
    pub urls: Vec<String>,
    /// The file to write
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Between ticks, 1ms or more
    #[arg(short, long, default_value = "1s", value_parser = humantime::parse_duration)]
    pub interval: Duration,
    /// How long; default: until Ctrl-C, or the end of the command
    #[arg(short, long, value_parser = humantime::parse_duration)]
    pub duration: Option<Duration>,
    /// Something to remember in the file, such as --metadata build=1234
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub metadata: Vec<(String, String)>,
    /// Replace the output if it exists
    #[arg(long)]
    pub force: bool,
    /// A command to record: from its start to its end
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<std::ffi::OsString>,
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  rezolus query out.parquet 'sum by (state) (rate(cpu_usage[5s]))'       at the end of the recording
  rezolus query out.parquet 'sum(rate(cpu_usage[5s]))' --start -10m      its last ten minutes, as a curve
  rezolus query out.parquet 'histogram_quantile(0.99, rate(scheduler_runqueue_latency[1m]))' --step 15s
  rezolus query before=a.parquet after=b.parquet 'avg by (recording) (rate(cpu_usage[1m]))'
  rezolus query http://localhost:4241 'topk(5, rate(cgroup_cpu_usage[10s]))' --watch 10s
  rezolus query out.parquet '{__name__=~\"tcp_.*\"}' --step 1s --format csv > tcp.csv

A time is RFC 3339 (2026-01-31T12:00:00Z), seconds since 1970, or -5m: five minutes before the end of the data.
With --start, --end or --step the query is evaluated over a range: from the start to the end of the data, in
about 240 steps, unless they say otherwise. Warnings go to stderr.
Exit codes: 0 answered, 1 the data cannot be read or the query fails, 2 it is no query, or an option is wrong.")]
pub struct Query {
    /// A recording, the folder of a log, or the URL of an agent; NAME=INPUT labels its series recording="NAME"
    #[arg(value_name = "INPUT", required = true)]
    pub inputs: Vec<String>,
    /// The query, in PromQL
    #[arg(value_name = "EXPR")]
    pub expr: String,
    /// When to evaluate it; default: at the end of the data
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, conflicts_with_all = ["start", "end", "step"])]
    pub at: Option<String>,
    /// The start of a range
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub start: Option<String>,
    /// The end of a range
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub end: Option<String>,
    /// From one point of a range to the next, such as 15s
    #[arg(long, value_name = "TIME")]
    pub step: Option<String>,
    /// Of an agent: sample it for so long first. A rate needs two samples at least
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub watch: Option<std::time::Duration>,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t)]
    pub format: QueryFormat,
}

#[derive(Debug, Args)]
pub struct Serve {
    /// A recording, the folder of a log, or the URL of an agent; NAME=INPUT labels its series recording="NAME"
    #[arg(value_name = "INPUT", required = true)]
    pub inputs: Vec<String>,
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9090")]
    pub listen: std::net::SocketAddr,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  rezolus view out.parquet                         a recording
  rezolus view http://localhost:4241               an agent, from now on
  rezolus view /var/lib/rezolus/hindsight          the log that hindsight, or a recorder, is writing
  rezolus view before=a.parquet after=b.parquet    one against the other
  rezolus view out.parquet 127.0.0.1:8000          listening somewhere else; also --listen
  rezolus view --tui out.parquet                   in the terminal; ? shows the keys
  rezolus view                                     nothing: drop a file onto the page

Nothing is loaded from the internet, and only this machine is served unless --listen says otherwise.
Behind a proxy, or under a name other than localhost, say --host NAME: others are refused.
The page's address holds the whole view: send it to somebody with the same recording.")]
pub struct View {
    /// Up to two: a recording, the folder of a log, or the URL of an agent; NAME=INPUT names it
    #[arg(value_name = "INPUT")]
    pub inputs: Vec<String>,
    /// Where to listen; default: 127.0.0.1:4244, or another port if that is taken
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<std::net::SocketAddr>,
    /// Do not open the browser
    #[arg(long)]
    pub no_open: bool,
    /// Show it in this terminal instead of a browser
    #[arg(long, conflicts_with_all = ["listen", "no_open", "host", "read_only"])]
    pub tui: bool,
    /// A name under which the server is asked, such as that of a proxy; may be given more than once
    #[arg(long, value_name = "NAME")]
    pub host: Vec<String>,
    /// Let nobody open other inputs from the page
    #[arg(long)]
    pub read_only: bool,
    /// Of an agent: how often it is asked
    #[arg(short, long, value_name = "TIME", default_value = "1s", value_parser = humantime::parse_duration)]
    pub interval: Duration,
    /// Of an agent: how much is kept
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = humantime::parse_duration)]
    pub window: Duration,
}

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  rezolus mcp before.parquet after.parquet         serve these on stdin and stdout
  rezolus mcp web=http://web1:4241 --dir /data     an agent, and whatever recordings are in a folder
  rezolus mcp                                      the agent of this machine
  rezolus mcp out.parquet --listen 127.0.0.1:4245  over HTTP, at /mcp
  rezolus mcp detect-anomalies out.parquet         ask a tool yourself
  rezolus mcp query out.parquet 'rate(cpu_usage[$interval])' --json

Assistants start the server themselves: claude mcp add rezolus -- rezolus mcp /data/out.parquet
Only inputs and folders that are given here can be read, and nothing is written. `docs/mcp.md` describes the tools."
)]
pub struct Mcp {
    #[command(subcommand)]
    pub tool: Option<crate::mcp::OneShot>,
    /// Recordings, folders of logs or of recordings, URLs of agents; NAME=INPUT names one. Default: the agent of this machine
    #[arg(value_name = "INPUT")]
    pub inputs: Vec<String>,
    /// A folder whose recordings may be read, besides those that are given; may be given more than once
    #[arg(long, value_name = "FOLDER")]
    pub dir: Vec<PathBuf>,
    /// Serve HTTP at this address instead of standard input and output
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<std::net::SocketAddr>,
    /// A name under which the server is asked, such as that of a proxy; may be given more than once
    #[arg(long, value_name = "NAME", requires = "listen")]
    pub host: Vec<String>,
    /// A web page that may ask, such as https://app.example.com:443; others may not
    #[arg(long, value_name = "ORIGIN", requires = "listen")]
    pub origin: Vec<String>,
    /// A file with a token that clients have to send (Authorization: Bearer)
    #[arg(long, value_name = "FILE", requires = "listen")]
    pub token_file: Option<PathBuf>,
    /// So many bytes an answer has at most; what is more comes in pages
    #[arg(long, value_name = "BYTES", default_value_t = 16384, value_parser = clap::value_parser!(u32).range(4096..))]
    pub most_bytes: u32,
    /// Of an agent: how often it is asked
    #[arg(short, long, value_name = "TIME", default_value = "1s", value_parser = humantime::parse_duration)]
    pub interval: Duration,
    /// Of an agent: how much is kept
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = humantime::parse_duration)]
    pub window: Duration,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, Default)]
pub enum QueryFormat {
    /// For people; a range is plotted on a terminal
    #[default]
    Table,
    /// As Prometheus' HTTP API answers
    Json,
    /// A line per sample: time, labels, value
    Csv,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("KEY=VALUE is expected")?;
    if key.is_empty() { Err("the key is empty".into()) } else { Ok((key.into(), value.into())) }
}

#[derive(Debug, Subcommand)]
pub enum Recording {
    /// Make a recording of the log that an interrupted one left behind
    #[command(after_help = "Example:\n  rezolus recording recover out.parquet.log")]
    Recover {
        /// The folder, OUTPUT.log
        #[arg(value_name = "LOG")]
        log: PathBuf,
        /// The file to write; default: the name of the log without .log
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Replace the output if it exists
        #[arg(long)]
        force: bool,
    },
    #[command(flatten)]
    Tool(rezolus_modes::recording::Command),
}

#[derive(Debug, Subcommand)]
pub enum Plugins {
    /// Verify plugin files and print their manifests, without a running agent
    #[command(after_help = "Exit code 1 if the agent would refuse one of the files.")]
    Check {
        #[arg(required = true, value_name = "FILE.so")]
        files: Vec<PathBuf>,
        /// Print JSON instead of text
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum Config {
    /// Verify a configuration file
    Check {
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}
