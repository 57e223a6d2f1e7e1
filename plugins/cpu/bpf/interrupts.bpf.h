/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Soft interrupts, and hard ones of devices. Neither kind interrupts itself on
 * a CPU, so each needs one start time per CPU, and its counters no atomics.
 */
#ifndef REZOLUS_CPU_INTERRUPTS_BPF_H
#define REZOLUS_CPU_INTERRUPTS_BPF_H

#include "tables.bpf.h"

static __always_inline int on_softirq_entry(u64 kind)
{
	struct cpu *cpu = this_cpu();

	if (!cpu || kind >= SOFTIRQS)
		return 0;
	add_own(&cpu->softirq[kind], 1);
	cpu->softirq_irq_time = cpu->irq_time;
	cpu->softirq_start = bpf_ktime_get_ns();
	return 0;
}

static __always_inline int on_softirq_exit(u64 kind)
{
	struct cpu *cpu = this_cpu();
	u64 took;

	if (!cpu || kind >= SOFTIRQS || !cpu->softirq_start)
		return 0;
	/* Less the hard interrupts that came in between, which are counted on their own. */
	took = bpf_ktime_get_ns() - cpu->softirq_start - (cpu->irq_time - cpu->softirq_irq_time);
	add_own(&cpu->softirq_time[kind], took);
	cpu->softirq_start = 0;
	return 0;
}

static __always_inline int on_irq_entry(void)
{
	struct cpu *cpu = this_cpu();

	if (!cpu)
		return 0;
	add_own(&cpu->irq, 1);
	cpu->irq_start = bpf_ktime_get_ns();
	return 0;
}

static __always_inline int on_irq_exit(void)
{
	struct cpu *cpu = this_cpu();

	if (!cpu || !cpu->irq_start)
		return 0;
	add_own(&cpu->irq_time, bpf_ktime_get_ns() - cpu->irq_start);
	cpu->irq_start = 0;
	return 0;
}

#endif
