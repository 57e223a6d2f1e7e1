// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Scheduling: how long tasks run, wait for a CPU, and are blocked; context
 * switches, wakeups and forks.
 *
 * Hooks: sched:sched_switch, sched:sched_waking, sched:sched_wakeup_new and
 * sched:sched_process_fork, by tp_btf or raw_tp. sched_waking fires once for
 * each wakeup, on the CPU of the waker; sched_wakeup often on the CPU of the
 * woken task, just out of idle, where everything is cold.
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
 * What is known of a task that is not running, in two tables because it is
 * written on two CPUs: the one it left, and the one that wakes it. Of the tasks
 * that share a row the last one to write owns it.
 */
struct away_row {
	u32 pid;
	enum kind kind; /* how it lost the CPU */
	u64 since;	/* when it did; 0: not known */
};
TABLE(away, struct away_row);

struct woken_row {
	u32 pid;
	u32 unused;
	u64 at; /* 0: not since it ran */
};
TABLE(woken, struct woken_row);

/*
 * Tasks that work together often have neighbouring pids. Their rows are 80
 * bytes apart, so that two CPUs do not write to the same cache line.
 */
static __always_inline u32 row_of(u32 pid)
{
	return pid * 5 & pid_mask;
}

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
	struct away_row *row = row_at(away, row_of(pid));

	add_own(&cpu->context_switch[kind], 1);
	if (cgroup)
		add(&cgroup->context_switch[kind], 1);
	if (row) {
		row->pid = pid;
		row->kind = kind;
		row->since = now;
	}
}

/* `next` gets the CPU. */
static __always_inline void arrive(struct cpu_row *cpu, struct histogram_row *histograms,
				   struct task_struct *next, u32 pid, u64 now, bool btf)
{
	struct cgroup_count_row *cgroup = cgroup_of(next, btf);
	struct away_row *away_row = row_at(away, row_of(pid));
	struct woken_row *woken_row = row_at(woken, row_of(pid));
	u64 since, queued, wait, blocked = 0;

	if (!away_row || !woken_row)
		return;
	since = away_row->pid == pid ? away_row->since : 0;
	if (since && away_row->kind == KIND_INVOLUNTARY) {
		wait = elapsed(since, now);
	} else {
		queued = woken_row->pid == pid ? woken_row->at : 0;
		if (!queued) {
			/* Free rows are no loss: it has not run since the agent started. */
			if ((away_row->pid && away_row->pid != pid) ||
			    (woken_row->pid && woken_row->pid != pid))
				add_own(&cpu->discarded_samples, 1);
			return;
		}
		/*
		 * It may be woken on its way out, by someone who then waits until
		 * it is gone.
		 */
		wait = elapsed(queued > since ? queued : since, now);
		woken_row->at = 0;
		add_own(&cpu->wakeup, 1);
		if (since) {
			blocked = elapsed(since, queued);
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
 * A task becomes runnable. Nothing is read that another CPU wrote. A new task
 * knows nothing of a row that its pid may have left behind.
 */
static __always_inline int on_wakeup(struct task_struct *task, bool new, bool btf)
{
	u32 pid = get(btf, task, pid);
	struct woken_row *row = row_at(woken, row_of(pid));
	struct away_row *old = new ? row_at(away, row_of(pid)) : NULL;

	if (!enabled_scheduler_runqueue || !row)
		return 0;
	if (old && old->pid == pid)
		old->since = 0;
	row->pid = pid;
	row->at = bpf_ktime_get_ns();
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

SEC("raw_tp/sched_switch")
int switch_raw(u64 *args)
{
	if (sched_switch_state_first())
		return on_switch(args[0], (void *)args[2], (void *)args[3], false);
	return on_switch(args[0], (void *)args[1], (void *)args[2], false);
}

SEC("tp_btf/sched_waking")
int BPF_PROG(wakeup_btf, struct task_struct *task)
{
	return on_wakeup(task, false, true);
}

SEC("raw_tp/sched_waking")
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
