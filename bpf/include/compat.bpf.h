/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Differences between kernels, each in one place: what changed, in which
 * release and commit. A shim asks for the field, never for the version.
 */
#ifndef REZOLUS_COMPAT_BPF_H
#define REZOLUS_COMPAT_BPF_H

#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

/*
 * 5.14, 2f064a59a11f ("sched: Change task_struct::state"): `long state` became
 * `unsigned int __state`.
 */
static __always_inline unsigned int task_state(struct task_struct *task)
{
	if (bpf_core_field_exists(task->__state))
		return task->__state;
	return BPF_CORE_READ((struct task_struct___state *)task, state);
}

/* The same for a pointer that must be read with bpf_probe_read_kernel. */
static __always_inline unsigned int task_state_untrusted(struct task_struct *task)
{
	if (bpf_core_field_exists(task->__state))
		return BPF_CORE_READ(task, __state);
	return BPF_CORE_READ((struct task_struct___state *)task, state);
}

/* The CPU a task is on, or was on last. 5.16 moved it into thread_info. */
static __always_inline u32 task_cpu(struct task_struct *task)
{
	if (bpf_core_field_exists(task->thread_info.cpu))
		return BPF_CORE_READ(task, thread_info.cpu);
	return BPF_CORE_READ((struct task_struct___cpu *)task, cpu);
}

/*
 * 5.11, and later releases of 5.10, took the request_queue, the first argument,
 * from the block_rq_issue, insert, requeue and merge tracepoints. A function
 * type exists in the kernel's BTF only if its parameters agree.
 */
typedef void (*btf_trace_block_rq_issue___queue)(void *, struct request_queue *, struct request *);

static __always_inline bool block_rq_has_queue(void)
{
	return bpf_core_type_exists(btf_trace_block_rq_issue___queue);
}

/*
 * Makes the verifier refuse the program if `known`, a constant after CO-RE, is
 * false: libbpf turns the access to a type that no kernel has into a call of a
 * helper that does not exist. For raw_tp twins, whose arguments nobody checks;
 * better no metric than one that counts something else.
 */
struct no_such_type {
	int member;
} __attribute__((preserve_access_index));
#define refuse_unless(known)                                                                       \
	do {                                                                                       \
		if (!(known))                                                                      \
			return ((struct no_such_type *)bpf_get_current_task())->member;            \
	} while (0)

/*
 * 6.9, and later stable releases of older kernels: the argument of mark_victim
 * became the task; it was a pid.
 */
typedef void (*btf_trace_mark_victim___pid)(void *, int);

static __always_inline bool mark_victim_has_task(void)
{
	return !bpf_core_type_exists(btf_trace_mark_victim___pid);
}

/*
 * In 5.18, and only there, sched_switch had prev's state between `preempt` and
 * `prev`. A tp_btf program that takes it for a task is refused then.
 */
typedef void (*btf_trace_sched_switch___state_first)(void *, bool, unsigned int,
						     struct task_struct *, struct task_struct *);

static __always_inline bool sched_switch_state_first(void)
{
	return bpf_core_type_exists(btf_trace_sched_switch___state_first);
}

#endif
