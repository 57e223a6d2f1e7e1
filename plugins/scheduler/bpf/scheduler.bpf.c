// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Scheduling: how long tasks run, wait for a CPU, and are blocked; context
 * switches, wakeups and forks.
 *
 * Hooks: sched:sched_switch, sched:sched_wakeup, sched:sched_wakeup_new and
 * sched:sched_process_fork, by tp_btf or raw_tp.
 *
 * The scheduler itself notes in task_struct::sched_info when a runnable task
 * was queued, which would save the program on wakeups. But that is in terms of
 * the runqueue's clock, which the scheduler does not update for a task that is
 * switched to at once when woken: it still shows the time of the wakeup, and
 * half of all waits would read as 0. Hence our own note of the time.
 *
 * Minimum kernel: 5.8. Cost: about 100 ns per switch, 50 per wakeup.
 */
#include "compat.bpf.h"
#include "cgroup.bpf.h"
#include "histogram.bpf.h"
#include <bpf/bpf_tracing.h>

const volatile bool enabled_scheduler_runqueue = true;
const volatile bool enabled_scheduler_forks = true;

/* As in getrusage(2): voluntary is a switch away from a task that blocks. */
enum kind { KIND_INVOLUNTARY, KIND_VOLUNTARY, KINDS };

struct cpu_row {
	u64 context_switch[KINDS];
	u64 idle_exit;
	u64 wakeup;
	u64 runqueue_wait;
	u64 discarded_samples;
	u64 fork;
} CACHE_LINE;
TABLE(per_cpu, struct cpu_row);

struct histogram_row {
	struct histogram runqueue_latency;
	struct histogram running;
	struct histogram offcpu;
} CACHE_LINE;
TABLE(histograms, struct histogram_row);

struct cgroup_count_row {
	u64 context_switch[KINDS];
	u64 runqueue_wait;
	u64 offcpu;
};
TABLE(cgroups, struct cgroup_count_row);

/*
 * State, apart from the counters because it must not outlive a detachment: the
 * task a CPU is running now.
 */
struct stint_row {
	u64 began; /* 0: before the agent did */
} CACHE_LINE;
TABLE(stints, struct stint_row);

/*
 * What is known of a task that is not running. Of the tasks that share a row,
 * the last one to be switched away or woken owns it.
 */
struct away_row {
	u32 pid;
	enum kind kind; /* how it lost the CPU */
	u64 since;	/* when it did; 0: not since it owns the row */
	u64 queued;	/* when it was woken; 0: not yet */
};
TABLE(away, struct away_row);

/* `btf` is a constant once inlined: pointers may be followed directly. */
#define get(btf, task, field) ((btf) ? (task)->field : BPF_CORE_READ((task), field))

/* Clocks of two CPUs may differ by a little: never less than nothing. */
static __always_inline u64 elapsed(u64 from, u64 to)
{
	return to > from ? to - from : 0;
}

static __always_inline struct cgroup_count_row *cgroup_of(struct task_struct *task, bool btf)
{
	u64 id = btf ? cgroup_id_of(task) : cgroup_id_of_untrusted(task);

	return row_at(cgroups, cgroup_row(cgroup_slot_of(id)));
}

/*
 * `prev` gives up the CPU. The kernel's own count (task_struct::nvcsw) draws
 * the line at the same place: a task that has set its state and was not
 * preempted on its way to schedule().
 */
static __always_inline void leave(struct cpu_row *cpu, bool preempt, struct task_struct *prev,
				  u32 pid, u64 now, bool btf)
{
	u32 state = btf ? task_state(prev) : task_state_untrusted(prev);
	enum kind kind = !preempt && state ? KIND_VOLUNTARY : KIND_INVOLUNTARY;
	struct cgroup_count_row *cgroup = cgroup_of(prev, btf);
	struct away_row *row = row_at(away, pid & pid_mask);

	add_own(&cpu->context_switch[kind], 1);
	if (cgroup)
		add(&cgroup->context_switch[kind], 1);
	if (row) {
		row->pid = pid;
		row->kind = kind;
		row->since = now;
		row->queued = 0;
	}
}

/* `next` gets the CPU. */
static __always_inline void arrive(struct cpu_row *cpu, struct histogram_row *histograms,
				   struct task_struct *next, u32 pid, u64 now, bool btf)
{
	struct cgroup_count_row *cgroup = cgroup_of(next, btf);
	struct away_row *row = row_at(away, pid & pid_mask);
	u64 wait, blocked = 0;

	if (!row)
		return;
	if (row->pid != pid) {
		/* Free rows are no loss: it has not run since the agent started. */
		if (row->pid)
			add_own(&cpu->discarded_samples, 1);
		return;
	}
	if (row->since && row->kind == KIND_INVOLUNTARY) {
		wait = elapsed(row->since, now);
	} else {
		if (!row->queued)
			return;
		wait = elapsed(row->queued, now);
		add_own(&cpu->wakeup, 1);
		if (row->since) {
			blocked = elapsed(row->since, row->queued);
			histogram_add(&histograms->offcpu, blocked);
		}
	}
	histogram_add(&histograms->runqueue_latency, wait);
	add_own(&cpu->runqueue_wait, wait);
	if (cgroup) {
		add(&cgroup->runqueue_wait, wait);
		if (blocked)
			add(&cgroup->offcpu, blocked);
	}
}

/* Interrupts are off: the rows of this CPU are ours alone. */
static __always_inline int on_switch(bool preempt, struct task_struct *prev,
				     struct task_struct *next, bool btf)
{
	u64 now = bpf_ktime_get_ns();
	u32 prev_pid = get(btf, prev, pid);
	u32 next_pid = get(btf, next, pid);
	u32 id = bpf_get_smp_processor_id();
	struct cpu_row *cpu = row_at(per_cpu, id);
	struct stint_row *stint = row_at(stints, id);
	struct histogram_row *spread = row_at(histograms, id & bank_mask);

	if (!enabled_scheduler_runqueue || !cpu || !stint || !spread)
		return 0;
	/* Pid 0 is the idle task, of which every CPU has one. */
	if (prev_pid) {
		leave(cpu, preempt, prev, prev_pid, now, btf);
		if (stint->began)
			histogram_add(&spread->running, elapsed(stint->began, now));
	} else {
		add_own(&cpu->idle_exit, 1);
	}
	if (next_pid)
		arrive(cpu, spread, next, next_pid, now, btf);
	stint->began = now;
	return 0;
}

/*
 * A task becomes runnable. One that is new knows nothing of a row that its pid
 * may have left behind. The wakeup of a task that has not lost its CPU yet is
 * forgotten in leave().
 */
static __always_inline int on_wakeup(struct task_struct *task, bool new, bool btf)
{
	u32 pid = get(btf, task, pid);
	struct away_row *row = row_at(away, pid & pid_mask);

	if (!enabled_scheduler_runqueue || !row)
		return 0;
	if (new || row->pid != pid) {
		struct cpu_row *cpu = row_at(per_cpu, bpf_get_smp_processor_id());

		if (cpu && !new && row->pid)
			add(&cpu->discarded_samples, 1);
		row->pid = pid;
		row->since = 0;
	}
	row->queued = bpf_ktime_get_ns();
	return 0;
}

static __always_inline int on_fork(void)
{
	struct cpu_row *cpu = row_at(per_cpu, bpf_get_smp_processor_id());

	if (enabled_scheduler_forks && cpu)
		add(&cpu->fork, 1);
	return 0;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(switch_btf, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	return on_switch(preempt, prev, next, true);
}

/*
 * In 5.18, and only there, prev's state came between `preempt` and `prev`. The
 * verifier refuses switch_btf then, for taking an integer for a task.
 */
typedef void (*btf_trace_sched_switch___5_18)(void *, bool, unsigned int, struct task_struct *,
					      struct task_struct *);

SEC("raw_tp/sched_switch")
int switch_raw(u64 *args)
{
	if (bpf_core_type_exists(btf_trace_sched_switch___5_18))
		return on_switch(args[0], (void *)args[2], (void *)args[3], false);
	return on_switch(args[0], (void *)args[1], (void *)args[2], false);
}

SEC("tp_btf/sched_wakeup")
int BPF_PROG(wakeup_btf, struct task_struct *task)
{
	return on_wakeup(task, false, true);
}

SEC("raw_tp/sched_wakeup")
int BPF_PROG(wakeup_raw, struct task_struct *task)
{
	return on_wakeup(task, false, false);
}

SEC("tp_btf/sched_wakeup_new")
int BPF_PROG(wakeup_new_btf, struct task_struct *task)
{
	return on_wakeup(task, true, true);
}

SEC("raw_tp/sched_wakeup_new")
int BPF_PROG(wakeup_new_raw, struct task_struct *task)
{
	return on_wakeup(task, true, false);
}

SEC("tp_btf/sched_process_fork")
int fork_btf(void *ctx)
{
	return on_fork();
}

SEC("raw_tp/sched_process_fork")
int fork_raw(void *ctx)
{
	return on_fork();
}

SEC("tracepoint/sched/sched_process_fork")
int fork_tp(void *ctx)
{
	return on_fork();
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
