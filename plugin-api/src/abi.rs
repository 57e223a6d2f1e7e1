//! What crosses the edge of a plugin's shared library. Frozen.
//!
//! Nothing here may change: a host accepts a library whose types have exactly
//! this layout (abi_stable compares them when it loads the library). Whatever
//! a later contract needs goes into the manifest, or becomes a new *resource*
//! name, both of which older hosts and plugins ignore.

use abi_stable::StableAbi;
use abi_stable::library::RootModule;
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::{ROption, RResult, RSlice, RStr, RString, RVec, Tuple2};

/// The revision of the contract this crate describes. It grows when the
/// manifest gains a key, or when there is a new resource, and the crate's minor
/// version with it; it says nothing about the layout, which is frozen, as is
/// the crate's major version.
pub const CONTRACT: u32 = 3;

/// The resource that holds the BPF object, an ELF file.
pub const RESOURCE_BPF: &str = "bpf";
/// The resource that holds the dashboard, JSON.
pub const RESOURCE_DASHBOARD: &str = "dashboard";
/// The resource that holds the diagnoses, JSON. Since contract 3.
pub const RESOURCE_DIAGNOSES: &str = "diagnoses";

/// A result whose error is a sentence for people.
pub type Fallible<T> = RResult<T, RString>;

/// The root of a plugin.
///
/// Every function may be called from any thread, but calls for one handle are
/// never concurrent. None may unwind: [`export!`](crate::export) contains
/// panics and turns them into errors. Memory handed over belongs to whoever
/// receives it; slices from `resource` live as long as the library, which is
/// never unloaded.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = PluginRootRef, prefix_fields = PluginRootPrefix)))]
pub struct PluginRoot {
    /// [`CONTRACT`] when the plugin was built.
    pub contract: u32,
    /// The plugin's version.
    pub version: extern "C" fn() -> RString,
    /// The manifest: TOML, described by [`crate::manifest`].
    pub manifest: extern "C" fn() -> Fallible<RString>,
    /// A named block of bytes, if the plugin has one under this name.
    pub resource: extern "C" fn(name: RStr<'_>) -> ROption<RSlice<'static, u8>>,
    /// Starts a userspace sampler. `context` lists its series, a line each.
    /// Returns a handle for the other calls.
    pub start: extern "C" fn(sampler: RStr<'_>, context: RStr<'_>) -> Fallible<u64>,
    /// Asks a started sampler for its current numbers.
    pub refresh: extern "C" fn(handle: u64, values: &mut RawValues) -> Fallible<()>,
    /// Ends a sampler. The handle is dead afterwards, error or not.
    #[sabi(last_prefix_field)]
    pub stop: extern "C" fn(handle: u64) -> Fallible<()>,
}

impl RootModule for PluginRootRef {
    abi_stable::declare_root_module_statics! {PluginRootRef}
    const BASE_NAME: &'static str = "rezolus_plugin";
    const NAME: &'static str = "rezolus_plugin";
    // The layout is frozen at this version, whatever the crate's own is.
    const VERSION_STRINGS: VersionStrings = VersionStrings::new("1.0.0");
}

/// The name of the one symbol a plugin exports.
pub const ROOT_SYMBOL: &str = abi_stable::library::ROOT_MODULE_LOADER_NAME;

/// One number: of which series, in which row (0 where the series has no rows).
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Index into the list of series that `start` was given.
    pub series: u32,
    /// The row, as in [`RawRow::row`].
    pub row: u32,
    /// The value; a gauge's is an `i64` in two's complement.
    pub value: u64,
}

/// What a row of a table stands for.
#[repr(C)]
#[derive(StableAbi, Clone, Debug, PartialEq, Eq)]
pub struct RawRow {
    /// The table, as named by `rows` in the manifest.
    pub table: RString,
    pub row: u32,
    /// Label names and values. Without labels the row is gone.
    pub labels: RVec<Tuple2<RString, RString>>,
}

/// What a refresh fills in.
#[repr(C)]
#[derive(StableAbi, Debug, Default)]
pub struct RawValues {
    pub cells: RVec<Cell>,
    /// Rows that came, changed or went since the last refresh.
    pub rows: RVec<RawRow>,
}
