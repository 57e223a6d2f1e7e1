//! One plugin's BPF object, sized for this machine, loaded and attached.

use std::collections::{BTreeSet, HashMap};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;

use libbpf_rs::btf::{Btf, TypeId};
use libbpf_rs::{AsRawLibbpf, MapCore, MapHandle, MapType, ObjectBuilder, OpenObject, libbpf_sys};
use rezolus_plugin_api::manifest::{Dimension, Kind, Manifest, Rows};

use super::iterator::Reader;
use super::layout::{self, Field};
use super::load::{self, Attached, Hook};
use super::log;
use crate::cgroup::{Cgroups, Hierarchy};
use crate::table::Table;

/// No more rows than this are spent on spreading contention.
const MOST_BANKS: usize = 8;
/// Nor on state per task: pids beyond share rows, which programs notice.
const MOST_PID_ROWS: usize = 65536;

/// What the host knows about the machine it loads objects on.
pub struct Machine {
    /// Possible CPUs: the kernel numbers them below this.
    pub cpus: usize,
    /// The kernel's BTF, if it is not where libbpf looks.
    pub btf: Option<PathBuf>,
    pub cgroups: Arc<Cgroups>,
    pub hierarchy: Option<Hierarchy>,
    /// The map `cgroup_ids` that all objects share.
    pub cgroup_ids: Option<MapHandle>,
}

impl Machine {
    /// Looks at the machine and makes the shared map.
    pub fn new(btf: Option<PathBuf>, max_cgroups: u32) -> Self {
        let cpus = libbpf_rs::num_possible_cpus().unwrap_or(1);
        let slots = Cgroups::slots_for(max_cgroups as usize);
        let (map, table) = match shared_ids(slots) {
            Ok((map, table)) => (Some(map), Some(Arc::new(table))),
            Err(why) => {
                tracing::error!("no map of cgroups: {why}; metrics per cgroup will be missing");
                (None, None)
            }
        };
        Self {
            cpus,
            btf,
            cgroups: Arc::new(Cgroups::new(max_cgroups as usize, table)),
            hierarchy: Hierarchy::detect("/".as_ref()),
            cgroup_ids: map,
        }
    }

    pub fn banks(&self) -> usize {
        self.cpus.next_power_of_two().min(MOST_BANKS)
    }

    fn pid_rows(&self) -> usize {
        let limit = std::fs::read_to_string("/proc/sys/kernel/pid_max")
            .ok()
            .and_then(|text| text.trim().parse::<usize>().ok())
            .unwrap_or(MOST_PID_ROWS);
        limit.next_power_of_two().min(MOST_PID_ROWS)
    }

    fn rows(&self, rows: Rows) -> usize {
        match rows {
            Rows::One => 1,
            Rows::Cpu => self.cpus,
            Rows::Bank => self.banks(),
            Rows::Cgroup => self.banks() * self.cgroups.slots(),
            Rows::Pid => self.pid_rows(),
        }
    }

    /// The value of a constant that objects may declare.
    fn constant(&self, name: &str) -> Option<u64> {
        Some(match name {
            "cpus" => self.cpus as u64,
            "bank_mask" => self.banks() as u64 - 1,
            "pid_mask" => self.pid_rows() as u64 - 1,
            "cgroup_hash_shift" => u64::from(self.cgroups.hash_shift()),
            "cgroup_slots" => self.cgroups.slots() as u64,
            "cgroup_v1" => u64::from(self.hierarchy.as_ref().is_some_and(Hierarchy::is_v1)),
            "cgroup_hierarchy" => self.hierarchy.as_ref().map_or(0, |h| h.id as u64),
            _ => return None,
        })
    }

    /// Opens an object and fits it to the machine: map sizes, shared maps,
    /// constants.
    pub(super) fn open(&self, plan: &Plan<'_>) -> Result<OpenObject, String> {
        let mut builder = ObjectBuilder::default();
        if let Some(btf) = &self.btf {
            builder.btf_custom_path(btf).map_err(|error| format!("{}: {error}", btf.display()))?;
        }
        let (opened, said) = log::collect(|| builder.open_memory(plan.bytes));
        let mut opened = opened.map_err(|error| {
            let last = said.last().map(|line| line.trim().to_string()).unwrap_or_default();
            format!("the BPF object cannot be opened: {error} {last}").trim().to_string()
        })?;
        let constants = match btf_of(&opened)? {
            Some(btf) => layout::constants(&btf),
            None => return Err("the BPF object has no BTF; compile it with -g".into()),
        };
        for mut map in opened.maps_mut() {
            let name = map.name().to_string_lossy().into_owned();
            let failed = |what: &str, error: libbpf_rs::Error| format!("map {name}: {what}: {error}");
            if name == "cgroup_ids" {
                if let Some(shared) = &self.cgroup_ids {
                    map.reuse_fd(shared.as_fd()).map_err(|e| failed("cannot be shared", e))?;
                }
            } else if name.ends_with(".rodata") {
                if let Some(data) = map.initial_value_mut() {
                    self.fill(data, &constants, plan);
                }
            } else if let Some(kept) = plan.keep.and_then(|kept| kept.0.get(&name)) {
                map.reuse_fd(kept.as_fd()).map_err(|e| failed("cannot be taken over", e))?;
            } else if let Some(rows) = plan.manifest.maps.get(&name) {
                let rows = u32::try_from(self.rows(*rows)).map_err(|_| format!("map {name}: too large"))?;
                map.set_max_entries(rows).map_err(|e| failed("cannot be resized", e))?;
            }
        }
        Ok(opened)
    }

    fn fill(&self, data: &mut [u8], constants: &[(String, usize, usize)], plan: &Plan<'_>) {
        for (name, offset, size) in constants {
            let value = match name.strip_prefix("enabled_") {
                Some(sampler) => Some(u64::from(plan.enabled.contains(sampler))),
                None => self.constant(name),
            };
            let bytes = data.get_mut(*offset..offset + size);
            if let (Some(value), Some(bytes)) = (value, bytes)
                && *size <= 8
            {
                // Both supported architectures are little-endian.
                bytes.copy_from_slice(&value.to_le_bytes()[..*size]);
            }
        }
    }
}

fn shared_ids(slots: usize) -> Result<(MapHandle, Table), String> {
    let options = libbpf_sys::bpf_map_create_opts {
        sz: std::mem::size_of::<libbpf_sys::bpf_map_create_opts>() as libbpf_sys::size_t,
        map_flags: libbpf_sys::BPF_F_MMAPABLE,
        ..Default::default()
    };
    let entries = u32::try_from(slots).map_err(|error| error.to_string())?;
    let map = MapHandle::create(MapType::Array, Some("cgroup_ids"), 4, 8, entries, &options)
        .map_err(|error| error.to_string())?;
    let table = Table::map(&std::os::fd::AsRawFd::as_raw_fd(&map.as_fd()), slots, 8)
        .map_err(|error| error.to_string())?;
    Ok((map, table))
}

fn btf_of(opened: &OpenObject) -> Result<Option<Btf<'_>>, String> {
    // SAFETY: the object outlives the borrow that the signature ties to it.
    let raw = unsafe { opened.as_libbpf_object().as_ref() };
    Btf::from_bpf_object(raw).map_err(|error| error.to_string())
}

/// The maps of a loaded object, to be taken over by its successor.
pub struct Maps(HashMap<String, MapHandle>);

/// What to load of an object.
pub struct Plan<'a> {
    pub bytes: &'a [u8],
    pub manifest: &'a Manifest,
    /// The samplers that are to run.
    pub enabled: BTreeSet<String>,
    /// Maps to go on with, so that toggling one sampler resets no other's
    /// counters.
    pub keep: Option<&'a Maps>,
}

/// A loaded object.
pub struct Object {
    attached: Attached,
    pub hooks: Vec<Hook>,
    /// Iterator programs, and why the kernel refused them.
    iterators: Vec<(String, Option<String>)>,
    tables: HashMap<String, (Arc<Table>, TypeId)>,
}

impl Object {
    /// Loads an object and attaches the hooks that the enabled samplers need.
    ///
    /// # Errors
    ///
    /// When nothing of the object can be used. A hook without a working
    /// alternative is no error: see [`Hook::reason`].
    pub fn load(machine: &Machine, plan: &Plan<'_>) -> Result<Self, String> {
        let mut hooks: Vec<Hook> = plan
            .manifest
            .program
            .iter()
            .filter(|program| program.samplers.iter().any(|name| plan.enabled.contains(name)))
            .map(Hook::new)
            .collect();
        let mut iterators: Vec<_> = plan
            .manifest
            .iterator
            .iter()
            .filter(|iterator| {
                plan.manifest.sampler.iter().any(|sampler| {
                    plan.enabled.contains(&sampler.name)
                        && sampler.metric.iter().any(|m| m.iterator.as_deref() == Some(&iterator.name))
                })
            })
            .map(|iterator| (iterator.program.clone(), None))
            .collect();
        let attached = load::load(|| machine.open(plan), &mut hooks, &mut iterators)?;
        let mut object = Self { attached, hooks, iterators, tables: HashMap::new() };
        object.map_tables(machine, plan)?;
        Ok(object)
    }

    fn map_tables(&mut self, machine: &Machine, plan: &Plan<'_>) -> Result<(), String> {
        for map in self.attached.object.maps() {
            let name = map.name().to_string_lossy().into_owned();
            let Some(rows) = plan.manifest.maps.get(&name).filter(|rows| **rows != Rows::Pid) else {
                continue;
            };
            let table = Table::map(
                &std::os::fd::AsRawFd::as_raw_fd(&map.as_fd()),
                map.max_entries() as usize,
                map.value_size() as usize,
            )
            .map_err(|error| format!("map {name} cannot be mapped (is it BPF_F_MMAPABLE?): {error}"))?;
            let table = Arc::new(table);
            if *rows == Rows::Cgroup {
                machine.cgroups.watch_table(&table, machine.banks());
            }
            // SAFETY: the pointer belongs to the loaded object, alive here.
            let row = unsafe { libbpf_sys::bpf_map__btf_value_type_id(map.as_libbpf_object().as_ptr()) };
            self.tables.insert(name, (table, TypeId::from(row)));
        }
        for name in plan.manifest.maps.keys() {
            if self.map(name).is_none() {
                return Err(format!("[maps] names {name}, which the BPF object does not have"));
            }
        }
        Ok(())
    }

    /// The table of a name and, in the order of the metric's combinations, the
    /// word of each series in its rows.
    pub fn locate(
        &self,
        map: &str,
        field: &str,
        dimensions: &[Dimension<'_>],
        kind: Kind,
    ) -> Result<(Arc<Table>, Vec<usize>), String> {
        let (table, row) = self.tables.get(map).ok_or_else(|| format!("there is no table {map}"))?;
        let btf = self.btf()?;
        let field = layout::field(&btf, *row, field)?;
        Ok((table.clone(), layout::words(&btf, &field, dimensions, kind)?))
    }

    fn btf(&self) -> Result<Btf<'_>, String> {
        self.attached
            .object
            .btf()
            .map_err(|error| error.to_string())?
            .ok_or_else(|| "the BPF object has no BTF".to_string())
    }

    /// Member and struct size of an iterator's record.
    fn record_field(&self, record: &str, field: &str) -> Result<(Field, usize), String> {
        let btf = self.btf()?;
        let (ty, size) = layout::record(&btf, record)?;
        Ok((layout::field(&btf, ty, field)?, size))
    }

    /// A reader for one of the manifest's iterators; `fields` are the members
    /// its metrics take their numbers from.
    ///
    /// # Errors
    ///
    /// Why the kernel refused the iterator, or what is wrong with its record.
    pub fn reader(
        &self,
        iterator: &rezolus_plugin_api::manifest::Iterator,
        fields: &[String],
        cgroups: &Arc<Cgroups>,
    ) -> Result<Reader, String> {
        if let Some((_, Some(why))) = self.iterators.iter().find(|(name, _)| *name == iterator.program) {
            return Err(format!("{}: {why}", iterator.program));
        }
        let program = self
            .attached
            .object
            .progs_mut()
            .find(|program| program.name().to_string_lossy() == iterator.program.as_str())
            .ok_or_else(|| format!("the object has no program {}", iterator.program))?;
        let (link, said) = log::collect(|| program.attach());
        let link = link.map_err(|error| {
            let why =
                said.first().map_or_else(|| error.to_string(), |_| log::reason(&said, &iterator.program));
            format!("{}: attach: {why}", iterator.program)
        })?;
        let section = program.section().to_string_lossy().into_owned();
        let mut labels = Vec::new();
        let mut size = 0;
        for (label, member) in &iterator.labels {
            let (field, record) = self.record_field(&iterator.record, member)?;
            size = record;
            labels.push((label.clone(), field, iterator.cgroups.contains(label)));
        }
        let mut values = Vec::new();
        for member in fields {
            let (field, record) = self.record_field(&iterator.record, member)?;
            size = record;
            values.push(field);
        }
        Reader::new(link, section, size, labels, values, cgroups.clone())
    }

    /// A map by name.
    pub(super) fn map(&self, name: &str) -> Option<libbpf_rs::Map<'_>> {
        self.attached.object.maps().find(|map| map.name().to_string_lossy() == name)
    }

    /// A data section's map, whose name libbpf prefixes with the object's.
    pub(super) fn map_ending(&self, suffix: &str) -> Option<libbpf_rs::Map<'_>> {
        self.attached.object.maps().find(|map| map.name().to_string_lossy().ends_with(suffix))
    }

    /// Why the kernel refused an iterator, if it did.
    pub fn iterator_refusal(&self, program: &str) -> Option<String> {
        self.iterators.iter().find(|(name, _)| name == program)?.1.clone()
    }

    /// The section of a program.
    pub fn section(&self, program: &str) -> Option<String> {
        let found = self.attached.object.progs().find(|found| found.name().to_string_lossy() == program)?;
        Some(found.section().to_string_lossy().into_owned())
    }

    /// Detaches everything; the maps stay readable.
    pub fn detach(&mut self) {
        self.attached.detach();
    }

    /// Puts perf event descriptors, by CPU, into a map.
    pub fn set_perf_map(&self, map: &str, fds: &[(usize, i32)]) -> Result<(), String> {
        let found = self.map(map).ok_or_else(|| format!("the BPF object has no map {map}"))?;
        for (cpu, fd) in fds {
            let key = u32::try_from(*cpu).unwrap_or(u32::MAX).to_ne_bytes();
            found
                .update(&key, &fd.to_ne_bytes(), libbpf_rs::MapFlags::ANY)
                .map_err(|error| format!("map {map}, CPU {cpu}: {error}"))?;
        }
        Ok(())
    }

    /// Handles to the tables that metrics are read from, for a successor to
    /// take over. State of programs starts anew: what began before a pause
    /// must not be measured across it.
    pub fn maps(&self, manifest: &Manifest) -> Maps {
        let metrics = manifest.sampler.iter().flat_map(|sampler| &sampler.metric);
        let names: BTreeSet<&String> = metrics.filter_map(|metric| metric.map.as_ref()).collect();
        let mut maps = HashMap::new();
        for name in names {
            if let Some(Ok(handle)) = self.map(name).map(|map| MapHandle::try_from(&map)) {
                maps.insert(name.clone(), handle);
            }
        }
        Maps(maps)
    }
}
