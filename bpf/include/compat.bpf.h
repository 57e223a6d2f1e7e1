/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
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

#endif
