#include "compat.bpf.h"
#include "histogram.bpf.h"
#include "cgroup.bpf.h"
#include <bpf/bpf_tracing.h>
struct r { u64 usage[2]; };
TABLE(t, struct r);
SEC("tp_btf/sched_switch")
int BPF_PROG(sw, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	u32 row = cgroup_row(cgroup_slot_of(cgroup_id_of(prev)));
	struct r *r = row_at(t, row);
	if (r) add(&r->usage[0], 1);
	return 0;
}
char LICENSE[] SEC("license") = "GPL";
