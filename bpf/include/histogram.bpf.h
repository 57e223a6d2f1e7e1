/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * H2 histograms, grouping power 3, values up to 2^64 - 1: 496 buckets.
 *
 * Up to 15 a bucket holds one value; above, every power of two is cut into
 * eight equal buckets, so a bucket is at most 12.5 % wide. A metric of kind
 * "histogram" is a member `u64 name[HISTOGRAM_BUCKETS]` of a table's row, or
 * `u64 name[N][HISTOGRAM_BUCKETS]` with a label of N values.
 */
#ifndef REZOLUS_HISTOGRAM_BPF_H
#define REZOLUS_HISTOGRAM_BPF_H

#include "table.bpf.h"

#define HISTOGRAM_BUCKETS 496

/* floor(log2(v)) for v > 0. By hand: __builtin_clzll expands badly for BPF. */
static __always_inline u32 log2_u64(u64 v)
{
	u32 r = 0;

	if (v >> 32) {
		v >>= 32;
		r += 32;
	}
	if (v >> 16) {
		v >>= 16;
		r += 16;
	}
	if (v >> 8) {
		v >>= 8;
		r += 8;
	}
	if (v >> 4) {
		v >>= 4;
		r += 4;
	}
	if (v >> 2) {
		v >>= 2;
		r += 2;
	}
	return r + (v >> 1);
}

/* The bucket of a value, always below HISTOGRAM_BUCKETS. */
static __always_inline u32 histogram_bucket(u64 value)
{
	u32 power;

	if (value < 16)
		return value;
	power = log2_u64(value);
	/* 16 + (power - 4) * 8 + the three bits below the leading one */
	return 8 * power - 16 + ((value >> (power - 3)) & 7);
}

static __always_inline void histogram_add(u64 *buckets, u64 value)
{
	u64 i = histogram_bucket(value);

	/* Before 6.2 the verifier loses a bound that was checked on another copy. */
	barrier_var(i);
	if (i < HISTOGRAM_BUCKETS)
		add(&buckets[i], 1);
}

#endif
