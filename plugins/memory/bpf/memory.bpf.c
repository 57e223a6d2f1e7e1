/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Memory stalls: how long tasks that want memory are made to free some first,
 * and which cgroups that hits; and the victims of the OOM killer by cgroup.
 *
 * Hooks: the begin/end pairs of vmscan:mm_vmscan_direct_reclaim, memcg_reclaim
 * and node_reclaim, and of compaction:mm_compaction; oom:mark_victim.
 * Minimum kernel: 5.8; OOM victims: 6.9, and stable releases of older ones.
 * Cost: nothing until memory is short; then two programs around work of tens of
 * microseconds and more.
 */
#include "cgroup.bpf.h"
#include "compat.bpf.h"
#include "histogram.bpf.h"
#include <bpf/bpf_tracing.h>

#define PF_KTHREAD 0x00200000

/*
 * A member per kind rather than arrays: each kind has hooks of its own, which a
 * kernel without cgroups, NUMA or compaction lacks, and then only its metrics
 * are absent.
 */
struct stalls {
	struct histogram direct_latency;
	struct histogram memcg_latency;
	struct histogram node_latency;
	struct histogram compaction_latency;
	u64 direct_reclaimed;
	u64 memcg_reclaimed;
	u64 node_reclaimed;
	u64 untimed;
} CACHE_LINE;
TABLE(stalls, struct stalls);

struct cgroup_stalls {
	u64 direct_count;
	u64 memcg_count;
	u64 node_count;
	u64 compaction_count;
	u64 direct_time;
	u64 memcg_time;
	u64 node_time;
	u64 compaction_time;
	u64 oom_victims;
};
TABLE(cgroup_stalls, struct cgroup_stalls);

/*
 * When the stalls in progress began, by thread and kind. A hash because it is
 * exact and small, and its cost is nothing beside a stall.
 */
enum stall { DIRECT, MEMCG, NODE, COMPACTION };
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, u64);
} stalled SEC(".maps");

static __always_inline u64 stall_key(enum stall stall)
{
	return bpf_get_current_pid_tgid() << 32 | stall;
}

static __always_inline int on_begin(enum stall stall)
{
	u64 key = stall_key(stall), now = bpf_ktime_get_ns();
	struct stalls *row;

	if (!bpf_map_update_elem(&stalled, &key, &now, BPF_ANY))
		return 0;
	row = row_at(stalls, bank());
	if (row)
		add(&row->untimed, 1);
	return 0;
}

/*
 * The end of a stall: adds its length to `latency` and `time`, and 1 to
 * `count`. Nothing happens if its begin was not seen.
 */
static __always_inline int on_end(enum stall stall, struct histogram *latency, u64 *count,
				  u64 *time)
{
	u64 key = stall_key(stall), now = bpf_ktime_get_ns(), length;
	u64 *began = bpf_map_lookup_elem(&stalled, &key);

	if (!began)
		return 0;
	length = now - *began;
	bpf_map_delete_elem(&stalled, &key);
	histogram_add(latency, length);
	add(count, 1);
	add(time, length);
	return 0;
}

static __always_inline struct cgroup_stalls *current_cgroup(void)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();

	return row_at(cgroup_stalls, cgroup_row(cgroup_slot_of(cgroup_id_of_untrusted(task))));
}

/* kswapd and kcompactd compact as well, but keep nobody waiting. */
static __always_inline int on_compaction_begin(void)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();

	if (BPF_CORE_READ(task, flags) & PF_KTHREAD)
		return 0;
	return on_begin(COMPACTION);
}

static __always_inline int on_direct_end(u64 freed)
{
	struct cgroup_stalls *cgroup = current_cgroup();
	struct stalls *row = row_at(stalls, bank());

	if (!row || !cgroup)
		return 0;
	add(&row->direct_reclaimed, freed);
	return on_end(DIRECT, &row->direct_latency, &cgroup->direct_count, &cgroup->direct_time);
}

static __always_inline int on_memcg_end(u64 freed)
{
	struct cgroup_stalls *cgroup = current_cgroup();
	struct stalls *row = row_at(stalls, bank());

	if (!row || !cgroup)
		return 0;
	add(&row->memcg_reclaimed, freed);
	return on_end(MEMCG, &row->memcg_latency, &cgroup->memcg_count, &cgroup->memcg_time);
}

static __always_inline int on_node_end(u64 freed)
{
	struct cgroup_stalls *cgroup = current_cgroup();
	struct stalls *row = row_at(stalls, bank());

	if (!row || !cgroup)
		return 0;
	add(&row->node_reclaimed, freed);
	return on_end(NODE, &row->node_latency, &cgroup->node_count, &cgroup->node_time);
}

static __always_inline int on_compaction_end(void)
{
	struct cgroup_stalls *cgroup = current_cgroup();
	struct stalls *row = row_at(stalls, bank());

	if (!row || !cgroup)
		return 0;
	return on_end(COMPACTION, &row->compaction_latency, &cgroup->compaction_count,
		      &cgroup->compaction_time);
}

static __always_inline int on_victim(u64 id)
{
	struct cgroup_stalls *cgroup = row_at(cgroup_stalls, cgroup_row(cgroup_slot_of(id)));

	if (cgroup)
		add(&cgroup->oom_victims, 1);
	return 0;
}

/* The arguments in use are plain numbers, so that twins differ only in name. */
#define TWINS(name, tracepoint, body)                                                              \
	SEC("tp_btf/" tracepoint)                                                                  \
	int name##_btf(u64 *ctx)                                                                   \
	{                                                                                          \
		return body;                                                                       \
	}                                                                                          \
	SEC("raw_tp/" tracepoint)                                                                  \
	int name##_raw(u64 *ctx)                                                                   \
	{                                                                                          \
		return body;                                                                       \
	}

TWINS(direct_begin, "mm_vmscan_direct_reclaim_begin", on_begin(DIRECT))
TWINS(direct_end, "mm_vmscan_direct_reclaim_end", on_direct_end(ctx[0]))
TWINS(memcg_begin, "mm_vmscan_memcg_reclaim_begin", on_begin(MEMCG))
TWINS(memcg_end, "mm_vmscan_memcg_reclaim_end", on_memcg_end(ctx[0]))
TWINS(node_begin, "mm_vmscan_node_reclaim_begin", on_begin(NODE))
TWINS(node_end, "mm_vmscan_node_reclaim_end", on_node_end(ctx[0]))
TWINS(compaction_begin, "mm_compaction_begin", on_compaction_begin())
TWINS(compaction_end, "mm_compaction_end", on_compaction_end())

/*
 * Older kernels have a pid for an argument, from which there is no way to the
 * cgroup. There the verifier refuses both twins: the first uses a number as a
 * pointer, and the second asks for it.
 */
SEC("tp_btf/mark_victim")
int victim_btf(u64 *ctx)
{
	return on_victim(cgroup_id_of((struct task_struct *)ctx[0]));
}

SEC("raw_tp/mark_victim")
int victim_raw(u64 *ctx)
{
	refuse_unless(mark_victim_has_task());
	return on_victim(cgroup_id_of_untrusted((struct task_struct *)ctx[0]));
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
