//! What tools are asked of: the inputs that were given at the start, and recordings in folders that may be read.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rezolus_store::Source;

use super::Failure;
use crate::log;
use crate::query::{self, Origin, is_url, named, own_name};
use crate::viewer::inputs::{Opened, together};

/// So many recordings that were not given at the start are kept open: the next question is mostly of the same.
const MOST_OPEN: usize = 8;
/// So many inputs may be asked together.
const MOST_TOGETHER: usize = 16;
/// So many recordings of a folder are listed.
const MOST_LISTED: usize = 1000;
/// So many of those are told when one is not found.
const MOST_TOLD: usize = 10;

/// How an assistant is run.
#[derive(Clone, Debug)]
pub struct Options {
    pub query: query::Options,
    /// Folders whose recordings may be read, those below them included.
    pub folders: Vec<PathBuf>,
    /// Whether nothing else may be: neither other files nor other agents. Who asks on a command line may read whatever
    /// the process may; a model that was talked into something must not.
    pub confined: bool,
    /// So many bytes an answer has at most, both forms together.
    pub most_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { query: query::Options::default(), folders: Vec::new(), confined: true, most_bytes: 16 << 10 }
    }
}

/// What can be asked, and what is open of it.
pub struct Assistant {
    given: Vec<Given>,
    /// Without links and `..`.
    folders: Vec<PathBuf>,
    /// The latest at the end.
    others: Mutex<Vec<Held>>,
    options: Options,
}

/// An input that was given at the start. It is opened when it is first asked, so that starting takes no time, and a
/// recording that is damaged, or an agent that does not run yet, is told to whoever asks.
struct Given {
    name: String,
    /// Without the name.
    input: String,
    held: Mutex<Option<Held>>,
}

impl Given {
    /// Whether it is meant: by its name, as it was given, or by another path to the same file.
    fn is(&self, input: &str) -> bool {
        let real = |path: &str| Path::new(path).canonicalize().ok();
        let same = || !is_url(input) && real(&self.input).is_some_and(|path| real(input) == Some(path));
        self.name == input || self.input == input || same()
    }
}

/// An input that is open.
#[derive(Clone)]
struct Held {
    name: String,
    input: String,
    /// Of a file: how it was when it was opened.
    stamp: Option<Stamp>,
    opened: Arc<Opened>,
}

/// Changes when a file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    file: u64,
    bytes: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &str) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok().filter(Metadata::is_file)?;
        Some(Self {
            device: metadata.dev(),
            file: metadata.ino(),
            bytes: metadata.len(),
            changed: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }
}

/// Inputs that are asked together.
pub struct Inputs {
    pub all: Vec<Arc<Opened>>,
    /// All of them; if there are several, a label tells which.
    pub source: Arc<dyn Source>,
}

impl Inputs {
    /// ns between samples; of several inputs the longest.
    pub fn interval(&self) -> i64 {
        self.all.iter().map(|input| input.interval()).max().unwrap_or(1_000_000_000)
    }

    pub fn names(&self) -> Vec<String> {
        self.all.iter().map(|input| input.name.clone()).collect()
    }
}

/// An input that can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Available {
    /// To be given to tools.
    pub input: String,
    /// Whether it was given at the start.
    pub given: bool,
}

impl Assistant {
    /// Takes inputs as `INPUT` or `NAME=INPUT`; a folder that is no log is as one of [`Options::folders`]. Nothing is
    /// opened yet.
    ///
    /// # Errors
    ///
    /// When a recording or a folder does not exist, or two inputs have the same name.
    pub fn new(inputs: &[String], options: Options) -> Result<Self, String> {
        let mut given: Vec<Given> = Vec::new();
        let mut folders = Vec::new();
        for input in inputs {
            let (name, input) = named(input);
            let name = name.map_or_else(|| own_name(input), String::from);
            if given.iter().any(|other| other.name == name) {
                return Err(format!("two inputs would be called {name:?}: name them, as in a={input}"));
            }
            if !is_url(input) {
                let path = real(Path::new(input))?;
                // Neither a recording nor a log: its recordings are meant.
                if path.is_dir() && !may_be(&path) {
                    folders.push(path);
                    continue;
                }
            }
            given.push(Given { name, input: input.into(), held: Mutex::default() });
        }
        for folder in &options.folders {
            let folder = real(folder)?;
            if !folder.is_dir() {
                return Err(format!("{}: this is not a folder", folder.display()));
            }
            folders.push(folder);
        }
        folders.sort();
        folders.dedup();
        Ok(Self { given, folders, others: Mutex::default(), options })
    }

    /// So many bytes an answer has at most.
    pub fn most_bytes(&self) -> usize {
        self.options.most_bytes
    }

    /// Opens the agents that were given, whose windows begin to fill then. Errors are told when they are asked.
    pub fn look_at_agents(&self) {
        for given in self.given.iter().filter(|given| is_url(&given.input)) {
            if let Err(why) = self.open_given(given) {
                tracing::debug!("{why}");
            }
        }
    }

    /// The inputs with these names, paths or URLs; all that were given at the start if there are none.
    ///
    /// # Errors
    ///
    /// Says what there is instead.
    pub fn open(&self, wanted: &[String]) -> Result<Inputs, Failure> {
        if wanted.len() > MOST_TOGETHER {
            return Err(Failure::usage(format!("{MOST_TOGETHER} inputs together are the most")));
        }
        let all = match wanted {
            [] => self.given.iter().map(|given| self.open_given(given)).collect::<Result<Vec<_>, _>>()?,
            wanted => wanted.iter().map(|wanted| self.find(wanted)).collect::<Result<Vec<_>, _>>()?,
        };
        if all.is_empty() {
            return Err(Failure::usage(format!("inputs: say which; {}", self.told())));
        }
        for (at, input) in all.iter().enumerate() {
            if all[..at].iter().any(|other| other.name == input.name) {
                return Err(Failure::usage(format!(
                    "inputs: two would be called {:?}: name them, as in before=A and after=B",
                    input.name
                )));
            }
        }
        let source = together(&all);
        Ok(Inputs { all, source })
    }

    /// The one with this name, path or URL; the only one that was given at the start if none is named. `argument` is
    /// what it is called in the arguments.
    ///
    /// # Errors
    ///
    /// As [`Assistant::open`], and when several were given.
    pub fn one(&self, argument: &str, wanted: Option<String>) -> Result<Inputs, Failure> {
        match (wanted, &self.given[..]) {
            (None, [_, _, ..]) => {
                Err(Failure::usage(format!("{argument}: say which of {}", self.given().join(", "))))
            }
            (None, []) => Err(Failure::usage(format!("{argument}: say which; {}", self.told()))),
            (wanted, _) => self.open(&wanted.into_iter().collect::<Vec<_>>()),
        }
    }

    /// The names of what was given at the start.
    pub fn given(&self) -> Vec<String> {
        self.given.iter().map(|given| given.name.clone()).collect()
    }

    /// What can be asked: what was given, and the recordings and logs of the folders.
    pub fn available(&self) -> Vec<Available> {
        let given = self.given.iter().map(|given| Available { input: given.name.clone(), given: true });
        let mut all: Vec<Available> = given.collect();
        let known: Vec<PathBuf> =
            self.given.iter().filter_map(|given| Path::new(&given.input).canonicalize().ok()).collect();
        for folder in &self.folders {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            let mut found: Vec<PathBuf> =
                entries.map(|entry| entry.path()).filter(|path| may_be(path)).collect();
            found.sort();
            found.retain(|path| !known.contains(path));
            found.truncate(MOST_LISTED.saturating_sub(all.len()));
            all.extend(found.into_iter().map(|path| Available { input: self.short(&path), given: false }));
        }
        all
    }

    /// A path as it may be asked: if there is but one folder, below that.
    fn short(&self, path: &Path) -> String {
        let below = match &self.folders[..] {
            [only] => path.strip_prefix(only).unwrap_or(path),
            _ => path,
        };
        below.to_string_lossy().into_owned()
    }

    /// What there is, in words.
    fn told(&self) -> String {
        let all = self.available();
        let names: Vec<&str> = all.iter().take(MOST_TOLD).map(|one| one.input.as_str()).collect();
        match all.len() {
            0 if self.options.confined => {
                "this server was started without inputs and without folders: give it recordings, agents' URLs, or --dir"
                    .into()
            }
            0 => "give a recording, the folder of a log, or the URL of an agent".into(),
            count if count > names.len() => {
                format!("there are {}, and {} more", names.join(", "), count - names.len())
            }
            _ => format!("there are {}", names.join(", ")),
        }
    }

    fn find(&self, wanted: &str) -> Result<Arc<Opened>, Failure> {
        if let Some(given) = self.given.iter().find(|given| given.name == wanted || given.input == wanted) {
            return self.open_given(given);
        }
        let (name, input) = named(wanted);
        if let Some(given) = self.given.iter().find(|given| given.is(input)) {
            return match name {
                Some(name) if !is_url(&given.input) => self.open_other(Some(name), &given.input),
                // An agent is sampled under one name: with another it would be asked twice.
                _ => self.open_given(given),
            };
        }
        if is_url(input) {
            // What is at a URL is for those who start the server to say: this machine may reach what others may not.
            if self.options.confined {
                return Err(Failure::usage(format!(
                    "{input}: only agents that this server was started with are asked; {}",
                    self.told()
                )));
            }
            return self.open_other(name, input);
        }
        let path = self.allowed(input)?;
        let path = path.to_str().ok_or_else(|| Failure::usage(format!("{input}: the path is no UTF-8")))?;
        self.open_other(name, path)
    }

    /// The file that is meant, without links, if it may be read.
    fn allowed(&self, input: &str) -> Result<PathBuf, Failure> {
        let path = Path::new(input);
        let here = if self.options.confined { None } else { Some(path.to_path_buf()) };
        let below = self.folders.iter().map(|folder| folder.join(path));
        let found = here.into_iter().chain(below).find_map(|path| path.canonicalize().ok());
        // Of what lies elsewhere not even is said whether it exists.
        let within = |path: &PathBuf| {
            !self.options.confined || self.folders.iter().any(|folder| path.starts_with(folder))
        };
        found.filter(within).ok_or_else(|| {
            let more = match self.options.confined && self.folders.is_empty() {
                true => "; others can be read if the server is started with --dir FOLDER",
                false => "",
            };
            Failure::usage(format!("{input}: there is no such recording here; {}{more}", self.told()))
        })
    }

    fn open_given(&self, given: &Given) -> Result<Arc<Opened>, Failure> {
        // Who else asks for it meanwhile waits: an agent is asked by one thread, not by several.
        let mut held = given.held.lock();
        let stamp = Stamp::of(&given.input);
        match &*held {
            Some(held) if held.stamp == stamp => Ok(held.opened.clone()),
            _ => Ok(held.insert(self.hold(&given.name, &given.input, stamp)?).opened.clone()),
        }
    }

    fn open_other(&self, name: Option<&str>, input: &str) -> Result<Arc<Opened>, Failure> {
        let name = name.map_or_else(|| own_name(input), String::from);
        let stamp = Stamp::of(input);
        let same = |held: &Held| held.name == name && held.input == input && held.stamp == stamp;
        let mut others = self.others.lock();
        if let Some(at) = others.iter().position(same) {
            let held = others.remove(at);
            let opened = held.opened.clone();
            others.push(held);
            return Ok(opened);
        }
        drop(others);
        let held = self.hold(&name, input, stamp)?;
        let opened = held.opened.clone();
        let mut others = self.others.lock();
        others.retain(|held| held.name != name || held.input != input);
        others.push(held);
        let many = others.len().saturating_sub(MOST_OPEN);
        // Dropped when the lock is free: an agent's thread may have to end.
        let _old: Vec<Held> = others.drain(..many).collect();
        drop(others);
        Ok(opened)
    }

    fn hold(&self, name: &str, input: &str, stamp: Option<Stamp>) -> Result<Held, Failure> {
        let mut opened = Opened::new(input, &self.options.query).map_err(Failure::data)?;
        name.clone_into(&mut opened.name);
        Ok(Held { name: name.into(), input: input.into(), stamp, opened: Arc::new(opened) })
    }
}

fn real(path: &Path) -> Result<PathBuf, String> {
    path.canonicalize().map_err(|error| format!("{}: cannot be opened: {error}", path.display()))
}

/// Whether it looks like a recording or the folder of a log, without opening it.
fn may_be(path: &Path) -> bool {
    match path.extension() {
        Some(extension) if extension == "parquet" => path.is_file(),
        _ => path.is_dir() && log::files(path, "ticks").is_ok_and(|ticks| !ticks.is_empty()),
    }
}

/// Whether an agent is asked, and not something that was written.
pub fn is_live(input: &Opened) -> bool {
    matches!(input.origin, Origin::Live(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("in")).unwrap();
        for name in ["in/a.parquet", "in/b.parquet", "outside.parquet", "in/notes.txt"] {
            std::fs::write(folder.path().join(name), b"no recording").unwrap();
        }
        std::os::unix::fs::symlink(
            folder.path().join("outside.parquet"),
            folder.path().join("in/link.parquet"),
        )
        .unwrap();
        folder
    }

    fn error(assistant: &Assistant, input: &str) -> String {
        assistant.open(&[input.to_string()]).map(|_| ()).unwrap_err().message
    }

    #[test]
    fn only_what_lies_in_the_folders_is_opened() {
        let folder = folder();
        let given = folder.path().join("in/a.parquet").to_string_lossy().into_owned();
        let alone = Assistant::new(std::slice::from_ref(&given), Options::default()).unwrap();
        for same in ["x=a", &format!("x={given}"), &given.replace("/in/", "/in/../in/")] {
            assert!(!error(&alone, same).contains("no such recording"), "{same}");
        }
        assert!(error(&alone, "b.parquet").contains("started with --dir"));
        let options = Options { folders: vec![folder.path().join("in")], ..Options::default() };
        let assistant = Assistant::new(&[given], options).unwrap();
        // It is tried, and is no recording.
        assert!(!error(&alone, "a").contains("no such recording"));
        assert!(!error(&assistant, "b.parquet").contains("no such recording"));
        let outside = folder.path().join("outside.parquet").to_string_lossy().into_owned();
        for path in [
            "../outside.parquet",
            &outside,
            "link.parquet",
            "/etc/passwd",
            "..",
            "x=../outside.parquet",
            "\0",
        ] {
            let error = error(&assistant, path);
            assert!(error.contains("no such recording here; there are a"), "{path}: {error}");
        }
        let error = error(&assistant, "http://127.0.0.1:1");
        assert!(error.contains("only agents that this server was started with"), "{error}");
    }

    #[test]
    fn what_there_is_is_listed() {
        let folder = folder();
        let options = Options { folders: vec![folder.path().join("in")], ..Options::default() };
        let assistant = Assistant::new(&["agent=http://127.0.0.1:1".into()], options).unwrap();
        let all: Vec<_> = assistant.available().into_iter().map(|one| (one.input, one.given)).collect();
        let expected = [("agent", true), ("a.parquet", false), ("b.parquet", false), ("link.parquet", false)];
        assert_eq!(all, expected.map(|(name, given)| (name.to_string(), given)));
    }

    #[test]
    fn a_folder_that_is_no_log_stands_for_its_recordings() {
        let folder = folder();
        let inside = folder.path().join("in").to_string_lossy().into_owned();
        let assistant = Assistant::new(&[inside], Options::default()).unwrap();
        assert_eq!(assistant.available()[0], Available { input: "a.parquet".into(), given: false });
        assert!(!error(&assistant, "a.parquet").contains("no such recording"));
        assert!(error(&assistant, "../outside.parquet").contains("no such recording"));
    }

    #[test]
    fn what_cannot_be_started_with_is_told() {
        let new = |inputs: &[&str]| {
            let inputs: Vec<String> = inputs.iter().map(ToString::to_string).collect();
            Assistant::new(&inputs, Options::default()).map(|_| ()).unwrap_err()
        };
        assert!(new(&["/nowhere/a.parquet"]).contains("/nowhere/a.parquet: cannot be opened"));
        assert!(new(&["http://x:1", "http://x:1/"]).contains("two inputs would be called"));
        let none = Assistant::new(&[], Options::default()).unwrap();
        assert!(none.open(&[]).is_err_and(|why| why.message.contains("started without inputs")));
    }
}
