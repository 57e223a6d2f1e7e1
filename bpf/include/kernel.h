/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The kernel types that rezolus reads, cut down to the fields in use.
 *
 * Every record is marked preserve_access_index: libbpf rewrites each field
 * access for the running kernel from its BTF (CO-RE), so neither the order nor
 * the offsets here mean anything, only names and types do. A field that some
 * supported kernel lacks is read through compat.bpf.h, never directly.
 */
#ifndef REZOLUS_KERNEL_H
#define REZOLUS_KERNEL_H

typedef unsigned char __u8;
typedef signed char __s8;
typedef unsigned short __u16;
typedef signed short __s16;
typedef unsigned int __u32;
typedef signed int __s32;
typedef unsigned long long __u64;
typedef signed long long __s64;
typedef __u16 __le16;
typedef __u16 __be16;
typedef __u32 __le32;
typedef __u32 __be32;
typedef __u64 __le64;
typedef __u64 __be64;
typedef __u16 __sum16;
typedef __u32 __wsum;
typedef _Bool bool;
#define true 1
#define false 0
#define NULL ((void *)0)

typedef __u8 u8;
typedef __s8 s8;
typedef __u16 u16;
typedef __s16 s16;
typedef __u32 u32;
typedef __s32 s32;
typedef __u64 u64;
typedef __s64 s64;

/* include/uapi/linux/bpf.h: the parts of the BPF system call's interface in use. */
enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERF_EVENT_ARRAY = 4,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_RINGBUF = 27,
};
enum { BPF_ANY = 0, BPF_NOEXIST = 1, BPF_EXIST = 2 };
enum { BPF_F_MMAPABLE = 1U << 10 };
#define BPF_F_CURRENT_CPU 0xffffffffULL
struct bpf_perf_event_value {
	__u64 counter;
	__u64 enabled;
	__u64 running;
};

/* include/linux/blk_types.h: those that have kept their numbers since 4.10. */
enum { REQ_OP_FLUSH = 2, REQ_OP_DISCARD = 3, REQ_OP_PASSTHROUGH = 32, REQ_OP_MASK = 0xff };

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	int counter;
} atomic_t;
typedef struct {
	long counter;
} atomic_long_t;

/* The x86-64 registers that syscall tracepoints and kprobes hand over. */
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8;
	unsigned long ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};
/* arm64's, as far as bpf_tracing.h reads them. */
struct user_pt_regs {
	__u64 regs[31];
	__u64 sp, pc, pstate;
};

/* cgroups */
struct kernfs_node {
	u64 id; /* since 5.5; equals the inode number of the cgroup's directory */
};
struct cgroup_subsys_state {
	struct cgroup *cgroup;
	int id;
	u64 serial_nr;
};
struct cgroup_root {
	int hierarchy_id;
};
struct cgroup {
	struct cgroup_subsys_state self;
	int level;
	struct kernfs_node *kn;
	struct cgroup_root *root;
};
enum cgroup_subsys_id {
	cpu_cgrp_id = 1, /* the real number is relocated: bpf_core_enum_value */
};
struct css_set {
	struct cgroup_subsys_state *subsys[16];
	struct cgroup *dfl_cgrp;
};
struct cfs_bandwidth {
	s64 period; /* ktime_t */
	u64 quota;
	int nr_periods;
	int nr_throttled;
	u64 throttled_time;
	s64 hierarchical_quota; /* the tightest limit of the group and its ancestors; -1: none */
};
struct task_group {
	struct cgroup_subsys_state css;
	struct task_group *parent;
	struct cfs_bandwidth cfs_bandwidth;
};

/* tasks */
struct rq {
	u64 clock;
};
struct cfs_rq {
	struct rq *rq;
};
struct sched_entity {
	u64 sum_exec_runtime;
	u64 prev_sum_exec_runtime; /* when it was picked; the fair class only */
	struct cfs_rq *cfs_rq;
};
struct sched_info {
	unsigned long pcount;
	unsigned long long run_delay;
	unsigned long long last_arrival;
	unsigned long long last_queued;
};
struct mm_struct;
struct thread_info {
	unsigned long flags;
	u32 status; /* only x86 */
	u32 cpu;
};
struct task_struct {
	struct thread_info thread_info;
	unsigned int flags;
	unsigned int __state;
	int exit_state;
	int static_prio;
	int prio;
	struct sched_entity se;
	struct task_group *sched_task_group;
	struct sched_info sched_info;
	struct mm_struct *mm;
	int pid;
	int tgid;
	char comm[16];
	u64 utime;
	u64 stime;
	u64 start_time;
	unsigned long nvcsw;
	unsigned long nivcsw;
	struct task_struct *group_leader;
	struct css_set *cgroups;
};
/* Before 5.14 (2f064a59a11f "sched: Change task_struct::state"). */
struct task_struct___state {
	long state;
};
/* Before 5.16 the CPU was kept here, since then in thread_info. */
struct task_struct___cpu {
	unsigned int cpu;
};

/* block requests */
struct request_queue;
struct request {
	unsigned int cmd_flags;
	unsigned int __data_len;
	u64 start_time_ns;
	u64 io_start_time_ns;
};

/* sockets and packets */
struct sk_buff {
	unsigned int len;
	unsigned char encapsulation : 1;
	u16 inner_transport_header; /* offsets from head; 0xffff: not set */
	u16 transport_header;
	u16 mac_header;
	unsigned int end; /* an offset as well, on 64-bit machines */
	unsigned char *head;
	unsigned char *data;
	char cb[48];
};
struct skb_shared_info {
	unsigned short gso_size;
	unsigned short gso_segs;
	unsigned int gso_type;
};
struct tcp_skb_cb {
	u16 tcp_gso_segs;
};
struct sock_common {
	unsigned int skc_hash;
	unsigned short skc_family;
};
struct sock {
	struct sock_common __sk_common;
	u16 sk_protocol;
};
struct socket {
	struct sock *sk;
};
struct tcp_sock {
	u32 rcv_nxt;
	u32 snd_una;
	u32 srtt_us;
	u32 mdev_us;
};

/* BPF iterators */
struct seq_file;
struct bpf_iter_meta {
	struct seq_file *seq;
	u64 session_id;
	u64 seq_num;
};
struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

#pragma clang attribute pop

#endif
