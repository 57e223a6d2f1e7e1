/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The tables of the cpu plugin: what is counted, and the state that takes. */
#ifndef REZOLUS_CPU_TABLES_BPF_H
#define REZOLUS_CPU_TABLES_BPF_H

#include "compat.bpf.h"
#include "table.bpf.h"
#include "cgroup.bpf.h"

enum mode { MODE_USER, MODE_NICE, MODE_SYSTEM, MODES };
enum ring { RING_USER, RING_SYSTEM, RINGS };
enum direction { DIRECTION_FROM, DIRECTION_TO, DIRECTIONS };
/* As numbered in include/linux/interrupt.h. */
enum softirq {
	SOFTIRQ_HI,
	SOFTIRQ_TIMER,
	SOFTIRQ_NET_TX,
	SOFTIRQ_NET_RX,
	SOFTIRQ_BLOCK,
	SOFTIRQ_IRQ_POLL,
	SOFTIRQ_TASKLET,
	SOFTIRQ_SCHED,
	SOFTIRQ_HRTIMER,
	SOFTIRQ_RCU,
	SOFTIRQS
};
/* As in enum tlb_flush_reason of include/linux/mm_types.h, and whatever newer kernels add. */
enum tlb_reason {
	TLB_REASON_TASK_SWITCH,
	TLB_REASON_REMOTE_SHOOTDOWN,
	TLB_REASON_LOCAL_SHOOTDOWN,
	TLB_REASON_LOCAL_MM_SHOOTDOWN,
	TLB_REASON_REMOTE_SEND_IPI,
	TLB_REASON_UNKNOWN,
	TLB_REASONS
};

/* How many nanoseconds the tick has lately charged to either mode; see usage.bpf.h. */
struct samples {
	u32 user;
	u32 system;
};

struct cpu {
	/* The task on this CPU and its clocks when it was last accounted. */
	u64 task;
	u64 runtime;
	u64 utime;
	u64 stime;
	struct samples samples;
	u64 usage[MODES];
	u64 usage_exited;
	u64 cycles; /* of the hardware counters, when last read */
	u64 instructions;

	u64 softirq_start;
	u64 softirq_irq_time; /* irq_time at softirq_start */
	u64 irq_start;
	u64 irq;
	u64 irq_time;
	u64 softirq[SOFTIRQS];
	u64 softirq_time[SOFTIRQS];
	u64 tlb_flush[TLB_REASONS];
	u64 migrations[DIRECTIONS]; /* other CPUs add here as well */
} CACHE_LINE;
TABLE(cpus, struct cpu);

struct cgroup_usage {
	struct samples samples;
	u64 usage[RINGS];
	u64 usage_exited;
	u64 migrations;
	u64 cycles;
	u64 instructions;
	u64 tlb_flush[TLB_REASONS];
};
TABLE(cgroups, struct cgroup_usage);

/*
 * Copies of the kernel's own numbers, not sums of ours: always in bank 0, so
 * that adding up the banks yields them unchanged.
 */
struct bandwidth {
	u64 quota;  /* 0: not limited */
	u64 period; /* 0: never was */
	u64 periods;
	u64 throttled;
	u64 throttled_time;
};
TABLE(bandwidths, struct bandwidth);

/* One of a task's fields, through a BTF pointer or an untrusted one. */
#define read_field(trusted, pointer, field)                                                        \
	((trusted) ? (pointer)->field : BPF_CORE_READ(pointer, field))

static __always_inline struct cpu *this_cpu(void)
{
	return row_at(cpus, bpf_get_smp_processor_id());
}

static __always_inline struct cgroup_usage *cgroup_of(struct task_struct *task, const bool trusted)
{
	u64 id = trusted ? cgroup_id_of(task) : cgroup_id_of_untrusted(task);

	return row_at(cgroups, cgroup_row(cgroup_slot_of(id)));
}

#endif
