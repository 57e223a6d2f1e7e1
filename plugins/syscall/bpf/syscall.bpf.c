// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * System calls by class: how many, for whom, and how long they take.
 *
 * Hooks: raw_syscalls:sys_enter counts and notes the time, raw_syscalls:sys_exit
 * measures; the second is not attached unless latencies are wanted. Both are
 * raw_tp: what they read of their arguments are the addresses, which a tp_btf
 * program may not calculate with.
 *
 * Minimum kernel: 5.8; 5.11 for bpf_get_current_task_btf. Cost: about 30 ns per
 * call for counting, 90 more for latencies, most of that for reading the clock
 * twice; and what the kernel charges for its slow path into a system call as
 * soon as anything is attached to these tracepoints, 70 to 110 ns a call.
 */
#include "compat.bpf.h"
#include "cgroup.bpf.h"
#include "histogram.bpf.h"
#include "classes.bpf.h"

const volatile bool enabled_syscall_counts = true;
const volatile bool enabled_syscall_latency = true;

struct count_row {
	u64 calls[OPS];
} CACHE_LINE;
TABLE(counts, struct count_row);
TABLE(cgroups, struct count_row);

struct latency_row {
	struct histogram latency[OPS];
	u64 discarded_samples;
} CACHE_LINE;
TABLE(latencies, struct latency_row);

/*
 * The system call a task is in. A task is known by where its user registers lie:
 * at the top of its kernel stack, in the same place for its whole life. That is
 * at hand in both hooks and saves asking for the pid. Of the tasks that share a
 * row, the last to enter owns it.
 */
struct in_flight_row {
	u64 regs;
	u64 entered; /* 0: in none, or in one that never returns */
	enum op op;
};
TABLE(in_flight, struct in_flight_row);

/*
 * Kernel stacks are 16 KiB or more, aligned to that, and followed by a guard page
 * (CONFIG_VMAP_STACK), so that there is at most one in any 32 KiB.
 */
static __always_inline struct in_flight_row *in_flight_of(u64 regs)
{
	return row_at(in_flight, (u32)(regs >> 15) & pid_mask);
}

static __always_inline void count(struct task_struct *task, enum op op, bool btf)
{
	struct count_row *all = row_at(counts, bank());
	u64 id = btf ? cgroup_id_of(task) : cgroup_id_of_untrusted(task);
	struct count_row *cgroup = row_at(cgroups, cgroup_row(cgroup_slot_of(id)));

	if (all)
		add(&all->calls[op], 1);
	if (cgroup)
		add(&cgroup->calls[op], 1);
}

static __always_inline int on_enter(struct task_struct *task, u64 regs, u64 nr, bool btf)
{
	u8 class = class_of(task, nr, btf);
	enum op op = class & OP_MASK;
	struct in_flight_row *row;

	if (enabled_syscall_counts)
		count(task, op, btf);
	row = in_flight_of(regs);
	if (!enabled_syscall_latency || !row)
		return 0;
	row->regs = regs;
	row->op = op;
	/*
	 * Of calls that do not return nothing may stay behind: the next task on
	 * this stack starts its life with the sys_exit of its parent's clone.
	 * The time comes last, so that what was done above is not part of it.
	 */
	row->entered = class & NEVER_RETURNS ? 0 : bpf_ktime_get_ns();
	return 0;
}

static __always_inline int on_exit(u64 regs)
{
	u64 now = bpf_ktime_get_ns();
	struct in_flight_row *row = in_flight_of(regs);
	struct latency_row *latency = row_at(latencies, bank());

	if (!enabled_syscall_latency || !row || !latency)
		return 0;
	if (row->regs != regs) {
		/* Without an owner: it was entered before the agent started. */
		if (row->regs)
			add(&latency->discarded_samples, 1);
		return 0;
	}
	if (row->entered) {
		histogram_add(&latency->latency[row->op & OP_MASK], now - row->entered);
		row->entered = 0;
	}
	return 0;
}

/* args: the user's registers, the number */
SEC("raw_tp/sys_enter")
int enter(u64 *args)
{
	return on_enter(bpf_get_current_task_btf(), args[0], args[1], true);
}

SEC("raw_tp/sys_enter")
int enter_probe_read(u64 *args)
{
	return on_enter((void *)bpf_get_current_task(), args[0], args[1], false);
}

/* args: the user's registers, the result */
SEC("raw_tp/sys_exit")
int leave(u64 *args)
{
	return on_exit(args[0]);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
