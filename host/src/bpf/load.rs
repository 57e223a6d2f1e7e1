//! Ladders: for every hook the first alternative that this kernel accepts.

use std::collections::BTreeSet;

use libbpf_rs::{Link, Object, OpenObject};
use rezolus_plugin_api::manifest::Program;

use super::log;

/// One alternative of a hook: BPF programs that go together.
#[derive(Clone, Debug)]
pub struct Alternative {
    pub programs: Vec<String>,
    /// Why it was not taken, once it was tried.
    pub refused: Option<String>,
}

/// A hook with its ladder.
#[derive(Clone, Debug)]
pub struct Hook {
    pub name: String,
    /// Of its tracepoints.
    subsystem: Option<String>,
    pub alternatives: Vec<Alternative>,
    /// The sections of what is attached: `tp_btf/sched_switch`.
    pub attached: Vec<String>,
    /// Kernel ids of the attached programs.
    pub program_ids: Vec<u32>,
}

impl Hook {
    pub fn new(program: &Program) -> Self {
        let alternatives = program
            .alternatives
            .iter()
            .map(|together| Alternative {
                programs: together.split('+').map(|name| name.trim().to_string()).collect(),
                refused: None,
            })
            .collect();
        Self {
            name: program.name.clone(),
            subsystem: program.subsystem.clone(),
            alternatives,
            attached: Vec::new(),
            program_ids: Vec::new(),
        }
    }

    /// The best alternative that was not refused.
    fn candidate(&self) -> Option<&Alternative> {
        self.alternatives.iter().find(|alternative| alternative.refused.is_none())
    }

    fn refuse(&mut self, program: &str, why: &str) -> bool {
        let open = self
            .alternatives
            .iter_mut()
            .find(|a| a.refused.is_none() && a.programs.iter().any(|name| name == program));
        match open {
            Some(alternative) => {
                alternative.refused = Some(why.to_string());
                true
            }
            None => false,
        }
    }

    /// What is attached, as the kernel's tools write it:
    /// `tp_btf sched/sched_switch`.
    pub fn provenance(&self) -> Option<String> {
        let shown: Vec<_> =
            self.attached.iter().map(|section| provenance(section, self.subsystem.as_deref())).collect();
        (!shown.is_empty()).then(|| shown.join(" + "))
    }

    /// Why nothing is attached.
    pub fn reason(&self) -> String {
        self.alternatives
            .iter()
            .filter_map(|a| Some(format!("{}: {}", a.programs.join("+"), a.refused.as_deref()?)))
            .collect::<Vec<_>>()
            .join("; ")
    }

    /// Whether nothing is attached because of the programs, and not because of
    /// what this kernel lacks.
    pub fn is_faulty(&self) -> bool {
        self.attached.is_empty()
            && self.alternatives.iter().filter_map(|a| a.refused.as_deref()).any(log::blames_program)
    }
}

/// A loaded object with its hooks attached. Dropping it detaches them.
pub struct Attached {
    pub object: Object,
    // Dropped by `detach`, or with the struct.
    links: Vec<Link>,
}

impl Attached {
    pub fn detach(&mut self) {
        self.links.clear();
    }
}

/// Opens, loads and attaches until every hook has an alternative that works,
/// or none left. `open` prepares a fresh object each time; `also` are programs
/// to load without attaching (iterators): those refused are taken out.
///
/// # Errors
///
/// When the object itself is at fault, not one of its programs.
pub fn load(
    mut open: impl FnMut() -> Result<OpenObject, String>,
    hooks: &mut [Hook],
    also: &mut [(String, Option<String>)],
) -> Result<Attached, String> {
    loop {
        let mut opened = open()?;
        let wanted = wanted(hooks, also);
        let mut found = BTreeSet::new();
        for mut program in opened.progs_mut() {
            let name = program.name().to_string_lossy().into_owned();
            program.set_autoload(wanted.contains(&name));
            found.insert(name);
        }
        if let Some(missing) = wanted.iter().find(|name| !found.contains(*name)) {
            refuse(hooks, also, missing, "the object has no program of this name");
            continue;
        }
        let (loaded, said) = log::collect(|| opened.load());
        let object = match loaded {
            Ok(object) => object,
            Err(error) => {
                let culprit = log::culprit(&said);
                let known = culprit
                    .as_deref()
                    .is_some_and(|name| refuse(hooks, also, name, &log::reason(&said, name)));
                if known {
                    continue;
                }
                if said.iter().any(|line| line.contains("probe_loading")) {
                    return Err(format!(
                        "this process may not load BPF programs ({error}): run it as root, or with CAP_BPF, \
                         CAP_PERFMON and CAP_SYS_RESOURCE"
                    ));
                }
                let last = said.last().map(|line| line.trim().to_string()).unwrap_or_default();
                return Err(format!("the BPF object cannot be loaded: {error} {last}").trim().to_string());
            }
        };
        match attach(&object, hooks) {
            Ok(links) => return Ok(Attached { object, links }),
            Err((program, why)) => {
                refuse(hooks, also, &program, &why);
            }
        }
    }
}

fn wanted(hooks: &[Hook], also: &[(String, Option<String>)]) -> BTreeSet<String> {
    let hooked = hooks.iter().filter_map(Hook::candidate).flat_map(|a| a.programs.iter().cloned());
    let others = also.iter().filter(|(_, refused)| refused.is_none()).map(|(name, _)| name.clone());
    hooked.chain(others).collect()
}

fn refuse(hooks: &mut [Hook], also: &mut [(String, Option<String>)], program: &str, why: &str) -> bool {
    let mut known = false;
    for hook in hooks {
        known |= hook.refuse(program, why);
    }
    for (name, refused) in also {
        if name == program && refused.is_none() {
            *refused = Some(why.to_string());
            known = true;
        }
    }
    known
}

/// Attaches every hook's candidate. On failure names program and reason, and
/// nothing stays attached.
fn attach(object: &Object, hooks: &mut [Hook]) -> Result<Vec<Link>, (String, String)> {
    let mut links = Vec::new();
    for hook in hooks {
        hook.attached.clear();
        hook.program_ids.clear();
        let Some(candidate) = hook.candidate().cloned() else { continue };
        for name in &candidate.programs {
            let program = object
                .progs_mut()
                .find(|program| program.name().to_string_lossy() == name.as_str())
                .ok_or_else(|| (name.clone(), "the object has no program of this name".to_string()))?;
            let (attached, said) = log::collect(|| program.attach());
            match attached {
                Ok(link) => links.push(link),
                Err(error) => {
                    hook.attached.clear();
                    hook.program_ids.clear();
                    let why = said.first().map_or_else(|| error.to_string(), |_| log::reason(&said, name));
                    return Err((name.clone(), format!("attach: {why}")));
                }
            }
            hook.attached.push(program.section().to_string_lossy().trim_start_matches('?').to_string());
            if let Ok(id) = libbpf_rs::Program::id_from_fd(std::os::fd::AsFd::as_fd(&program)) {
                hook.program_ids.push(id);
            }
        }
    }
    Ok(links)
}

/// A section's name in words.
fn provenance(section: &str, subsystem: Option<&str>) -> String {
    match (section.split_once('/'), subsystem) {
        (Some((kind @ ("tp_btf" | "raw_tp" | "raw_tracepoint"), name)), Some(subsystem)) => {
            format!("{kind} {subsystem}/{name}")
        }
        (Some((kind, rest)), _) => format!("{kind} {rest}"),
        (None, _) => section.to_string(),
    }
}
