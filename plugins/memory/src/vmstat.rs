//! What the memory manager did, from /proc/vmstat.

use rezolus_plugin_api::{Context, Sampler, Values};

use crate::fields::{Field, Fields};

const TABLE: &[Field] = &[
    ("numa_hit", "memory_numa_hit"),
    ("numa_miss", "memory_numa_miss"),
    ("numa_foreign", "memory_numa_foreign"),
    ("numa_interleave", "memory_numa_interleave"),
    ("numa_local", "memory_numa_local"),
    ("numa_other", "memory_numa_other"),
    ("numa_hint_faults", "memory_numa_hint_faults"),
    ("numa_pages_migrated", "memory_numa_migrated"),
    ("pgfault", "memory_page_faults"),
    ("pgmajfault", "memory_page_faults_major"),
    ("pgalloc_dma", "memory_pages_allocated"),
    ("pgalloc_dma32", "memory_pages_allocated"),
    ("pgalloc_normal", "memory_pages_allocated"),
    ("pgalloc_high", "memory_pages_allocated"),
    ("pgalloc_movable", "memory_pages_allocated"),
    ("pgalloc_device", "memory_pages_allocated"),
    ("pgfree", "memory_pages_freed"),
    ("pgscan_kswapd", "memory_pages_scanned/kswapd"),
    ("pgscan_direct", "memory_pages_scanned/direct"),
    ("pgscan_khugepaged", "memory_pages_scanned/khugepaged"),
    ("pgscan_proactive", "memory_pages_scanned/proactive"),
    ("pgsteal_kswapd", "memory_pages_reclaimed/kswapd"),
    ("pgsteal_direct", "memory_pages_reclaimed/direct"),
    ("pgsteal_khugepaged", "memory_pages_reclaimed/khugepaged"),
    ("pgsteal_proactive", "memory_pages_reclaimed/proactive"),
    ("allocstall_dma", "memory_allocation_stalls"),
    ("allocstall_dma32", "memory_allocation_stalls"),
    ("allocstall_normal", "memory_allocation_stalls"),
    ("allocstall_high", "memory_allocation_stalls"),
    ("allocstall_movable", "memory_allocation_stalls"),
    ("allocstall_device", "memory_allocation_stalls"),
    ("pgscan_direct_throttle", "memory_allocation_throttles"),
    ("pageoutrun", "memory_kswapd_runs"),
    ("slabs_scanned", "memory_slabs_scanned"),
    // Before 5.9 only pages of files could be refaults.
    ("workingset_refault", "memory_refaults/file"),
    ("workingset_refault_file", "memory_refaults/file"),
    ("workingset_refault_anon", "memory_refaults/anonymous"),
    ("pswpin", "memory_swapped/in"),
    ("pswpout", "memory_swapped/out"),
    ("zswpin", "memory_zswapped/in"),
    ("zswpout", "memory_zswapped/out"),
    ("oom_kill", "memory_oom_kills"),
    ("compact_stall", "memory_compaction_stalls"),
    ("compact_success", "memory_compactions/success"),
    ("compact_fail", "memory_compactions/failure"),
    ("compact_daemon_wake", "memory_kcompactd_wakes"),
    ("pgmigrate_success", "memory_page_migrations/success"),
    ("pgmigrate_fail", "memory_page_migrations/failure"),
    ("thp_fault_alloc", "memory_hugepage_faults/success"),
    ("thp_fault_fallback", "memory_hugepage_faults/failure"),
    ("thp_collapse_alloc", "memory_hugepage_collapses/success"),
    ("thp_collapse_alloc_failed", "memory_hugepage_collapses/failure"),
    ("thp_split_page", "memory_hugepage_splits"),
];

pub struct Vmstat(Fields);

impl Sampler for Vmstat {
    fn start(context: &Context<'_>) -> Result<Self, String> {
        Fields::open("/proc/vmstat", TABLE, context).map(Self)
    }

    fn refresh(&mut self, values: &mut Values<'_>) -> Result<(), String> {
        for (series, value) in self.0.read()? {
            values.counter(series, value);
        }
        Ok(())
    }
}
