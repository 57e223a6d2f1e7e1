/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Block requests: how many, how large, how long, and how they ended.
 *
 * Hooks: block:block_rq_issue (a driver takes a request on), block_rq_complete
 * (all or a part of it is done) and block_rq_requeue (a driver gives it back).
 * There is none on block_rq_insert: the request itself says when it was made.
 * Minimum kernel: 5.8. Cost: once or twice per request; docs in README.md.
 */
#include "compat.bpf.h"
#include "histogram.bpf.h"
#include <bpf/bpf_tracing.h>

const volatile bool enabled_blockio_requests = true;
const volatile bool enabled_blockio_latency = true;
const volatile bool enabled_blockio_queue_latency = true;

enum op { OP_READ, OP_WRITE, OP_FLUSH, OP_DISCARD, OPS };
enum error {
	ERROR_IO,
	ERROR_TIMEOUT,
	ERROR_NOSPC,
	ERROR_TARGET,
	ERROR_PROTECTION,
	ERROR_UNSUPPORTED,
	ERROR_OTHER,
	ERRORS
};

struct totals {
	u64 operations[OPS];
	u64 bytes[OPS];
	u64 requeues[OPS];
	u64 unseen;
	u64 errors[OPS][ERRORS];
	struct histogram size[OPS];
	struct histogram latency[OPS];
	struct histogram queue_latency[OPS];
} CACHE_LINE;
TABLE(totals, struct totals);

/*
 * When the requests in flight were issued. Requests live in arrays that their
 * queue keeps, so the address is an identity, and a direct-mapped table with
 * two ways does what a hash map does at a fifth of the cost. With a thousand
 * requests in flight fewer than 1 % meet two others in their row; what is
 * displaced is counted in `unseen`, unless the kernel took the time as well.
 */
#define IN_FLIGHT_BITS 13
struct in_flight {
	u64 request[2];
	u64 issued[2];
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << IN_FLIGHT_BITS);
	__type(key, u32);
	__type(value, struct in_flight);
} in_flight SEC(".maps");

/* The field of a request by the means that the kind of program has. */
#define READ(trusted, pointer, field) ((trusted) ? (pointer)->field : BPF_CORE_READ(pointer, field))

/*
 * The verifier allows no arithmetic on a pointer that it knows for one, but
 * takes its lower half for a number.
 */
static __always_inline struct in_flight *in_flight_row(struct request *rq)
{
	u32 low;

	asm volatile("%0 = %1" : "=w"(low) : "w"((u32)(u64)rq));
	return row_at(in_flight, low * 0x9e3779b1U >> (32 - IN_FLIGHT_BITS));
}

/* Driver commands (SCSI inquiries, NVMe administration) are no block I/O. */
static __always_inline bool is_passthrough(u32 flags)
{
	return (flags & REQ_OP_MASK) >= REQ_OP_PASSTHROUGH;
}

/*
 * As the kernel groups operations for /proc/diskstats: odd ones write. So
 * secure erase, write zeroes and zone append are writes.
 */
static __always_inline u64 op_of(u32 flags)
{
	u64 op = flags & REQ_OP_MASK;

	if (op != REQ_OP_FLUSH && op != REQ_OP_DISCARD)
		op &= OP_WRITE;
	barrier_var(op);
	return op & (OPS - 1); /* the compiler knew, old verifiers do not */
}

/* A blk_status_t; the numbers up to 10 have been the same since 4.13. */
static __always_inline u32 error_of_status(int status)
{
	switch (status) {
	case 1:
		return ERROR_UNSUPPORTED;
	case 2:
		return ERROR_TIMEOUT;
	case 3:
		return ERROR_NOSPC;
	case 5:
		return ERROR_TARGET;
	case 8:
		return ERROR_PROTECTION;
	case 7: /* medium */
	case 10:
		return ERROR_IO;
	default:
		return ERROR_OTHER;
	}
}

/* The errno that kernels before 5.16 hand over in the status's place. */
static __always_inline u32 error_of_errno(int number)
{
	switch (number) {
	case 95: /* EOPNOTSUPP */
		return ERROR_UNSUPPORTED;
	case 110: /* ETIMEDOUT */
		return ERROR_TIMEOUT;
	case 28: /* ENOSPC */
		return ERROR_NOSPC;
	case 121: /* EREMOTEIO */
		return ERROR_TARGET;
	case 84: /* EILSEQ */
		return ERROR_PROTECTION;
	case 61: /* ENODATA, a medium error */
	case 5:	 /* EIO */
		return ERROR_IO;
	default:
		return ERROR_OTHER;
	}
}

static __always_inline u64 error_of(int error)
{
	return error > 0 ? error_of_status(error) : error_of_errno(-error);
}

static __always_inline int on_issue(struct request *rq)
{
	struct in_flight *row = in_flight_row(rq);
	u64 request = (u64)rq;

	if (!row)
		return 0;
	if (!row->request[0] || row->request[0] == request) {
		row->issued[0] = bpf_ktime_get_ns();
		row->request[0] = request;
	} else {
		row->issued[1] = bpf_ktime_get_ns();
		row->request[1] = request;
	}
	return 0;
}

/* When a request was issued, or 0; the table forgets it. */
static __always_inline u64 take_issued(struct request *rq)
{
	struct in_flight *row = in_flight_row(rq);
	u64 request = (u64)rq;

	if (!row)
		return 0;
	if (row->request[0] == request) {
		row->request[0] = 0;
		return row->issued[0];
	}
	if (row->request[1] == request) {
		row->request[1] = 0;
		return row->issued[1];
	}
	return 0;
}

static __always_inline void count_latency(struct totals *row, u64 op, struct request *rq,
					  bool trusted)
{
	u64 issued = take_issued(rq), made, now;

	/* The kernel takes this time too, while somebody (writeback
	 * throttling, a scheduler) wants statistics of the queue. */
	if (!issued)
		issued = READ(trusted, rq, io_start_time_ns);
	if (!issued) {
		add(&row->unseen, 1);
		return;
	}
	if (enabled_blockio_latency) {
		now = bpf_ktime_get_ns();
		histogram_add(&row->latency[op], now > issued ? now - issued : 0);
	}
	if (enabled_blockio_queue_latency) {
		made = READ(trusted, rq, start_time_ns);
		if (made) /* 0 where the queue keeps no statistics (iostats) */
			histogram_add(&row->queue_latency[op], issued > made ? issued - made : 0);
	}
}

static __always_inline int on_complete(struct request *rq, int error, u32 bytes, bool trusted)
{
	u32 flags = READ(trusted, rq, cmd_flags);
	u64 op = op_of(flags);
	bool whole = bytes >= READ(trusted, rq, __data_len);
	struct totals *row;

	if (is_passthrough(flags))
		return 0;
	/*
	 * A write with a cache flush before or after it completes once more
	 * when all its steps are done, then with nothing left to transfer; and
	 * so does the parent of a pure flush, which no driver ever sees. The
	 * flush itself is a request of its own.
	 */
	if (!bytes && op != OP_FLUSH)
		return 0;
	row = row_at(totals, bank());
	if (!row)
		return 0;
	if (enabled_blockio_requests) {
		if (error)
			add(&row->errors[op][error_of(error)], 1);
		else
			add(&row->bytes[op], bytes);
		if (whole) {
			add(&row->operations[op], 1);
			histogram_add(&row->size[op], bytes);
		}
	}
	if (whole && (enabled_blockio_latency || enabled_blockio_queue_latency))
		count_latency(row, op, rq, trusted);
	return 0;
}

static __always_inline int on_requeue(struct request *rq, bool trusted)
{
	u32 flags = READ(trusted, rq, cmd_flags);
	struct totals *row = row_at(totals, bank());

	if (row && !is_passthrough(flags))
		add(&row->requeues[op_of(flags)], 1);
	return 0;
}

SEC("tp_btf/block_rq_issue")
int issue_btf(u64 *ctx)
{
	if (block_rq_has_queue())
		return on_issue((struct request *)ctx[1]);
	return on_issue((struct request *)ctx[0]);
}

SEC("raw_tp/block_rq_issue")
int issue_raw(u64 *ctx)
{
	if (block_rq_has_queue())
		return on_issue((struct request *)ctx[1]);
	return on_issue((struct request *)ctx[0]);
}

SEC("tp_btf/block_rq_complete")
int complete_btf(u64 *ctx)
{
	return on_complete((struct request *)ctx[0], ctx[1], ctx[2], true);
}

SEC("raw_tp/block_rq_complete")
int complete_raw(u64 *ctx)
{
	return on_complete((struct request *)ctx[0], ctx[1], ctx[2], false);
}

SEC("tp_btf/block_rq_requeue")
int requeue_btf(u64 *ctx)
{
	if (block_rq_has_queue())
		return on_requeue((struct request *)ctx[1], true);
	return on_requeue((struct request *)ctx[0], true);
}

SEC("raw_tp/block_rq_requeue")
int requeue_raw(u64 *ctx)
{
	if (block_rq_has_queue())
		return on_requeue((struct request *)ctx[1], false);
	return on_requeue((struct request *)ctx[0], false);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
