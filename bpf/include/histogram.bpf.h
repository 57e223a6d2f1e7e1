/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * H2 histograms, grouping power 3, values up to 2^64 - 1: 496 buckets.
 *
 * Up to 15 a bucket holds one value; above, every power of two is cut into
 * eight equal buckets, so a bucket is at most 12.5 % wide. A metric of kind
 * "histogram" is a member `struct histogram name` of a table's row, or
 * `struct histogram name[N]` with a label of N values.
 */
#ifndef REZOLUS_HISTOGRAM_BPF_H
#define REZOLUS_HISTOGRAM_BPF_H

#include "table.bpf.h"

#define HISTOGRAM_BUCKETS 496
#define HISTOGRAM_LINE	  8 /* buckets in a cache line */

/*
 * Most buckets of most histograms stay zero for ever. Whether a line of buckets
 * has anything in it is noted in front, so that reading a histogram touches the
 * lines in use and no others.
 */
struct histogram {
	u8 touched[64]; /* by line; 0 or 1 */
	u64 bucket[HISTOGRAM_BUCKETS];
} CACHE_LINE;

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

static __always_inline void histogram_add(struct histogram *histogram, u64 value)
{
	u64 i = histogram_bucket(value);

	/* Before 6.2 the verifier loses a bound that was checked on another copy. */
	barrier_var(i);
	if (i >= HISTOGRAM_BUCKETS)
		return;
	/* Read first: the line of the marks stays shared between CPUs. */
	if (!histogram->touched[i / HISTOGRAM_LINE])
		histogram->touched[i / HISTOGRAM_LINE] = 1;
	add(&histogram->bucket[i], 1);
}

#endif
