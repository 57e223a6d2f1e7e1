//! The export macro and what it expands to. Not part of the documented API,
//! apart from the macros themselves.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use abi_stable::std_types::{RResult, RStr, RString};

use crate::abi::{Fallible, RawValues};
use crate::{Context, Sampler, Values};

/// Bytes aligned as an ELF parser wants them.
#[repr(C, align(8))]
pub struct Aligned<T: ?Sized>(pub T);

/// A running userspace sampler, its type erased.
pub trait Running: Send {
    fn refresh(&mut self, values: &mut Values<'_>) -> Result<(), String>;
}

impl<S: Sampler> Running for S {
    fn refresh(&mut self, values: &mut Values<'_>) -> Result<(), String> {
        Sampler::refresh(self, values)
    }
}

/// Starts a sampler of a type chosen by name.
pub type Starter = fn(&Context<'_>) -> Result<Box<dyn Running>, String>;

pub fn start<S: Sampler>(context: &Context<'_>) -> Result<Box<dyn Running>, String> {
    S::start(context).map(|sampler| Box::new(sampler) as Box<dyn Running>)
}

/// The running samplers of one library, by handle.
pub struct Instances(Mutex<Slots>);

struct Slots {
    next: u64,
    /// `None` while a call is using it, so that a slow refresh holds no lock.
    running: BTreeMap<u64, Option<Box<dyn Running>>>,
}

impl Instances {
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self(Mutex::new(Slots { next: 1, running: BTreeMap::new() }))
    }

    fn slots(&self) -> std::sync::MutexGuard<'_, Slots> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn start(&self, name: &str, context: &str, known: &[(&str, Starter)]) -> Result<u64, String> {
        let (_, starter) = known
            .iter()
            .find(|(known, _)| *known == name)
            .ok_or_else(|| format!("the plugin exports no userspace sampler {name}"))?;
        let sampler = starter(&Context::new(context))?;
        let mut slots = self.slots();
        let handle = slots.next;
        slots.next += 1;
        slots.running.insert(handle, Some(sampler));
        Ok(handle)
    }

    pub fn refresh(&self, handle: u64, raw: &mut RawValues) -> Result<(), String> {
        let taken = self.slots().running.get_mut(&handle).map(Option::take);
        let mut sampler = match taken {
            Some(Some(sampler)) => sampler,
            Some(None) => return Err("a refresh is still under way".into()),
            None => return Err(format!("no sampler has the handle {handle}")),
        };
        // After a panic the sampler goes back as it is: the next refresh gets
        // its chance, and its drop is never run while unwinding.
        let result = catch_unwind(AssertUnwindSafe(|| sampler.refresh(&mut Values::new(raw))));
        if let Some(slot) = self.slots().running.get_mut(&handle) {
            *slot = Some(sampler);
        }
        result.unwrap_or_else(|payload| Err(panic_message(payload)))
    }

    pub fn stop(&self, handle: u64) -> Result<(), String> {
        let removed = self.slots().running.remove(&handle);
        drop(removed);
        Ok(())
    }
}

fn panic_message(payload: Box<dyn Any + Send>) -> String {
    let text = if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_string()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "no message".to_string()
    };
    // A payload whose own drop panics is leaked rather than trusted.
    if let Err(second) = catch_unwind(AssertUnwindSafe(move || drop(payload))) {
        std::mem::forget(second);
    }
    format!("panicked: {text}")
}

/// Runs a plugin's code and turns a panic into an error.
pub fn contain<T>(body: impl FnOnce() -> Result<T, String>) -> Fallible<T> {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => RResult::ROk(value),
        Ok(Err(error)) => RResult::RErr(RString::from(error)),
        Err(payload) => RResult::RErr(RString::from(panic_message(payload))),
    }
}

/// As `str`, for the macro below.
pub fn str_of<'a>(text: &RStr<'a>) -> &'a str {
    text.as_str()
}

/// The BPF object that `rezolus_bpf::build(name)` left in `OUT_DIR`.
#[macro_export]
macro_rules! include_bpf {
    ($name:literal) => {{
        #[cfg(target_os = "linux")]
        {
            static OBJECT: &$crate::Aligned<[u8]> =
                &$crate::Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".bpf.o")));
            &OBJECT.0
        }
        #[cfg(not(target_os = "linux"))]
        {
            let none: &'static [u8] = &[];
            none
        }
    }};
}

/// Makes the calling library a rezolus plugin.
///
/// `manifest` is required; `dashboard`, `diagnoses`, `bpf` and `samplers`
/// (userspace samplers by name) are optional, in this order.
#[macro_export]
macro_rules! export {
    (
        manifest: $manifest:expr
        $(, dashboard: $dashboard:expr)?
        $(, diagnoses: $diagnoses:expr)?
        $(, bpf: $bpf:expr)?
        $(, samplers: { $($name:literal => $sampler:ty),* $(,)? })?
        $(,)?
    ) => {
        const _: () = {
            use $crate::abi::{Fallible, PluginRoot, PluginRootRef, RawValues};
            use $crate::abi_stable;
            use $crate::abi_stable::prefix_type::PrefixTypeTrait;
            use $crate::abi_stable::std_types::{ROption, RSlice, RStr, RString};

            // Underlined, so that they do not hide what the caller's
            // expressions mean by such names.
            static __INSTANCES: $crate::Instances = $crate::Instances::new();
            const __SAMPLERS: &[(&str, $crate::Starter)] =
                &[$($(($name, $crate::start::<$sampler> as $crate::Starter)),*)?];

            extern "C" fn __version() -> RString {
                RString::from(env!("CARGO_PKG_VERSION"))
            }
            extern "C" fn __manifest() -> Fallible<RString> {
                $crate::contain(|| Ok(RString::from($manifest)))
            }
            extern "C" fn __resource(name: RStr<'_>) -> ROption<RSlice<'static, u8>> {
                match name.as_str() {
                    $($crate::abi::RESOURCE_DASHBOARD => {
                        let dashboard: &'static str = $dashboard;
                        ROption::RSome(RSlice::from_slice(dashboard.as_bytes()))
                    })?
                    $($crate::abi::RESOURCE_DIAGNOSES => {
                        let diagnoses: &'static str = $diagnoses;
                        ROption::RSome(RSlice::from_slice(diagnoses.as_bytes()))
                    })?
                    $($crate::abi::RESOURCE_BPF => {
                        let object: &'static [u8] = $bpf;
                        ROption::RSome(RSlice::from_slice(object))
                    })?
                    _ => ROption::RNone,
                }
            }
            extern "C" fn __start(sampler: RStr<'_>, context: RStr<'_>) -> Fallible<u64> {
                let (sampler, context) = ($crate::str_of(&sampler), $crate::str_of(&context));
                $crate::contain(|| __INSTANCES.start(sampler, context, __SAMPLERS))
            }
            extern "C" fn __refresh(handle: u64, values: &mut RawValues) -> Fallible<()> {
                $crate::contain(|| __INSTANCES.refresh(handle, values))
            }
            extern "C" fn __stop(handle: u64) -> Fallible<()> {
                $crate::contain(|| __INSTANCES.stop(handle))
            }
            fn __root() -> PluginRootRef {
                PluginRoot {
                    contract: $crate::abi::CONTRACT,
                    version: __version,
                    manifest: __manifest,
                    resource: __resource,
                    start: __start,
                    refresh: __refresh,
                    stop: __stop,
                }
                .leak_into_prefix()
            }
            // What #[export_root_module] would write; spelt out so that a
            // plugin need not depend on abi_stable by that name.
            extern "C" fn __erased() -> abi_stable::library::RootModuleResult {
                abi_stable::library::__call_root_module_loader(__root)
            }
            // SAFETY: the name is abi_stable's and this is the library's only
            // item under it; the header is built for the type that `__erased`
            // returns.
            #[unsafe(no_mangle)]
            #[allow(non_upper_case_globals)]
            pub static _1as_0lib_1header_0root_bmodule_bloader: abi_stable::library::LibHeader = unsafe {
                abi_stable::library::LibHeader::from_constructor::<PluginRootRef>(
                    __erased,
                    abi_stable::library::CheckTypeLayout::Yes,
                )
            };
        };
    };
}
