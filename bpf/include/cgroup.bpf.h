/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Which row of a "cgroup" table belongs to a task.
 *
 * The host owns the identity of cgroups: it fills `cgroup_ids`, one shared map
 * for all plugins, from a walk at start and from the cgroup tracepoints after
 * that. Plugins only look up. A cgroup is known by the 64-bit id of its
 * directory (`stat -c %i`), which the kernel does not reuse; it lies at one of
 * CGROUP_PROBES neighbouring slots from the hash of its id. Slot 0 collects
 * what belongs to cgroups that have no slot of their own, so that nothing is
 * lost silently.
 */
#ifndef REZOLUS_CGROUP_BPF_H
#define REZOLUS_CGROUP_BPF_H

#include "table.bpf.h"
#include <bpf/bpf_core_read.h>

#define CGROUP_PROBES	 4
#define CGROUP_UNTRACKED 0

/* Set by the host. Slots are a power of two, plus CGROUP_PROBES. */
const volatile u32 cgroup_hash_shift = 63; /* 64 - log2(slots) */
const volatile u32 cgroup_slots = 1;	   /* rows of one bank */
const volatile bool cgroup_v1 = false;	   /* the cpu controller is on a v1 hierarchy */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} cgroup_ids SEC(".maps");

static __always_inline u32 cgroup_hash(u64 id)
{
	return (u32)((id * 0x9e3779b97f4a7c15ULL) >> cgroup_hash_shift);
}

/* The slot of a cgroup by id; CGROUP_UNTRACKED when it has none. */
static __always_inline u32 cgroup_slot_of(u64 id)
{
	u32 first = cgroup_hash(id);

#pragma unroll
	for (u32 i = 1; i <= CGROUP_PROBES; i++) {
		u32 slot = first + i;
		u64 *owner = bpf_map_lookup_elem(&cgroup_ids, &slot);

		if (owner && *owner == id)
			return slot;
	}
	return CGROUP_UNTRACKED;
}

/*
 * A task's cgroup: in the unified hierarchy, or, where the cpu controller still
 * lives on a v1 hierarchy, in that one. `task` must be a trusted (BTF) pointer.
 */
static __always_inline u64 cgroup_id_of(struct task_struct *task)
{
	if (cgroup_v1)
		return task->cgroups
			->subsys[bpf_core_enum_value(enum cgroup_subsys_id, cpu_cgrp_id)]
			->cgroup->kn->id;
	return task->cgroups->dfl_cgrp->kn->id;
}

/* The same for a pointer that must be read with bpf_probe_read_kernel. */
static __always_inline u64 cgroup_id_of_untrusted(struct task_struct *task)
{
	struct css_set *set = BPF_CORE_READ(task, cgroups);
	struct cgroup_subsys_state *css;

	if (!cgroup_v1)
		return BPF_CORE_READ(set, dfl_cgrp, kn, id);
	bpf_core_read(&css, sizeof(css),
		      &set->subsys[bpf_core_enum_value(enum cgroup_subsys_id, cpu_cgrp_id)]);
	return BPF_CORE_READ(css, cgroup, kn, id);
}

/* The key of a slot's row in this CPU's bank of a "cgroup" table. */
static __always_inline u32 cgroup_row(u32 slot)
{
	return bank() * cgroup_slots + slot;
}

#endif
