//! Keeps the set of cgroups current: a walk at start, tracepoints after that.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use libbpf_rs::{MapCore, RingBuffer, RingBufferBuilder};
use rezolus_plugin_api::manifest::Manifest;

use super::object::{Machine, Object, Plan};
use crate::cgroup::{Cgroups, Hierarchy};

const MANIFEST: &str = include_str!("cgroup.toml");

/// As `struct cgroup_event` in `bpf/cgroup.bpf.c`.
const HEADER: usize = 20;
const MADE: u32 = 0;
const REMOVED: u32 = 1;

enum Event {
    Made(u64, String),
    Removed(u64),
    Renamed(u64, String),
}

/// The host's own BPF object: cgroups that come and go.
pub struct Watch {
    hierarchy: Hierarchy,
    cgroups: Arc<Cgroups>,
    /// Events in the order the kernel saw them.
    events: Arc<Mutex<Vec<Event>>>,
    ring: Option<RingBuffer<'static>>,
    // Dropped after the ring, which reads from its map.
    object: Option<Object>,
    lost: u64,
    walked: Instant,
}

impl Watch {
    /// Walks the tree, attaches, and walks again for what was made meanwhile.
    pub fn start(machine: &Machine) -> Option<Self> {
        let hierarchy = machine.hierarchy.clone()?;
        machine.cgroups.reconcile(hierarchy.walk());
        let events = Arc::new(Mutex::new(Vec::new()));
        let (object, ring) = match attach(machine, &events) {
            Ok((object, ring)) => (Some(object), Some(ring)),
            Err(why) => {
                tracing::warn!("cgroups are looked for once a second only: {why}");
                (None, None)
            }
        };
        machine.cgroups.reconcile(hierarchy.walk());
        Some(Self {
            hierarchy,
            cgroups: machine.cgroups.clone(),
            events,
            ring,
            object,
            lost: 0,
            walked: Instant::now(),
        })
    }

    /// Takes in what happened since the last call.
    pub fn update(&mut self) {
        let now = Instant::now();
        match &self.ring {
            Some(ring) => {
                if let Err(error) = ring.consume() {
                    tracing::warn!("cgroup events cannot be read: {error}");
                }
                let lost = self.object.as_ref().map_or(0, events_lost);
                if lost != self.lost {
                    self.lost = lost;
                    self.cgroups.reconcile(self.hierarchy.walk());
                }
            }
            None if now.duration_since(self.walked).as_millis() >= 1000 => {
                self.walked = now;
                self.cgroups.reconcile(self.hierarchy.walk());
            }
            None => {}
        }
        let events = std::mem::take(&mut *self.events.lock().unwrap_or_else(PoisonError::into_inner));
        for event in events {
            match event {
                Event::Made(id, path) => self.cgroups.add(id, path),
                Event::Removed(id) => self.cgroups.remove(id),
                Event::Renamed(id, path) => self.cgroups.rename(id, path),
            }
        }
    }
}

fn attach(
    machine: &Machine,
    events: &Arc<Mutex<Vec<Event>>>,
) -> Result<(Object, RingBuffer<'static>), String> {
    #[repr(C, align(8))]
    struct Aligned<T: ?Sized>(T);
    static OBJECT: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/cgroup.bpf.o")));

    let manifest = Manifest::parse(MANIFEST).map_err(|error| error.to_string())?;
    let enabled = manifest.sampler.iter().map(|sampler| sampler.name.clone()).collect();
    let plan = Plan { bytes: &OBJECT.0, manifest: &manifest, enabled, keep: None };
    let object = Object::load(machine, &plan)?;
    if let Some(missing) = object.hooks.iter().find(|hook| hook.attached.is_empty()) {
        return Err(missing.reason());
    }
    let map = object.map("cgroup_events").ok_or("the object has no map cgroup_events")?;
    let mut builder = RingBufferBuilder::new();
    let sink = events.clone();
    let keep = move |bytes: &[u8]| {
        if let Some(event) = decode(bytes) {
            sink.lock().unwrap_or_else(PoisonError::into_inner).push(event);
        }
        0
    };
    builder.add(&map, keep).map_err(|error| error.to_string())?;
    let ring = builder.build().map_err(|error| error.to_string())?;
    Ok((object, ring))
}

fn events_lost(object: &Object) -> u64 {
    object
        .map_ending(".bss")
        .and_then(|map| map.lookup(&0u32.to_ne_bytes(), libbpf_rs::MapFlags::ANY).ok().flatten())
        .and_then(|bytes| Some(u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?)))
        .unwrap_or(0)
}

fn decode(bytes: &[u8]) -> Option<Event> {
    let id = u64::from_le_bytes(bytes.get(0..8)?.try_into().ok()?);
    let kind = u32::from_le_bytes(bytes.get(8..12)?.try_into().ok()?);
    let length = u32::from_le_bytes(bytes.get(16..20)?.try_into().ok()?) as usize;
    let path = bytes.get(HEADER..HEADER + length)?;
    let path = path.split(|&byte| byte == 0).next().unwrap_or_default();
    let path = String::from_utf8_lossy(path).into_owned();
    Some(match kind {
        MADE => Event::Made(id, path),
        REMOVED => Event::Removed(id),
        _ => Event::Renamed(id, path),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_what_the_program_writes() {
        let mut bytes = 77u64.to_le_bytes().to_vec();
        for word in [MADE, 3, 3] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(b"/a\0");
        assert!(matches!(decode(&bytes), Some(Event::Made(77, path)) if path == "/a"));
        assert!(decode(&bytes[..21]).is_none());
        assert!(decode(&[]).is_none());
    }
}
