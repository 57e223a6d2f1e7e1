/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Tables: the memory that BPF programs count in and the host reads.
 *
 * A table is a memory-mappable array whose value is a struct; the host finds a
 * metric's number by the name of the member, from the object's BTF, so nothing
 * depends on the order in which either side lists them. How many rows a table
 * gets, and what a row stands for, is said in plugin.toml ([maps]); the host
 * sets max_entries before it loads the object:
 *
 *   "cpu"     one row per possible CPU                key: smp processor id
 *   "bank"    a few rows, summed when read            key: bank()
 *   "cgroup"  per cgroup, in banks, summed when read  key: cgroup_row(slot)
 *   "pid"     a power of two, direct-mapped by pid    key: pid & pid_mask
 *   "one"     a single row                            key: 0
 */
#ifndef REZOLUS_TABLE_BPF_H
#define REZOLUS_TABLE_BPF_H

#include "kernel.h"
#include <bpf/bpf_helpers.h>

/* Set by the host before the load; the verifier treats them as constants. */
const volatile u32 bank_mask = 0;
const volatile u32 pid_mask = 0;

#define CACHE_LINE __attribute__((aligned(64)))

#define TABLE(name, row)                                                                           \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_ARRAY);                                                  \
		__uint(map_flags, BPF_F_MMAPABLE);                                                 \
		__uint(max_entries, 1);                                                            \
		__type(key, u32);                                                                  \
		__type(value, row);                                                                \
	} name SEC(".maps")

/* The row, or NULL (which the verifier insists on seeing handled). */
#define row_at(table, row) (bpf_map_lookup_elem(&(table), &(u32){row}))

static __always_inline u32 bank(void)
{
	return bpf_get_smp_processor_id() & bank_mask;
}

/*
 * Adds to a counter that other CPUs, or an interrupt on this one, may be
 * adding to as well. About 5 ns when the cache line is this CPU's own.
 */
static __always_inline void add(u64 *counter, u64 n)
{
	__sync_fetch_and_add(counter, n);
}

/*
 * Adds to a counter that nobody else can touch in the meantime: a "cpu" row,
 * from a hook that runs with interrupts off and is the only writer.
 */
static __always_inline void add_own(u64 *counter, u64 n)
{
	*counter += n;
}

#endif
