// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Which cgroups there are: gives a new cgroup its slot in `cgroup_ids` the
 * moment it is made, and tells the host about it.
 *
 * Hooks: cgroup:cgroup_mkdir, cgroup_rmdir, cgroup_rename. They run under the
 * kernel's cgroup_mutex, so slots are claimed by one CPU at a time. Freeing a
 * slot is the host's job, after it has cleared the slot's rows in all tables.
 * Minimum kernel: 5.8 (ring buffer). Cost: rare events only.
 */
#include "cgroup.bpf.h"
#include <bpf/bpf_tracing.h>

#define PATH_BYTES 1024

/* The v1 hierarchy of the cpu controller, or 0: the unified hierarchy. */
const volatile s32 cgroup_hierarchy = 0;

enum cgroup_event_kind { CGROUP_MADE, CGROUP_REMOVED, CGROUP_RENAMED };

struct cgroup_event {
	u64 id;
	u32 kind;
	u32 slot; /* CGROUP_UNTRACKED: all its slots are taken */
	u32 length;
	char path[PATH_BYTES];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 128 * 1024);
} cgroup_events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct cgroup_event);
} cgroup_scratch SEC(".maps");

/* Events that did not fit into the ring; the host walks the tree again. */
u64 cgroup_events_lost = 0;

static __always_inline u32 claim_slot(u64 id)
{
	u32 first = cgroup_hash(id);

#pragma unroll
	for (u32 i = 1; i <= CGROUP_PROBES; i++) {
		u32 slot = first + i;
		u64 *owner = bpf_map_lookup_elem(&cgroup_ids, &slot);

		if (!owner)
			continue;
		if (*owner == 0)
			*owner = id;
		if (*owner == id)
			return slot;
	}
	return CGROUP_UNTRACKED;
}

static __always_inline int tell(struct cgroup *cgroup, const char *path, u32 kind)
{
	struct cgroup_event *event;
	u32 zero = 0;
	long length;

	if (BPF_CORE_READ(cgroup, root, hierarchy_id) != cgroup_hierarchy)
		return 0;
	event = bpf_map_lookup_elem(&cgroup_scratch, &zero);
	if (!event)
		return 0;
	event->id = BPF_CORE_READ(cgroup, kn, id);
	event->kind = kind;
	event->slot = kind == CGROUP_MADE ? claim_slot(event->id) : CGROUP_UNTRACKED;
	length = bpf_probe_read_kernel_str(event->path, PATH_BYTES, path);
	if (length < 0)
		length = 0;
	if (length > PATH_BYTES)
		length = PATH_BYTES;
	event->length = length;
	if (bpf_ringbuf_output(&cgroup_events, event, sizeof(*event) - PATH_BYTES + length, 0))
		__sync_fetch_and_add(&cgroup_events_lost, 1);
	return 0;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(cgroup_mkdir_btf, struct cgroup *cgroup, const char *path)
{
	return tell(cgroup, path, CGROUP_MADE);
}

SEC("raw_tp/cgroup_mkdir")
int BPF_PROG(cgroup_mkdir_raw, struct cgroup *cgroup, const char *path)
{
	return tell(cgroup, path, CGROUP_MADE);
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(cgroup_rmdir_btf, struct cgroup *cgroup, const char *path)
{
	return tell(cgroup, path, CGROUP_REMOVED);
}

SEC("raw_tp/cgroup_rmdir")
int BPF_PROG(cgroup_rmdir_raw, struct cgroup *cgroup, const char *path)
{
	return tell(cgroup, path, CGROUP_REMOVED);
}

SEC("tp_btf/cgroup_rename")
int BPF_PROG(cgroup_rename_btf, struct cgroup *cgroup, const char *path)
{
	return tell(cgroup, path, CGROUP_RENAMED);
}

SEC("raw_tp/cgroup_rename")
int BPF_PROG(cgroup_rename_raw, struct cgroup *cgroup, const char *path)
{
	return tell(cgroup, path, CGROUP_RENAMED);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
