//! `rezolus mcp`: the server for AI assistants, and its tools on the command line.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow, bail};
use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches, Subcommand, value_parser};
use rezolus_modes::assist::schema::{self, Argument, Kind};
use rezolus_modes::assist::{self, Answered, Assistant, Entry, Failure, Options, Work};
use rezolus_modes::mcp::{Server, http as streamable};
use rezolus_modes::query::Options as Reading;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::agent::Signals;
use crate::cli::{DEFAULT_URL, Mcp};
use crate::http;
use crate::query::printable;

/// Queries are trees, evaluated by recursion.
const STACK: usize = 64 << 20;
const WRONG_USAGE: u8 = 2;

/// A tool that is asked once, from the command line. Its options are those of the tool's schema, so that a tool needs
/// nothing here.
pub struct OneShot {
    tool: &'static Entry,
    arguments: Map<String, Value>,
    json: bool,
    watch: Option<Duration>,
}

impl fmt::Debug for OneShot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.tool.name, self.arguments)
    }
}

/// Serves, or asks a tool.
///
/// # Errors
///
/// When an input is not there, or the address cannot be listened on.
pub fn run(options: Mcp) -> Result<ExitCode> {
    match options.tool {
        Some(once) => ask(once),
        None => serve(options),
    }
}

fn ask(once: OneShot) -> Result<ExitCode> {
    let OneShot { tool, arguments, json, watch } = once;
    let options = Options { confined: false, most_bytes: usize::MAX, ..Options::default() };
    let assistant = Assistant::new(&[DEFAULT_URL.into()], options).map_err(Error::msg)?;
    let work = move || -> Result<Answered, Failure> {
        if let Some(time) = watch {
            // Opened, an agent is sampled; the tool finds it open.
            let named = ["inputs", "input", "before", "after"];
            assistant
                .open(&named.into_iter().flat_map(|name| texts(arguments.get(name))).collect::<Vec<_>>())?;
            std::thread::sleep(time);
        }
        tool.run(&assistant, arguments, &Work::quiet())
    };
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(work);
    let thread = thread.context("there is no thread to work on")?;
    let answer = thread.join().map_err(|_| anyhow!("the tool broke off: this is a fault of rezolus"))?;
    match answer {
        Ok(Answered { structured, .. }) if json => println!("{structured:#}"),
        Ok(Answered { text, .. }) => print!("{}", printable(&text)),
        Err(Failure { usage: true, message }) => {
            eprintln!("rezolus: {message}");
            return Ok(ExitCode::from(WRONG_USAGE));
        }
        Err(Failure { message, .. }) => bail!("{message}"),
    }
    Ok(ExitCode::SUCCESS)
}

fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(all)) => all.iter().filter_map(|one| Some(one.as_str()?.into())).collect(),
        _ => Vec::new(),
    }
}

fn serve(options: Mcp) -> Result<ExitCode> {
    let access = access(&options)?;
    let mut inputs = options.inputs;
    if inputs.is_empty() && options.dir.is_empty() {
        inputs.push(format!("agent={DEFAULT_URL}"));
    }
    let settings = Options {
        query: Reading { interval: options.interval, window: options.window, ..Default::default() },
        folders: options.dir,
        confined: true,
        most_bytes: options.most_bytes as usize,
    };
    let assistant = Arc::new(Assistant::new(&inputs, settings).map_err(Error::msg)?);
    let agents = assistant.clone();
    std::thread::Builder::new()
        .name("agents".into())
        .spawn(move || agents.look_at_agents())
        .context("there is no thread to ask agents on")?;
    let server = Server::new(assistant);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start the I/O runtime")?;
    let done = runtime.block_on(async {
        let (stop, stopped) = watch::channel(false);
        let signals = Signals::listen().context("cannot listen to signals")?;
        let served = async {
            match options.listen {
                Some(address) => over_http(server, address, &access, stopped).await,
                None => server.serve_stdio(stopped).await.map_err(Error::msg),
            }
        };
        tokio::pin!(served);
        tokio::select! {
            done = &mut served => done,
            () = signals.wait_for_end(|| {}) => {
                let _ = stop.send(true);
                served.await
            }
        }
    });
    // A read of a terminal goes on until somebody presses a key.
    runtime.shutdown_background();
    done.map(|()| ExitCode::SUCCESS)
}

/// Whose requests are answered.
fn access(options: &Mcp) -> Result<streamable::Options> {
    let token = options.token_file.as_deref().map(token).transpose()?;
    let mut hosts = options.host.clone();
    if let Some(address) = options.listen {
        if token.is_none() && !address.ip().is_loopback() {
            bail!("--listen {address}: others than this machine would reach it; give --token-file as well");
        }
        if !address.ip().is_unspecified() {
            hosts.push(address.ip().to_string());
        }
    }
    Ok(streamable::Options { hosts, origins: options.origin.clone(), token })
}

fn token(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("--token-file {}", path.display()))?;
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        bail!("--token-file {}: one line of letters, digits and signs is expected", path.display());
    }
    Ok(token.into())
}

async fn over_http(
    server: Server,
    address: SocketAddr,
    access: &streamable::Options,
    stopped: watch::Receiver<bool>,
) -> Result<()> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}; choose another with --listen"))?;
    let address = listener.local_addr().unwrap_or(address);
    println!("http://{address}{}", streamable::PATH);
    eprintln!("serving until Ctrl-C");
    http::serve(listener, streamable::router(server, access), stopped).await;
    Ok(())
}

/// As it is written on the command line.
fn hyphens(name: &str) -> String {
    name.replace('_', "-")
}

fn command(tool: &'static Entry) -> Command {
    let (about, more) = tool.about.split_once('\n').unwrap_or((tool.about, ""));
    let arguments = schema::arguments(&(tool.input)());
    let command = Command::new(hyphens(tool.name))
        .about(about.trim_end_matches('.').to_string())
        .long_about(format!("{about}\n\n{more}"))
        .arg(Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print JSON instead of text"))
        .arg(
            Arg::new("watch")
                .long("watch")
                .value_name("TIME")
                .value_parser(humantime::parse_duration)
                .help("Of an agent: sample it for so long first. A rate needs two samples at least"),
        );
    arguments.iter().fold(command, |command, argument| command.arg(option(tool, argument, &arguments)))
}

/// An argument as an option, or by its position.
fn option(tool: &Entry, argument: &Argument, all: &[Argument]) -> Arg {
    let upper = match argument.name.as_str() {
        "inputs" => "INPUT".into(),
        name => name.to_uppercase(),
    };
    let arg = Arg::new(argument.name.clone())
        .help(argument.about.trim_end_matches('.').to_string())
        .value_name(upper);
    let arg = match argument.kind {
        Kind::Whole => arg.value_parser(value_parser!(u64)),
        Kind::Number | Kind::Numbers => arg.value_parser(value_parser!(f64)).allow_hyphen_values(true),
        Kind::Flag => arg.action(ArgAction::SetTrue),
        // A time may be -5m.
        Kind::Text => arg.allow_hyphen_values(true),
        Kind::Texts => arg,
    };
    let is_list = matches!(argument.kind, Kind::Texts | Kind::Numbers);
    let Some(at) = tool.positional.iter().position(|name| *name == argument.name) else {
        let arg = arg.long(hyphens(&argument.name)).required(argument.required);
        return if is_list { arg.action(ArgAction::Append).value_delimiter(',') } else { arg };
    };
    let after = &tool.positional[at + 1..];
    let required = |name: &&str| all.iter().any(|other| other.name == **name && other.required);
    // Before one that has to be there, one that need not cannot be told apart.
    let arg = arg.index(at + 1).required(argument.required || after.iter().any(&required));
    match is_list && after.iter().all(required) {
        true => arg.action(ArgAction::Append).num_args(1..),
        false => arg.action(ArgAction::Set).num_args(1).allow_hyphen_values(false),
    }
}

/// What was given, as the tool takes it.
fn given(argument: &Argument, matches: &ArgMatches) -> Option<Value> {
    let name = argument.name.as_str();
    match argument.kind {
        Kind::Text => matches.get_one::<String>(name).map(|text| json!(text)),
        Kind::Whole => matches.get_one::<u64>(name).map(|number| json!(number)),
        Kind::Number => matches.get_one::<f64>(name).map(|number| json!(number)),
        Kind::Flag => matches.get_flag(name).then_some(Value::Bool(true)),
        Kind::Texts => matches.get_many::<String>(name).map(|all| all.cloned().collect()),
        Kind::Numbers => matches.get_many::<f64>(name).map(|all| all.copied().collect()),
    }
}

impl FromArgMatches for OneShot {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let missing = || clap::Error::new(clap::error::ErrorKind::MissingSubcommand);
        let (name, matches) = matches.subcommand().ok_or_else(missing)?;
        let tool = assist::TOOLS.iter().find(|tool| hyphens(tool.name) == name).ok_or_else(missing)?;
        let arguments = schema::arguments(&(tool.input)());
        let arguments =
            arguments.iter().filter_map(|argument| Some((argument.name.clone(), given(argument, matches)?)));
        Ok(Self {
            tool,
            arguments: arguments.collect(),
            json: matches.get_flag("json"),
            watch: matches.get_one("watch").copied(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Subcommand for OneShot {
    fn augment_subcommands(cli: Command) -> Command {
        assist::TOOLS.iter().fold(cli, |cli, tool| cli.subcommand(command(tool)))
    }

    fn augment_subcommands_for_update(cli: Command) -> Command {
        Self::augment_subcommands(cli)
    }

    fn has_subcommand(name: &str) -> bool {
        assist::TOOLS.iter().any(|tool| hyphens(tool.name) == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, Parser};

    use crate::cli::Cli;

    fn parsed(arguments: &[&str]) -> Result<Mcp, String> {
        let cli = Cli::try_parse_from(["rezolus", "mcp"].iter().chain(arguments));
        match cli.map_err(|error| error.to_string())?.command {
            Some(crate::cli::Command::Mcp(options)) => Ok(options),
            other => panic!("{other:?}"),
        }
    }

    fn once(arguments: &[&str]) -> (String, Value) {
        let once = parsed(arguments).unwrap().tool.unwrap();
        (once.tool.name.into(), Value::Object(once.arguments))
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn tools_take_their_arguments_from_the_command_line() {
        let query = once(&["query", "a=x.parquet", "b=y.parquet", "up", "--start", "-5m", "--limit", "3"]);
        let expected =
            json!({"inputs": ["a=x.parquet", "b=y.parquet"], "query": "up", "start": "-5m", "limit": 3});
        assert_eq!(query, ("query".into(), expected));
        let metrics = once(&["describe-metrics", "x.parquet", "tcp", "--category", "network"]);
        let expected = json!({"inputs": ["x.parquet"], "search": "tcp", "category": "network"});
        assert_eq!(metrics, ("describe_metrics".into(), expected));
        assert_eq!(once(&["status"]), ("status".into(), json!({})));
        assert_eq!(once(&["query", "x", "up", "--quantiles", "0.5,0.9"]).1["quantiles"], json!([0.5, 0.9]));
        assert!(parsed(&["query", "x.parquet"]).is_err());
        assert!(parsed(&["query", "x", "up", "--limit", "many"]).is_err());
    }

    #[test]
    fn what_is_no_tool_is_an_input() {
        let options = parsed(&["out.parquet", "--dir", "/data"]).unwrap();
        assert!(options.tool.is_none());
        assert_eq!(options.inputs, ["out.parquet"]);
        assert!(parsed(&["out.parquet", "--host", "x"]).is_err());
    }

    #[test]
    fn others_need_a_token() {
        let open =
            |arguments: &[&str]| access(&parsed(arguments).unwrap()).map_err(|error| error.to_string());
        assert!(open(&["--listen", "0.0.0.0:4245"]).unwrap_err().contains("give --token-file"));
        assert!(open(&["--listen", "127.0.0.1:4245"]).unwrap().token.is_none());
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        assert!(open(&["--listen", "10.0.0.1:1", "--token-file", path]).unwrap_err().contains("is expected"));
        std::fs::write(path, "secret\n").unwrap();
        let access = open(&["--listen", "10.0.0.1:1", "--token-file", path]).unwrap();
        assert_eq!((access.token.as_deref(), access.hosts), (Some("secret"), vec!["10.0.0.1".to_string()]));
    }
}
