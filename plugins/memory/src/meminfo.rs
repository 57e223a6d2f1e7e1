//! What memory is used for, from /proc/meminfo.

use rezolus_plugin_api::{Context, Sampler, Values};

use crate::fields::{Field, Fields};

const TABLE: &[Field] = &[
    ("MemTotal", "memory_total"),
    ("MemFree", "memory_free"),
    ("MemAvailable", "memory_available"),
    ("Buffers", "memory_buffers"),
    ("Cached", "memory_cached"),
    ("SwapCached", "memory_swap_cached"),
    ("Active(anon)", "memory_lru/active_anon"),
    ("Inactive(anon)", "memory_lru/inactive_anon"),
    ("Active(file)", "memory_lru/active_file"),
    ("Inactive(file)", "memory_lru/inactive_file"),
    ("Unevictable", "memory_lru/unevictable"),
    ("Mlocked", "memory_locked"),
    ("SwapTotal", "memory_swap_total"),
    ("SwapFree", "memory_swap_free"),
    ("Zswap", "memory_zswap_compressed"),
    ("Zswapped", "memory_zswap_stored"),
    ("Dirty", "memory_dirty"),
    ("Writeback", "memory_writeback"),
    ("AnonPages", "memory_anonymous"),
    ("Mapped", "memory_mapped"),
    ("Shmem", "memory_shared"),
    ("SReclaimable", "memory_slab/reclaimable"),
    ("SUnreclaim", "memory_slab/unreclaimable"),
    ("KernelStack", "memory_kernel_stacks"),
    ("PageTables", "memory_page_tables"),
    ("CommitLimit", "memory_commit_limit"),
    ("Committed_AS", "memory_committed"),
    ("VmallocUsed", "memory_vmalloc"),
    ("Percpu", "memory_percpu"),
    ("HardwareCorrupted", "memory_corrupted"),
    ("AnonHugePages", "memory_transparent_hugepages/anonymous"),
    ("ShmemHugePages", "memory_transparent_hugepages/shared"),
    ("FileHugePages", "memory_transparent_hugepages/file"),
    ("HugePages_Total", "memory_hugepages/total"),
    ("HugePages_Free", "memory_hugepages/free"),
    ("HugePages_Rsvd", "memory_hugepages/reserved"),
    ("HugePages_Surp", "memory_hugepages/surplus"),
    ("Hugetlb", "memory_hugetlb"),
];

pub struct Meminfo(Fields);

impl Sampler for Meminfo {
    fn start(context: &Context<'_>) -> Result<Self, String> {
        Fields::open("/proc/meminfo", TABLE, context).map(Self)
    }

    fn refresh(&mut self, values: &mut Values<'_>) -> Result<(), String> {
        for (series, value) in self.0.read()? {
            values.gauge(series, value as i64);
        }
        Ok(())
    }
}
