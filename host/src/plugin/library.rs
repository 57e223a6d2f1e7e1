//! A plugin's shared library, opened from a private copy and never unloaded.

use std::path::Path;

use abi_stable::library::{AbiHeaderRef, LibHeader, LibraryError};
use abi_stable::std_types::{ROption, RResult};
use libloading::os::unix as dl;
use rezolus_modes::diagnose::definition::{self, Checked};
use rezolus_plugin_api::abi::{
    Fallible, PluginRootRef, RESOURCE_BPF, RESOURCE_DASHBOARD, RESOURCE_DIAGNOSES, ROOT_SYMBOL, RawValues,
};
use rezolus_plugin_api::manifest::Manifest;

use super::copy::PrivateCopy;

/// An opened plugin. Its code stays mapped for the life of the process.
pub struct Library {
    root: PluginRootRef,
    pub version: String,
    pub contract: u32,
    pub manifest: Manifest,
    /// The dashboard, if it has one: checked to be JSON.
    pub dashboard: Option<serde_json::Value>,
    /// The diagnoses, if it has any: those that can be asked, and what is wrong
    /// with the others.
    pub diagnoses: Option<Checked>,
    /// The BPF object, if it has one.
    pub object: Option<&'static [u8]>,
}

impl Library {
    /// Opens a library from its bytes.
    ///
    /// The library is loaded from a sealed copy in memory: whatever happens to
    /// the file afterwards does not concern it.
    ///
    /// # Errors
    ///
    /// What does not fit, in one sentence.
    pub fn open(name: &str, bytes: &[u8]) -> Result<Self, String> {
        // The copy is given up again once the library is mapped.
        let copy = PrivateCopy::new(name, bytes).map_err(|error| format!("cannot be copied: {error}"))?;
        Self::open_at(copy.path())
    }

    /// Opens a library by a path that no other library was ever opened by:
    /// the loader tells libraries apart by name.
    pub fn open_at(path: &Path) -> Result<Self, String> {
        // SAFETY: this runs the library's constructors. A plugin is as trusted
        // as the agent (owner and mode were checked), and it was tried in a
        // child process before.
        let library = unsafe { dl::Library::open(Some(path), dl::RTLD_NOW | dl::RTLD_LOCAL) }
            .map_err(|error| format!("cannot be loaded: {}", shorten(&loader_message(&error))))?;
        // Never unloaded: thread-locals and values made by its code may live on.
        let library: &'static dl::Library = Box::leak(Box::new(library));
        // SAFETY: the symbol is abi_stable's header, whose first word says
        // which version of abi_stable made it; `upgrade` checks that.
        let header: AbiHeaderRef = unsafe {
            *library
                .get::<AbiHeaderRef>(ROOT_SYMBOL)
                .map_err(|error| format!("not a rezolus plugin: {error}"))?
        };
        let header: &'static LibHeader = header.upgrade().map_err(|error| {
            format!("built with another version of abi_stable: {}", shorten(&error.to_string()))
        })?;
        let root = header.init_root_module::<PluginRootRef>().map_err(|error| abi_message(&error))?;
        Self::examine(root)
    }

    fn examine(root: PluginRootRef) -> Result<Self, String> {
        let text = fallible(root.manifest()()).map_err(|why| format!("manifest: {why}"))?.into_string();
        let manifest = Manifest::parse(&text).map_err(|error| error.to_string())?;
        let resource = |name: &str| match root.resource()(name.into()) {
            ROption::RSome(bytes) => Some(bytes.as_slice()),
            ROption::RNone => None,
        };
        let dashboard = resource(RESOURCE_DASHBOARD)
            .map(serde_json::from_slice)
            .transpose()
            .map_err(|error| format!("the dashboard is not valid JSON: {error}"))?;
        let diagnoses = resource(RESOURCE_DIAGNOSES)
            .map(serde_json::from_slice)
            .transpose()
            .map_err(|error| format!("the diagnoses are not valid JSON: {error}"))?;
        Ok(Self {
            root,
            version: root.version()().into_string(),
            contract: root.contract(),
            manifest,
            dashboard,
            diagnoses: diagnoses.map(|json: serde_json::Value| definition::check(&json)),
            object: resource(RESOURCE_BPF).filter(|object| !object.is_empty()),
        })
    }

    /// Starts one of its userspace samplers.
    ///
    /// # Errors
    ///
    /// The sampler's own words.
    pub fn start(&self, sampler: &str) -> Result<Sampler, String> {
        let declared = self
            .manifest
            .sampler
            .iter()
            .find(|declared| declared.name == sampler)
            .ok_or_else(|| format!("there is no sampler {sampler}"))?;
        let context = self.manifest.userspace_series(declared).join("\n");
        let handle = fallible(self.root.start()(sampler.into(), context.as_str().into()))?;
        Ok(Sampler { root: self.root, handle })
    }
}

/// A running userspace sampler; stopped when dropped.
pub struct Sampler {
    root: PluginRootRef,
    handle: u64,
}

impl Sampler {
    /// Asks for its current numbers.
    pub fn refresh(&self, values: &mut RawValues) -> Result<(), String> {
        fallible(self.root.refresh()(self.handle, values))
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        if let Err(why) = fallible(self.root.stop()(self.handle)) {
            tracing::warn!("a sampler did not stop cleanly: {why}");
        }
    }
}

fn fallible<T>(result: Fallible<T>) -> Result<T, String> {
    match result {
        RResult::ROk(value) => Ok(value),
        RResult::RErr(why) => Err(shorten(why.as_str())),
    }
}

fn loader_message(error: &libloading::Error) -> String {
    use std::error::Error;
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

/// abi_stable's reports run to many thousand characters; people get the gist.
fn abi_message(error: &LibraryError) -> String {
    match error {
        LibraryError::AbiInstability(_) => {
            "built against another plugin ABI: the layout of its root module differs from this host's; \
             rebuild it with this version of rezolus-plugin-api"
                .into()
        }
        LibraryError::IncompatibleVersionNumber { .. } | LibraryError::InvalidAbiHeader(_) => {
            format!("built against another plugin ABI: {}", shorten(&error.to_string()))
        }
        other => format!("cannot be initialised: {}", shorten(&other.to_string())),
    }
}

/// One line, of a length that fits a table.
fn shorten(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(300) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}
