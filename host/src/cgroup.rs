//! The identity of cgroups: which there are, what they are called, and which
//! row of every per-cgroup table is theirs.
//!
//! A cgroup is known by its 64-bit id, the inode number of its directory, which
//! the kernel does not reuse. Its slot is found by hashing the id and probing a
//! few neighbours, in the same way as `cgroup.bpf.h` does. A slot is given to
//! another cgroup only after its rows have been cleared in all tables, so that
//! an old name never stands on new numbers, nor a new one on old numbers.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};

use crate::table::Table;

/// As in `cgroup.bpf.h`.
const PROBES: usize = 4;
const UNTRACKED: usize = 0;

/// How long a removed cgroup keeps its name and numbers, so that whoever takes
/// snapshots sees its last ones.
const LINGER: Duration = Duration::from_secs(2);

/// Where cgroups of the cpu controller live on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    pub mount: PathBuf,
    /// The v1 hierarchy's number, or 0 for the unified hierarchy (v2).
    pub id: i32,
}

impl Hierarchy {
    /// Finds it from `/proc/cgroups` and `/proc/self/mounts` under `root`.
    pub fn detect(root: &Path) -> Option<Self> {
        let cgroups = fs::read_to_string(root.join("proc/cgroups")).unwrap_or_default();
        let mounts = fs::read_to_string(root.join("proc/self/mounts")).ok()?;
        Self::from_text(&cgroups, &mounts)
    }

    fn from_text(cgroups: &str, mounts: &str) -> Option<Self> {
        let id = cgroups
            .lines()
            .filter_map(|line| line.strip_prefix("cpu\t"))
            .find_map(|rest| rest.split('\t').next()?.parse().ok())
            .unwrap_or(0);
        mounts.lines().find_map(|line| {
            let mut fields = line.split(' ');
            let (_, mount, kind, options) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
            let wanted = if id == 0 {
                kind == "cgroup2"
            } else {
                kind == "cgroup" && options.split(',').any(|option| option == "cpu")
            };
            wanted.then(|| Self { mount: mount.into(), id })
        })
    }

    pub fn is_v1(&self) -> bool {
        self.id != 0
    }

    /// All cgroups there are now: id and path below the mount point.
    pub fn walk(&self) -> Vec<(u64, String)> {
        let mut found = Vec::new();
        let mut pending = vec![(self.mount.clone(), String::new())];
        while let Some((folder, path)) = pending.pop() {
            let Ok(metadata) = fs::metadata(&folder) else { continue };
            let shown = if path.is_empty() { "/".to_string() } else { path.clone() };
            found.push((metadata.ino(), shown));
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            for entry in entries.flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    let name = entry.file_name().to_string_lossy().into_owned();
                    pending.push((entry.path(), format!("{path}/{name}")));
                }
            }
        }
        found
    }
}

/// One cgroup with a slot.
#[derive(Clone, Debug)]
struct Tracked {
    id: u64,
    labels: Arc<HashMap<String, String>>,
    /// When it was removed, if it was.
    removed: Option<Instant>,
}

#[derive(Default)]
struct State {
    /// By slot.
    slots: Vec<Option<Tracked>>,
    /// Slots that are in use, ascending.
    live: Vec<usize>,
    /// Paths of all cgroups, with or without a slot.
    paths: HashMap<u64, String>,
}

/// All cgroups, their slots and the shared map of slots.
pub struct Cgroups {
    /// Slots of the hash, a power of two.
    capacity: usize,
    /// The map `cgroup_ids`: the owner of every slot.
    ids: Option<Arc<Table>>,
    state: RwLock<State>,
    version: AtomicU64,
    /// Cgroups that found all their slots taken.
    overflow: AtomicU64,
    /// Tables to clear when a slot is freed.
    tables: Mutex<Vec<(std::sync::Weak<Table>, usize)>>,
}

impl Cgroups {
    /// An empty set. Without `ids` nothing can be tracked per cgroup.
    pub fn new(capacity: usize, ids: Option<Arc<Table>>) -> Self {
        let capacity = capacity.next_power_of_two();
        let cgroups = Self {
            capacity,
            ids,
            state: RwLock::default(),
            version: AtomicU64::new(1),
            overflow: AtomicU64::new(0),
            tables: Mutex::default(),
        };
        cgroups.state.write().slots.resize_with(cgroups.slots(), || None);
        cgroups
    }

    /// Slots of the hash: as many cgroups at most.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Rows of one bank of a per-cgroup table.
    pub fn slots(&self) -> usize {
        Self::slots_for(self.capacity)
    }

    /// Rows for a capacity: the hash's slots, their neighbours, and slot 0.
    pub fn slots_for(capacity: usize) -> usize {
        capacity.next_power_of_two() + PROBES
    }

    /// By how much to shift the hash product: `cgroup_hash_shift` in BPF.
    pub fn hash_shift(&self) -> u32 {
        64 - self.capacity.trailing_zeros()
    }

    fn first_slot(&self, id: u64) -> usize {
        (id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.hash_shift()) as usize
    }

    /// Changes whenever a slot is given, renamed or freed.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub fn overflow(&self) -> u64 {
        self.overflow.load(Ordering::Relaxed)
    }

    /// How many cgroups have a slot.
    pub fn tracked(&self) -> usize {
        self.state.read().live.iter().filter(|&&slot| slot != UNTRACKED).count()
    }

    /// The path of a cgroup by id.
    pub fn path(&self, id: u64) -> Option<String> {
        self.state.read().paths.get(&id).cloned()
    }

    /// Calls `each` with the slot and labels of everything that has numbers.
    pub fn for_each(&self, each: &mut dyn FnMut(usize, &HashMap<String, String>)) {
        let state = self.state.read();
        for &slot in &state.live {
            if let Some(tracked) = &state.slots[slot] {
                each(slot, &tracked.labels);
            }
        }
    }

    /// The labels of one slot.
    pub fn labels(&self, slot: usize) -> Option<Arc<HashMap<String, String>>> {
        self.state.read().slots.get(slot)?.as_ref().map(|tracked| tracked.labels.clone())
    }

    /// Has `table`, of `banks` banks, cleared wherever a slot is freed.
    pub fn watch_table(&self, table: &Arc<Table>, banks: usize) {
        let mut tables = self.tables.lock();
        tables.retain(|(table, _)| table.strong_count() > 0);
        tables.push((Arc::downgrade(table), banks));
    }

    /// Takes over what a walk found: adds what is new, and, since a walk sees
    /// everything, marks what is missing as removed.
    pub fn reconcile(&self, found: Vec<(u64, String)>) {
        let present: std::collections::HashSet<u64> = found.iter().map(|(id, _)| *id).collect();
        for (id, path) in found {
            self.add(id, path);
        }
        let gone: Vec<u64> = {
            let state = self.state.read();
            state.paths.keys().filter(|id| !present.contains(id)).copied().collect()
        };
        for id in gone {
            self.remove(id);
        }
    }

    /// A cgroup was made, or seen for the first time.
    pub fn add(&self, id: u64, path: String) {
        let mut state = self.state.write();
        if state.paths.insert(id, path.clone()).as_ref() == Some(&path) && self.find(&state, id).is_some() {
            return;
        }
        match self.claim(&state, id) {
            Some(slot) => self.place(&mut state, slot, id, &path),
            None => {
                self.overflow.fetch_add(1, Ordering::Relaxed);
                self.place(&mut state, UNTRACKED, 0, "(untracked)");
            }
        }
    }

    /// A v1 cgroup got another name.
    pub fn rename(&self, id: u64, path: String) {
        let known = self.state.read().paths.contains_key(&id);
        if known {
            self.add(id, path);
        }
    }

    /// A cgroup's directory was removed. Its numbers linger for a moment.
    pub fn remove(&self, id: u64) {
        let mut state = self.state.write();
        state.paths.remove(&id);
        if let Some(slot) = self.find(&state, id)
            && let Some(tracked) = &mut state.slots[slot]
        {
            tracked.removed.get_or_insert_with(Instant::now);
        }
    }

    /// Frees the slots of cgroups that were removed a while ago: withdraws the
    /// name, clears the rows, and only then offers the slot again.
    ///
    /// Must not run while a snapshot is being read.
    pub fn retire(&self, now: Instant) {
        let mut state = self.state.write();
        let due: Vec<usize> = state
            .live
            .iter()
            .copied()
            .filter(|&slot| {
                state.slots[slot]
                    .as_ref()
                    .and_then(|tracked| tracked.removed)
                    .is_some_and(|removed| now.duration_since(removed) >= LINGER)
            })
            .collect();
        if due.is_empty() {
            return;
        }
        for &slot in &due {
            state.slots[slot] = None;
        }
        state.live.retain(|slot| !due.contains(slot));
        self.version.fetch_add(1, Ordering::AcqRel);
        let tables: Vec<_> =
            self.tables.lock().iter().filter_map(|(t, banks)| Some((t.upgrade()?, *banks))).collect();
        for &slot in &due {
            for (table, banks) in &tables {
                for bank in 0..*banks {
                    table.clear(bank * self.slots() + slot);
                }
            }
            if let Some(ids) = &self.ids {
                ids.set(slot, 0, 0);
            }
        }
    }

    fn candidates(&self, id: u64) -> impl Iterator<Item = usize> + use<> {
        let first = self.first_slot(id);
        (1..=PROBES).map(move |probe| first + probe)
    }

    fn find(&self, state: &State, id: u64) -> Option<usize> {
        self.candidates(id).find(|&slot| state.slots[slot].as_ref().is_some_and(|tracked| tracked.id == id))
    }

    /// The slot that is the cgroup's already (the kernel side claims slots as
    /// cgroups are made), or a free one that now is.
    fn claim(&self, state: &State, id: u64) -> Option<usize> {
        let ids = self.ids.as_ref()?;
        self.candidates(id).find(|&slot| ids.get(slot, 0) == id).or_else(|| {
            self.candidates(id).find(|&slot| state.slots[slot].is_none() && ids.claim(slot, 0, 0, id).is_ok())
        })
    }

    fn place(&self, state: &mut State, slot: usize, id: u64, path: &str) {
        let labels =
            HashMap::from([("id".to_string(), id.to_string()), ("name".to_string(), path.to_string())]);
        state.slots[slot] = Some(Tracked { id, labels: Arc::new(labels), removed: None });
        if let Err(at) = state.live.binary_search(&slot) {
            state.live.insert(at, slot);
        }
        self.version.fetch_add(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\n\
        cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0\n\
        cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0\n";

    #[test]
    fn hybrid_is_v1_when_the_cpu_controller_is() {
        let cgroups = "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpuset\t3\t1\t1\ncpu\t2\t7\t1\ncpuacct\t2\t7\t1\n";
        let found = Hierarchy::from_text(cgroups, V1).unwrap();
        assert_eq!(found, Hierarchy { mount: "/sys/fs/cgroup/cpu,cpuacct".into(), id: 2 });
        let unified = cgroups.replace("cpu\t2", "cpu\t0");
        let found = Hierarchy::from_text(&unified, V1).unwrap();
        assert_eq!(found, Hierarchy { mount: "/sys/fs/cgroup/unified".into(), id: 0 });
    }

    fn names(cgroups: &Cgroups) -> Vec<String> {
        let mut names = Vec::new();
        cgroups.for_each(&mut |_, labels| names.push(labels["name"].clone()));
        names.sort();
        names
    }

    #[test]
    fn without_a_map_everything_is_untracked() {
        let cgroups = Cgroups::new(64, None);
        cgroups.reconcile(vec![(1, "/".into()), (2, "/a".into())]);
        assert_eq!(names(&cgroups), ["(untracked)"]);
        assert_eq!(cgroups.overflow(), 2);
        assert_eq!(cgroups.path(2).as_deref(), Some("/a"));
    }
}
