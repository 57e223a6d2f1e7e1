// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * How processes end, and how long they lived.
 *
 * Hook: sched:sched_process_exit, which runs for every thread that ends.
 * Minimum kernel: 5.8. Cost: rare events only.
 */
#include "histogram.bpf.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

/* Fields that the shared kernel.h does not have: any ___suffix will do. */
struct signal_struct___example {
	atomic_t live;
} __attribute__((preserve_access_index));
struct task_struct___example {
	int exit_code;
	u64 start_time;
	struct task_struct___example *group_leader;
	struct signal_struct___example *signal;
} __attribute__((preserve_access_index));

enum how { HOW_SUCCESS, HOW_FAILURE, HOW_SIGNAL };

struct exits {
	u64 processes[3]; /* by enum how */
	struct histogram lifetime;
};
TABLE(exits, struct exits);

static __always_inline int process_exit(struct task_struct___example *task)
{
	struct exits *row = row_at(exits, bank());
	int code = BPF_CORE_READ(task, exit_code);

	/* Threads still alive: it is not the process that ends. */
	if (!row || BPF_CORE_READ(task, signal, live.counter) > 0)
		return 0;
	add(&row->processes[code & 0x7f ? HOW_SIGNAL : code ? HOW_FAILURE : HOW_SUCCESS], 1);
	histogram_add(&row->lifetime,
		      bpf_ktime_get_ns() - BPF_CORE_READ(task, group_leader, start_time));
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_exit_btf, struct task_struct___example *task)
{
	return process_exit(task);
}

SEC("raw_tp/sched_process_exit")
int BPF_PROG(process_exit_raw, struct task_struct___example *task)
{
	return process_exit(task);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
