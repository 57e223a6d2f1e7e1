//! The life of plugins: files that come, change and go; a configuration that
//! is edited. One thread decides everything; others ask it or read what it
//! published.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use parking_lot::RwLock;

use crate::active::{self, Active, Host, Kept};
use crate::config::{self, Config};
use crate::heap;
use crate::plugin::file::Fingerprint;
use crate::plugin::{self, Library};
use crate::status::{self, State};

/// A file that was written to is left alone until it has not changed for this
/// long.
const SETTLE: Duration = Duration::from_millis(200);
/// How often to look while a file is settling.
const POLL: Duration = Duration::from_millis(50);
/// How often to look when nothing happens: notification can be lost, and
/// removed cgroups wait to be retired.
const IDLE: Duration = Duration::from_millis(1000);

/// What wakes the supervisor.
#[derive(Debug)]
pub enum Event {
    /// Something in the plugin folder changed.
    Plugins,
    /// Something happened to the configuration file.
    Config,
    Stop,
}

/// What the supervisor publishes.
#[derive(Default)]
pub struct Published {
    pub plugins: Vec<status::Plugin>,
    pub dashboards: BTreeMap<String, serde_json::Value>,
    pub diagnoses: BTreeMap<String, serde_json::Value>,
    pub config_error: Option<String>,
    pub warnings: Vec<String>,
}

pub type Board = Arc<RwLock<Published>>;

/// A file in the plugin folder.
struct File {
    fingerprint: Option<Fingerprint>,
    /// When the fingerprint was last seen to change.
    changed: Instant,
    /// The fingerprint that was last examined.
    examined: Option<Fingerprint>,
    /// How many plugins had made room then.
    departures: u64,
    verdict: Verdict,
}

impl File {
    /// Whether it is to be examined when it has settled. A link to nowhere has
    /// no fingerprint, and deserves a verdict all the same.
    fn is_news(&self) -> bool {
        self.fingerprint != self.examined || matches!(self.verdict, Verdict::Pending)
    }
}

enum Verdict {
    /// Not examined yet.
    Pending,
    Refused(String),
    /// Its plugin is at work.
    Accepted,
    /// Another file provides the same plugin, or one of its metrics; looked at
    /// again when that changes.
    Clashes(String),
}

/// A plugin by name.
struct Entry {
    library: Arc<Library>,
    hash: u64,
    file: PathBuf,
    generation: u32,
    /// None: retired.
    active: Option<Active>,
    /// A newer file that was refused while this one goes on.
    refused_successor: Option<String>,
}

pub struct Supervisor {
    host: Arc<Host>,
    config_path: PathBuf,
    config: Config,
    config_seen: Option<Fingerprint>,
    /// A newer state of the configuration file, and since when it has been so.
    config_changing: Option<(Option<Fingerprint>, Instant)>,
    files: BTreeMap<PathBuf, File>,
    plugins: BTreeMap<String, Entry>,
    /// Every library ever opened, by content.
    libraries: HashMap<u64, Arc<Library>>,
    /// How many times a plugin was ended: names and metrics became free.
    departures: u64,
    folder_error: Option<String>,
    /// Plugins came or went since the heap was last trimmed.
    trim: bool,
    board: Board,
    tick: Box<dyn FnMut() + Send>,
    on_config: Box<dyn Fn(&Config) + Send>,
}

impl Supervisor {
    /// `tick` is called about once a second; `on_config` with every
    /// configuration that takes effect.
    pub fn new(
        host: Arc<Host>,
        config_path: PathBuf,
        config: Config,
        board: Board,
        tick: impl FnMut() + Send + 'static,
        on_config: impl Fn(&Config) + Send + 'static,
    ) -> Self {
        Self {
            host,
            config_seen: Fingerprint::of(&config_path),
            config_changing: None,
            config_path,
            config,
            files: BTreeMap::new(),
            plugins: BTreeMap::new(),
            libraries: HashMap::new(),
            departures: 0,
            folder_error: None,
            trim: true,
            board,
            tick: Box::new(tick),
            on_config: Box::new(on_config),
        }
    }

    /// Loads what is there: at start nothing needs to settle.
    pub fn load_all(&mut self) {
        self.scan(Duration::ZERO);
        self.publish();
    }

    /// Works until told to stop, or everybody who could tell is gone.
    pub fn run(mut self, events: &Receiver<Event>) {
        let mut last_tick = Instant::now();
        loop {
            let wait = if self.settling() { POLL } else { IDLE.saturating_sub(last_tick.elapsed()) };
            match events.recv_timeout(wait) {
                Ok(Event::Plugins | Event::Config) | Err(RecvTimeoutError::Timeout) => {}
                Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            }
            self.scan(SETTLE);
            self.look_at_config();
            if last_tick.elapsed() >= IDLE {
                last_tick = Instant::now();
                if std::mem::take(&mut self.trim) {
                    heap::trim();
                }
                (self.tick)();
            }
            self.publish();
        }
    }

    fn settling(&self) -> bool {
        self.config_changing.is_some() || self.files.values().any(File::is_news)
    }

    /// Looks at the folder: files that came, changed, or went.
    fn scan(&mut self, settle: Duration) {
        let folder = self.config.agent.plugin_dir.clone();
        let found = match list(&folder) {
            Ok(found) => {
                self.folder_error = None;
                found
            }
            Err(why) => {
                if self.folder_error.as_ref() != Some(&why) {
                    tracing::error!("no plugins can be loaded: {why}");
                }
                self.folder_error = Some(why);
                Vec::new()
            }
        };
        let gone: Vec<PathBuf> = self.files.keys().filter(|path| !found.contains(path)).cloned().collect();
        for path in gone {
            self.files.remove(&path);
            self.retire(&path);
        }
        let mut due = Vec::new();
        for path in found {
            let fingerprint = Fingerprint::of(&path);
            let file = self.files.entry(path.clone()).or_insert_with(|| File {
                fingerprint: None,
                changed: Instant::now(),
                examined: None,
                departures: 0,
                verdict: Verdict::Pending,
            });
            if file.fingerprint != fingerprint {
                file.fingerprint = fingerprint;
                file.changed = Instant::now();
            }
            let clash = matches!(file.verdict, Verdict::Clashes(_)) && file.departures != self.departures;
            if (file.is_news() && file.changed.elapsed() >= settle) || clash {
                due.push(path);
            }
        }
        for path in due {
            self.examine(&path);
        }
    }

    /// Decides about one file and acts on it.
    fn examine(&mut self, path: &Path) {
        let fingerprint = self.files.get(path).and_then(|file| file.fingerprint);
        let verdict = match self.open(path) {
            Ok((library, hash)) => self.admit(path, library, hash),
            Err(why) => Verdict::Refused(why),
        };
        let Some(file) = self.files.get_mut(path) else { return };
        let news = match (&file.verdict, &verdict) {
            (Verdict::Clashes(old), Verdict::Clashes(new)) => old != new,
            _ => true,
        };
        match &verdict {
            Verdict::Refused(why) | Verdict::Clashes(why) if news => {
                tracing::warn!("{}: refused: {why}", path.display());
            }
            _ => {}
        }
        let refused = match &verdict {
            Verdict::Refused(why) | Verdict::Clashes(why) => Some(why.clone()),
            _ => None,
        };
        for entry in self.plugins.values_mut().filter(|entry| entry.file == path && entry.active.is_some()) {
            entry.refused_successor.clone_from(&refused);
        }
        file.examined = fingerprint;
        file.departures = self.departures;
        file.verdict = verdict;
    }

    /// The library in a file; opened only if its content is new.
    fn open(&mut self, path: &Path) -> Result<(Arc<Library>, u64), String> {
        let checked = plugin::check(path)?;
        if let Some(library) = self.libraries.get(&checked.hash) {
            return Ok((library.clone(), checked.hash));
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        plugin::try_out(&name, &checked.bytes)?;
        let library = Arc::new(Library::open(&name, &checked.bytes)?);
        self.libraries.insert(checked.hash, library.clone());
        Ok((library, checked.hash))
    }

    /// Puts a library to work, unless it clashes with another plugin.
    fn admit(&mut self, path: &Path, library: Arc<Library>, hash: u64) -> Verdict {
        let name = library.manifest.plugin.name.clone();
        if let Some(other) = self.plugins.get(&name)
            && other.active.is_some()
            && other.file != path
        {
            return Verdict::Clashes(format!(
                "the plugin {name} is already loaded from {}",
                other.file.display()
            ));
        }
        if let Some((metric, owner)) = self.clashing_metric(path, &library) {
            return Verdict::Clashes(format!("its metric {metric} is already provided by {owner}"));
        }
        // The file may have provided another plugin before.
        let former: Vec<String> = self
            .plugins
            .iter()
            .filter(|(other, entry)| **other != name && entry.file == path && entry.active.is_some())
            .map(|(other, _)| other.clone())
            .collect();
        for other in former {
            self.deactivate(&other);
        }
        if let Some(entry) = self.plugins.get(&name)
            && entry.active.is_some()
            && entry.hash == hash
        {
            return Verdict::Accepted;
        }
        let generation = self.plugins.get(&name).map_or(1, |entry| entry.generation + 1);
        self.deactivate(&name);
        let active = self.activate(&library, &Kept::default());
        tracing::info!("plugin {name} {} loaded, generation {generation}", library.version);
        self.plugins.insert(
            name.clone(),
            Entry {
                library,
                hash,
                file: path.into(),
                generation,
                active: Some(active),
                refused_successor: None,
            },
        );
        Verdict::Accepted
    }

    /// A metric of a library that another running plugin, or the host itself,
    /// provides.
    fn clashing_metric(&self, path: &Path, library: &Library) -> Option<(String, String)> {
        let name = &library.manifest.plugin.name;
        let mine = library.manifest.sampler.iter().flat_map(|sampler| &sampler.metric);
        for metric in mine {
            if metric.name.starts_with("rezolus_") {
                return Some((metric.name.clone(), "rezolus itself".into()));
            }
            for (other, entry) in &self.plugins {
                // What the same file provided before goes when this one comes.
                let provides = entry.active.is_some()
                    && other != name
                    && entry.file != path
                    && entry
                        .library
                        .manifest
                        .sampler
                        .iter()
                        .any(|sampler| sampler.metric.iter().any(|m| m.name == metric.name));
                if provides {
                    return Some((metric.name.clone(), format!("the plugin {other}")));
                }
            }
        }
        None
    }

    fn activate(&mut self, library: &Library, kept: &Kept) -> Active {
        self.trim = true;
        let active =
            Active::start(&self.host, library, active::settings(&self.config, &library.manifest), kept);
        for sampler in active.samplers() {
            match sampler.state {
                State::Failed => tracing::error!("{}: {}", sampler.name, sampler.reason.unwrap_or_default()),
                State::Degraded => tracing::warn!("{}: {}", sampler.name, sampler.reason.unwrap_or_default()),
                State::Unsupported => {
                    tracing::info!("{}: not here: {}", sampler.name, sampler.reason.unwrap_or_default())
                }
                _ => {}
            }
        }
        active
    }

    fn deactivate(&mut self, name: &str) {
        if let Some(entry) = self.plugins.get_mut(name)
            && let Some(active) = entry.active.take()
        {
            drop(active);
            self.trim = true;
            self.departures += 1;
        }
    }

    /// A file went: so does the plugin it provided.
    fn retire(&mut self, path: &Path) {
        let names: Vec<String> = self
            .plugins
            .iter()
            .filter(|(_, entry)| entry.file == path && entry.active.is_some())
            .map(|(name, _)| name.clone())
            .collect();
        for name in names {
            tracing::info!("plugin {name} retired: {} was removed", path.display());
            self.deactivate(&name);
        }
    }

    /// Reads the configuration again once it has changed and settled: whoever
    /// writes it in place empties it first, and an empty one is valid.
    fn look_at_config(&mut self) {
        let seen = Fingerprint::of(&self.config_path);
        if seen == self.config_seen {
            self.config_changing = None;
            return;
        }
        match self.config_changing {
            Some((state, since)) if state == seen => {
                if since.elapsed() >= SETTLE {
                    self.config_changing = None;
                    self.config_seen = seen;
                    self.reload_config();
                }
            }
            _ => self.config_changing = Some((seen, Instant::now())),
        }
    }

    /// Takes over a new configuration; a faulty one changes nothing.
    fn reload_config(&mut self) {
        let new = match Config::read(&self.config_path) {
            Ok(new) => new,
            Err(error) => {
                tracing::error!("{error}; the configuration in force stays");
                self.board.write().config_error = Some(error.to_string());
                return;
            }
        };
        self.board.write().config_error = None;
        if new == self.config {
            return;
        }
        tracing::info!("{}: changed", self.config_path.display());
        let mut fixed = self.config.clone();
        fixed.agent.ttl = new.agent.ttl;
        (fixed.log, fixed.plugins) = (new.log.clone(), new.plugins.clone());
        if fixed != new {
            tracing::warn!("[agent] (but for ttl), [exporter] and [hindsight] take effect at the next start");
        }
        self.config = fixed;
        (self.on_config)(&self.config);
        self.apply_settings();
    }

    /// Starts what was switched on, ends what was switched off. Counters of
    /// everything else go on.
    fn apply_settings(&mut self) {
        let names: Vec<String> = self.plugins.keys().cloned().collect();
        for name in names {
            let Some(entry) = self.plugins.get_mut(&name) else { continue };
            let wanted = active::settings(&self.config, &entry.library.manifest);
            match entry.active.take() {
                Some(active) if active.settings != wanted => {
                    let library = entry.library.clone();
                    let kept = active.stop(&library.manifest);
                    let active = self.activate(&library, &kept);
                    if let Some(entry) = self.plugins.get_mut(&name) {
                        tracing::info!("plugin {name}: {} samplers on", active.enabled.len());
                        entry.active = Some(active);
                    }
                }
                unchanged => entry.active = unchanged,
            }
        }
    }

    /// Publishes the state of everything.
    fn publish(&self) {
        let mut plugins: Vec<status::Plugin> =
            self.plugins.iter().map(|(name, entry)| describe(name, entry)).collect();
        for plugin in plugins.iter_mut().filter(|plugin| plugin.state == State::Retired) {
            let heir = |(_, entry): &(&String, &Entry)| entry.file == plugin.file && entry.active.is_some();
            if let Some((name, _)) = self.plugins.iter().find(heir) {
                plugin.reason = Some(format!("its file holds the plugin {name} now"));
            }
        }
        for (path, file) in &self.files {
            let (Verdict::Refused(why) | Verdict::Clashes(why)) = &file.verdict else { continue };
            if self.plugins.values().any(|entry| entry.file == *path && entry.active.is_some()) {
                continue;
            }
            plugins.retain(|plugin| plugin.file != *path);
            plugins.push(status::Plugin {
                name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
                file: path.clone(),
                version: String::new(),
                generation: 0,
                state: State::Refused,
                reason: Some(why.clone()),
                samplers: Vec::new(),
            });
        }
        let carried = |what: fn(&Library) -> Option<&serde_json::Value>| {
            let active = self.plugins.iter().filter(|(_, entry)| entry.active.is_some());
            active
                .filter_map(|(name, entry)| Some((name.clone(), what(&entry.library)?.clone())))
                .collect::<BTreeMap<_, _>>()
        };
        let dashboards = carried(|library| library.dashboard.as_ref());
        let diagnoses = carried(|library| library.diagnoses.as_ref().map(|checked| &checked.json));
        let warnings = self.warnings();
        let mut board = self.board.write();
        board.plugins = plugins;
        board.dashboards = dashboards;
        board.diagnoses = diagnoses;
        board.warnings = warnings;
    }

    /// Diagnoses that were left out, and names in the configuration that nothing answers to.
    fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> = self.folder_error.iter().cloned().collect();
        for (name, entry) in self.plugins.iter().filter(|(_, entry)| entry.active.is_some()) {
            let refused = entry.library.diagnoses.iter().flat_map(|checked| &checked.refused);
            warnings.extend(refused.map(|why| format!("plugin {name}: left out: {why}")));
        }
        for (name, section) in &self.config.plugins {
            let Some(entry) = self.plugins.get(name) else {
                let nearest = config::nearest(name, self.plugins.keys().map(String::as_str));
                let hint = nearest.map(|best| format!("; did you mean {best}?")).unwrap_or_default();
                warnings.push(format!("[plugins.{name}]: no plugin of this name is loaded{hint}"));
                continue;
            };
            let known = || entry.library.manifest.sampler.iter().map(|sampler| sampler.name.as_str());
            for sampler in section.samplers.keys().filter(|name| !known().any(|known| known == *name)) {
                let hint = config::nearest(sampler, known())
                    .map(|best| format!("; did you mean {best}?"))
                    .unwrap_or_default();
                warnings.push(format!(
                    "[plugins.{name}.samplers.{sampler}]: the plugin has no such sampler{hint}"
                ));
            }
        }
        warnings
    }
}

fn describe(name: &str, entry: &Entry) -> status::Plugin {
    let samplers = entry.active.as_ref().map(Active::samplers).unwrap_or_default();
    let (state, mut reason) = match &entry.active {
        None => (State::Retired, Some("its file was removed".to_string())),
        Some(active) if active.enabled.is_empty() => (State::Disabled, None),
        Some(_) => summary(&samplers),
    };
    if let Some(why) = entry.refused_successor.as_ref().filter(|_| entry.active.is_some()) {
        reason = Some(format!(
            "the file has changed and was refused ({why}); generation {} goes on",
            entry.generation
        ));
    }
    status::Plugin {
        name: name.into(),
        file: entry.file.clone(),
        version: entry.library.version.clone(),
        generation: entry.generation,
        state,
        reason,
        samplers,
    }
}

/// A plugin's state from those of its samplers. A degraded sampler, or one that
/// this machine cannot give, does not count against its plugin.
fn summary(samplers: &[status::Sampler]) -> (State, Option<String>) {
    let any = |states: &[State]| samplers.iter().any(|sampler| states.contains(&sampler.state));
    let Some(failed) = samplers.iter().find(|sampler| sampler.state == State::Failed) else {
        let here = any(&[State::Running, State::Degraded]);
        return (if here { State::Running } else { State::Unsupported }, None);
    };
    let reason = format!("{}: {}", failed.name, failed.reason.as_deref().unwrap_or("no reason given"));
    let state = if any(&[State::Running, State::Degraded]) { State::Degraded } else { State::Failed };
    (state, Some(reason))
}

/// The shared objects in the folder, by name.
fn list(folder: &Path) -> Result<Vec<PathBuf>, String> {
    plugin::check_folder(folder)?;
    let entries = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "so"))
        .collect();
    found.sort();
    Ok(found)
}
