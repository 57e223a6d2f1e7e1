/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * CPU time of tasks, per CPU and per cgroup.
 *
 * How long: the scheduler keeps a task's exact run time in
 * se.sum_exec_runtime, and brings it up to date before sched_switch and in
 * every tick. What it grew by since the task was switched in, or since the last
 * tick, is what is added here; nothing is sampled, and no clock is read.
 *
 * In which mode: utime and stime only say what each tick happened to interrupt.
 * /proc/<pid>/stat scales them to the exact run time (cputime_adjust() in
 * kernel/sched/cputime.c), over the life of a task. The same rule is applied
 * here over the last few ticks of a cgroup on a CPU: every tick weighs the
 * same whatever task it hit, so the split has no bias, tasks too short-lived
 * ever to meet a tick included, and it follows a change of behaviour within
 * WINDOW nanoseconds of the cgroup's run time. Kernel threads need no guess.
 */
#ifndef REZOLUS_CPU_USAGE_BPF_H
#define REZOLUS_CPU_USAGE_BPF_H

#include "tables.bpf.h"

#define PF_KTHREAD   0x00200000
#define TASK_DEAD    0x80
#define MAX_RT_PRIO  100
#define DEFAULT_PRIO 120	/* static_prio of nice 0 */
#define WINDOW	     (1U << 25) /* 34 ms: eight ticks at 250 Hz */
#define LONGEST	     (1U << 24) /* one tick at 100 Hz, and more than one at others */

static __always_inline u32 at_most(u64 value, u32 limit)
{
	return value < limit ? value : limit;
}

/*
 * Two CPUs may share a bank, and so lose a sample now and then: the ratio does
 * not notice, and what is split by it adds up in any case.
 */
static __always_inline void sample(struct samples *samples, u32 user, u32 system)
{
	user += samples->user;
	system += samples->system;
	if (user + system > WINDOW) {
		user /= 2;
		system /= 2;
	}
	samples->user = user;
	samples->system = system;
}

/* The part of `time` spent in the kernel. */
static __always_inline u64 system_part(struct samples *samples, u64 time)
{
	u32 system = samples->system;
	u32 all = samples->user + system;

	if (!system)
		return 0;
	/* Both are at most WINDOW, of 25 bits: the product fits if the time has 38. */
	if (time >> 38) /* four minutes alone on a CPU without a tick */
		return time / all * system;
	return time * system / all;
}

/* Accounts what `task`, the one on this CPU, has run since it last was. */
static __always_inline void account_usage(struct cpu *cpu, struct task_struct *task,
					  struct cgroup_usage *cgroup, u64 runtime,
					  const bool trusted)
{
	u64 ran = runtime - cpu->runtime;
	u64 system = ran;

	if (!(read_field(trusted, task, flags) & PF_KTHREAD)) {
		u32 user_ticks = at_most(read_field(trusted, task, utime) - cpu->utime, LONGEST);
		u32 system_ticks = at_most(read_field(trusted, task, stime) - cpu->stime, LONGEST);
		struct samples *samples = &cgroup->samples;

		if (user_ticks | system_ticks) {
			sample(&cpu->samples, user_ticks, system_ticks);
			sample(&cgroup->samples, user_ticks, system_ticks);
		}
		/* A cgroup that no tick has met yet: like the others on this CPU. */
		if (!(samples->user | samples->system))
			samples = &cpu->samples;
		system = system_part(samples, ran);
	}
	if (system) {
		add(&cgroup->usage[RING_SYSTEM], system);
		add_own(&cpu->usage[MODE_SYSTEM], system);
	}
	if (ran - system) {
		bool nice = read_field(trusted, task, static_prio) > DEFAULT_PRIO;

		add(&cgroup->usage[RING_USER], ran - system);
		add_own(&cpu->usage[nice ? MODE_NICE : MODE_USER], ran - system);
	}
}

/*
 * What a task has run in all when it leaves its CPU for good. Here and not at
 * sched_process_exit, after which it still runs, and with a run time that is up
 * to a tick old.
 */
static __always_inline void account_exited(struct cpu *cpu, struct task_struct *task,
					   struct cgroup_usage *cgroup, u64 runtime,
					   const bool trusted)
{
	u32 state = trusted ? task_state(task) : task_state_untrusted(task);

	if (state & TASK_DEAD) {
		add(&cgroup->usage_exited, runtime);
		add_own(&cpu->usage_exited, runtime);
	}
}

#endif
