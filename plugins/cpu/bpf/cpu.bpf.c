/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Where CPU time goes: tasks, cgroups, interrupts, migrations, TLB flushes,
 * limits, and cycles.
 *
 * Hooks: sched:sched_switch and timer:hrtimer_expire_exit (run time, limits,
 * hardware counters), sched:sched_migrate_task, irq:softirq_entry/exit,
 * irq:irq_handler_entry/exit, tlb:tlb_flush (x86); each as tp_btf and as raw_tp.
 * Iterator: iter/task. Minimum kernel: 5.8 (raw_tp), 5.11 (tp_btf, for
 * bpf_get_current_task_btf).
 *
 * Cost class: constant work per event, no helper calls but the clock's at the
 * interrupts and the counters' where there is a PMU. Figures in README.md.
 */
#include "usage.bpf.h"
#include "bandwidth.bpf.h"
#include "interrupts.bpf.h"
#include <bpf/bpf_tracing.h>

const volatile bool enabled_cpu_usage = true;
const volatile bool enabled_cpu_bandwidth = true;
const volatile bool enabled_cpu_perf = true;

/* clang leaves types out of the BTF that only the host names: name them. */
struct task_record {
	u32 pid;
	u32 tgid;
	u64 cgroup;
	u64 runtime;
	char comm[16];
};
const volatile struct {
	enum mode mode;
	enum ring ring;
	enum direction direction;
	enum softirq softirq;
	enum tlb_reason tlb_reason;
	struct task_record task_record;
} types = {};

/* The host's perf events; libbpf gives such an array an entry per CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__type(key, u32);
	__type(value, u32);
} cycles SEC(".maps"), instructions SEC(".maps");

/* How far a hardware counter has come since `last`; 0 the first time. */
static __always_inline u64 counter_progress(void *events, u64 *last)
{
	struct bpf_perf_event_value now = {};
	u64 before = *last;

	if (bpf_perf_event_read_value(events, BPF_F_CURRENT_CPU, &now, sizeof(now)))
		return 0;
	*last = now.counter;
	return before ? now.counter - before : 0;
}

static __always_inline void account_hardware(struct cpu *cpu, struct cgroup_usage *cgroup)
{
	u64 cycles_run = counter_progress(&cycles, &cpu->cycles);
	u64 instructions_run = counter_progress(&instructions, &cpu->instructions);

	if (cgroup) {
		add(&cgroup->cycles, cycles_run);
		add(&cgroup->instructions, instructions_run);
	}
}

/* From here on `task` is the one that this CPU's time belongs to. */
static __always_inline void take_baseline(struct cpu *cpu, struct task_struct *task,
					  const bool trusted)
{
	cpu->task = (u64)task;
	cpu->runtime = read_field(trusted, task, se.sum_exec_runtime);
	cpu->utime = read_field(trusted, task, utime);
	cpu->stime = read_field(trusted, task, stime);
}

/*
 * The same for a task that was not seen coming: the first one after the attach,
 * or because the kernel did not report a switch. In the latter case the fair
 * class knows what it had run when it was picked, and a tick at the latest would
 * have told that it is here.
 */
static __always_inline void take_late_baseline(struct cpu *cpu, struct task_struct *task,
					       const bool trusted)
{
	bool first = !cpu->task;
	u64 ran;

	take_baseline(cpu, task, trusted);
	if (first || read_field(trusted, task, prio) < MAX_RT_PRIO)
		return;
	ran = cpu->runtime - read_field(trusted, task, se.prev_sum_exec_runtime);
	cpu->runtime -= at_most(ran, LONGEST);
}

static __always_inline int on_switch(struct task_struct *prev, struct task_struct *next,
				     const bool trusted)
{
	struct cpu *cpu = this_cpu();
	struct cgroup_usage *cgroup = NULL;

	if (!cpu)
		return 0;
	if (read_field(trusted, prev, pid)) { /* the idle task has no usage */
		cgroup = cgroup_of(prev, trusted);
		if (!cgroup)
			return 0;
		if (enabled_cpu_usage) {
			u64 runtime = read_field(trusted, prev, se.sum_exec_runtime);

			if (cpu->task != (u64)prev)
				take_late_baseline(cpu, prev, trusted);
			account_usage(cpu, prev, cgroup, runtime, trusted);
			account_exited(cpu, prev, cgroup, runtime, trusted);
		}
		if (enabled_cpu_bandwidth)
			account_bandwidth(prev, false, trusted);
	}
	if (enabled_cpu_perf)
		account_hardware(cpu, cgroup);
	take_baseline(cpu, next, trusted);
	return 0;
}

/*
 * After every hrtimer, of which the tick is one: without this a task that never
 * gives up its CPU would be seen only when it does. Whether it was the tick
 * shows in utime and stime, which nothing else moves.
 */
static __always_inline int on_timer(struct task_struct *task, const bool trusted)
{
	struct cpu *cpu = this_cpu();
	struct cgroup_usage *cgroup;

	if (!cpu || !read_field(trusted, task, pid))
		return 0;
	if (cpu->task != (u64)task) {
		take_late_baseline(cpu, task, trusted);
		return 0;
	}
	if (cpu->utime == read_field(trusted, task, utime) &&
	    cpu->stime == read_field(trusted, task, stime))
		return 0;
	cgroup = cgroup_of(task, trusted);
	if (!cgroup)
		return 0;
	if (enabled_cpu_usage)
		account_usage(cpu, task, cgroup, read_field(trusted, task, se.sum_exec_runtime),
			      trusted);
	if (enabled_cpu_bandwidth)
		account_bandwidth(task, true, trusted);
	if (enabled_cpu_perf)
		account_hardware(cpu, cgroup);
	take_baseline(cpu, task, trusted);
	return 0;
}

/* Before the task has moved. Also called for the CPU it is on already. */
static __always_inline int on_migrate(struct task_struct *task, u32 to, const bool trusted)
{
	u32 from = task_cpu(task);
	struct cpu *source = row_at(cpus, from);
	struct cpu *target = row_at(cpus, to);
	struct cgroup_usage *cgroup = cgroup_of(task, trusted);

	if (!source || !target || !cgroup || from == to)
		return 0;
	add(&source->migrations[DIRECTION_FROM], 1);
	add(&target->migrations[DIRECTION_TO], 1);
	add(&cgroup->migrations, 1);
	return 0;
}

/*
 * With preemption off or interrupts off, and each reason from one place only
 * that cannot interrupt itself: no atomics on the CPU's own row.
 */
static __always_inline int on_tlb_flush(u64 reason, struct task_struct *task, const bool trusted)
{
	struct cpu *cpu = this_cpu();
	struct cgroup_usage *cgroup = cgroup_of(task, trusted);

	if (!cpu || !cgroup)
		return 0;
	if (reason > TLB_REASON_UNKNOWN)
		reason = TLB_REASON_UNKNOWN;
	barrier_var(reason); /* or clang indexes by a copy that the verifier has not seen checked */
	if (reason > TLB_REASON_UNKNOWN)
		return 0;
	add_own(&cpu->tlb_flush[reason], 1);
	add(&cgroup->tlb_flush[reason], 1);
	return 0;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(switch_btf, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	return on_switch(prev, next, true);
}

SEC("raw_tp/sched_switch")
int switch_raw(u64 *args)
{
	u64 first = args[1], second = args[2], third = args[3];

	/* Or clang selects where to read from, and the verifier wants constant offsets. */
	barrier_var(second);
	if (sched_switch_state_first()) {
		first = second;
		second = third;
	}
	return on_switch((void *)first, (void *)second, false);
}

SEC("tp_btf/hrtimer_expire_exit")
int timer_btf(void *ctx)
{
	return on_timer(bpf_get_current_task_btf(), true);
}

SEC("raw_tp/hrtimer_expire_exit")
int timer_raw(void *ctx)
{
	return on_timer((struct task_struct *)bpf_get_current_task(), false);
}

SEC("tp_btf/sched_migrate_task")
int BPF_PROG(migrate_btf, struct task_struct *task, int to)
{
	return on_migrate(task, to, true);
}

SEC("raw_tp/sched_migrate_task")
int BPF_PROG(migrate_raw, struct task_struct *task, int to)
{
	return on_migrate(task, to, false);
}

SEC("tp_btf/softirq_entry")
int BPF_PROG(softirq_entry_btf, unsigned int kind)
{
	return on_softirq_entry(kind);
}

SEC("raw_tp/softirq_entry")
int BPF_PROG(softirq_entry_raw, unsigned int kind)
{
	return on_softirq_entry(kind);
}

SEC("tp_btf/softirq_exit")
int BPF_PROG(softirq_exit_btf, unsigned int kind)
{
	return on_softirq_exit(kind);
}

SEC("raw_tp/softirq_exit")
int BPF_PROG(softirq_exit_raw, unsigned int kind)
{
	return on_softirq_exit(kind);
}

SEC("tp_btf/irq_handler_entry")
int irq_entry_btf(void *ctx)
{
	return on_irq_entry();
}

SEC("raw_tp/irq_handler_entry")
int irq_entry_raw(void *ctx)
{
	return on_irq_entry();
}

SEC("tp_btf/irq_handler_exit")
int irq_exit_btf(void *ctx)
{
	return on_irq_exit();
}

SEC("raw_tp/irq_handler_exit")
int irq_exit_raw(void *ctx)
{
	return on_irq_exit();
}

SEC("tp_btf/tlb_flush")
int BPF_PROG(tlb_flush_btf, int reason)
{
	return on_tlb_flush(reason, bpf_get_current_task_btf(), true);
}

SEC("raw_tp/tlb_flush")
int BPF_PROG(tlb_flush_raw, int reason)
{
	return on_tlb_flush(reason, (struct task_struct *)bpf_get_current_task(), false);
}

/* A record per task that is alive; the run time of the dead is in usage_exited. */
SEC("iter/task")
int dump_tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct task_record record = {};

	if (!task || task->exit_state)
		return 0;
	record.pid = task->pid;
	record.tgid = task->tgid;
	record.cgroup = cgroup_id_of(task);
	record.runtime = task->se.sum_exec_runtime;
	bpf_core_read_str(record.comm, sizeof(record.comm), &task->comm);
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
