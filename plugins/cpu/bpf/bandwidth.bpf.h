/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Limits on cgroups' CPU time (cpu.max, cpu.cfs_quota_us) and what they cost.
 *
 * The scheduler keeps the numbers that cpu.stat shows in struct cfs_bandwidth.
 * throttle_cfs_rq() and unthrottle_cfs_rq() could be hooked by kprobes only;
 * copying the numbers whenever a task of a limited cgroup leaves a CPU shows
 * the same without, a few microseconds late.
 */
#ifndef REZOLUS_CPU_BANDWIDTH_BPF_H
#define REZOLUS_CPU_BANDWIDTH_BPF_H

#include "tables.bpf.h"

#define NO_LIMIT (~0ULL) /* RUNTIME_INF */
#define BANDWIDTH_LEVELS                                                                           \
	8 /* a task's cgroup and ancestors; a pod's container is at four or five                   \
	   */

/* CPUs may copy at the same time: an older copy must not win, a counter never falls. */
static __always_inline void raise(u64 *counter, u64 value)
{
	if (value > *counter)
		*counter = value;
}

static __always_inline void copy_bandwidth(struct task_group *group, u64 quota, const bool trusted)
{
	u64 id = trusted ? group->css.cgroup->kn->id : BPF_CORE_READ(group, css.cgroup, kn, id);
	u32 slot = cgroup_slot_of(id); /* 0 also for an autogroup, which has no cgroup */
	struct bandwidth *row;

	if (slot == CGROUP_UNTRACKED)
		return;
	row = row_at(bandwidths, slot);
	if (!row)
		return;
	if (quota == NO_LIMIT) {
		row->quota = 0; /* if it had one until now */
		return;
	}
	row->quota = quota;
	row->period = read_field(trusted, group, cfs_bandwidth.period);
	raise(&row->periods, (u32)read_field(trusted, group, cfs_bandwidth.nr_periods));
	raise(&row->throttled, (u32)read_field(trusted, group, cfs_bandwidth.nr_throttled));
	raise(&row->throttled_time, read_field(trusted, group, cfs_bandwidth.throttled_time));
}

/*
 * Copies the numbers of a task's cgroup and its ancestors: in the tick all, so
 * that a lifted limit is seen as well; else, at every switch, the limited ones.
 */
static __always_inline void account_bandwidth(struct task_struct *task, bool all,
					      const bool trusted)
{
	struct task_group *group = read_field(trusted, task, sched_task_group);
	u64 quota;

	if (!bpf_core_field_exists(group->cfs_bandwidth.quota)) /* CONFIG_CFS_BANDWIDTH=n */
		return;
	/*
	 * hierarchical_quota is the tightest limit here or above. Before 6.6 it is -1
	 * throughout a cgroup v2 tree ("sched, cgroup: Restore meaning to
	 * hierarchical_quota"): there, a limit above a cgroup without one of its own is
	 * copied in ticks only.
	 */
	quota = read_field(trusted, group, cfs_bandwidth.quota);
	if (!all && quota == NO_LIMIT &&
	    read_field(trusted, group, cfs_bandwidth.hierarchical_quota) == -1)
		return;

#pragma unroll
	for (int level = 0; level < BANDWIDTH_LEVELS; level++) {
		if (all || quota != NO_LIMIT)
			copy_bandwidth(group, quota, trusted);
		group = read_field(trusted, group, parent);
		if (!group)
			break;
		quota = read_field(trusted, group, cfs_bandwidth.quota);
	}
}

#endif
