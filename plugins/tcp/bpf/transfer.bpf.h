/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Payload that applications hand to TCP and take from it, by the results of
 * their calls. Not by tcp_cleanup_rbuf(), a usual choice, which is called
 * several times with a growing total while one call waits for more data.
 *
 * Below 6.3 there are no tracepoints for it: fexit on the functions that the
 * system calls arrive at, inet_sendmsg() and siblings, whose parameters have
 * been the same since 4.1 (tcp_recvmsg() lost one in 5.19); where there is no
 * fexit (arm64 before 6.4), kretprobes on the functions of TCP itself, which
 * see results but not flags.
 *
 * sendfile() and splice() into a socket arrive at inet_sendpage() before 6.5,
 * page by page, and like any send since then. splice() out of a socket arrives
 * at tcp_splice_read(), which no tracepoint covers.
 */

/* include/linux/socket.h: nothing is taken; what is taken is no payload. */
#define MSG_PEEK     0x2
#define MSG_ERRQUEUE 0x2000

static __always_inline int count_transfer(enum direction direction, int length)
{
	struct totals *row = row_at(totals, bank());

	if (!row)
		return 0;
	add(&row->packets[direction], 1);
	add(&row->bytes[direction], length);
	histogram_add(&row->size[direction], length);
	return 0;
}

static __always_inline int on_transfer(struct sock *sk, enum direction direction, int result,
				       u32 flags, bool trusted)
{
	u16 family;

	if (result <= 0)
		return 0;
	if (direction == DIRECTION_RECEIVE && (flags & (MSG_PEEK | MSG_ERRQUEUE)))
		return 0;
	/* The protocol alone will not do: six means other things to other families. */
	if (READ(trusted, sk, sk_protocol) != IPPROTO_TCP)
		return 0;
	family = READ(trusted, sk, __sk_common.skc_family);
	if (family != AF_INET && family != AF_INET6)
		return 0;
	return count_transfer(direction, result);
}

SEC("tp_btf/sock_send_length")
int send_btf(u64 *ctx)
{
	return on_transfer((struct sock *)ctx[0], DIRECTION_TRANSMIT, ctx[1], 0, true);
}

SEC("raw_tp/sock_send_length")
int send_raw(u64 *ctx)
{
	return on_transfer((struct sock *)ctx[0], DIRECTION_TRANSMIT, ctx[1], 0, false);
}

SEC("tp_btf/sock_recv_length")
int receive_btf(u64 *ctx)
{
	return on_transfer((struct sock *)ctx[0], DIRECTION_RECEIVE, ctx[1], ctx[2], true);
}

SEC("raw_tp/sock_recv_length")
int receive_raw(u64 *ctx)
{
	return on_transfer((struct sock *)ctx[0], DIRECTION_RECEIVE, ctx[1], ctx[2], false);
}

/* (struct socket *, struct msghdr *, size_t), result */
SEC("fexit/inet_sendmsg")
int send_fexit(u64 *ctx)
{
	return on_transfer(((struct socket *)ctx[0])->sk, DIRECTION_TRANSMIT, ctx[3], 0, true);
}

SEC("fexit/inet6_sendmsg")
int send6_fexit(u64 *ctx)
{
	return on_transfer(((struct socket *)ctx[0])->sk, DIRECTION_TRANSMIT, ctx[3], 0, true);
}

/* (struct socket *, struct msghdr *, size_t, int flags), result */
SEC("fexit/inet_recvmsg")
int receive_fexit(u64 *ctx)
{
	return on_transfer(((struct socket *)ctx[0])->sk, DIRECTION_RECEIVE, ctx[4], ctx[3], true);
}

SEC("fexit/inet6_recvmsg")
int receive6_fexit(u64 *ctx)
{
	return on_transfer(((struct socket *)ctx[0])->sk, DIRECTION_RECEIVE, ctx[4], ctx[3], true);
}

/* (struct socket *, struct page *, int, size_t, int), result */
SEC("fexit/inet_sendpage")
int sendpage_fexit(u64 *ctx)
{
	return on_transfer(((struct socket *)ctx[0])->sk, DIRECTION_TRANSMIT, ctx[5], 0, true);
}

/* (struct socket *, loff_t *, struct pipe_inode_info *, size_t, unsigned), result */
SEC("fexit/tcp_splice_read")
int splice_fexit(u64 *ctx)
{
	return on_transfer(((struct socket *)ctx[0])->sk, DIRECTION_RECEIVE, ctx[5], 0, true);
}

SEC("kretprobe/tcp_sendmsg")
int send_kretprobe(struct pt_regs *ctx)
{
	int result = PT_REGS_RC(ctx);

	return result > 0 ? count_transfer(DIRECTION_TRANSMIT, result) : 0;
}

SEC("kretprobe/tcp_recvmsg")
int receive_kretprobe(struct pt_regs *ctx)
{
	int result = PT_REGS_RC(ctx);

	return result > 0 ? count_transfer(DIRECTION_RECEIVE, result) : 0;
}

SEC("kretprobe/tcp_sendpage")
int sendpage_kretprobe(struct pt_regs *ctx)
{
	int result = PT_REGS_RC(ctx);

	return result > 0 ? count_transfer(DIRECTION_TRANSMIT, result) : 0;
}

SEC("kretprobe/tcp_splice_read")
int splice_kretprobe(struct pt_regs *ctx)
{
	int result = PT_REGS_RC(ctx);

	return result > 0 ? count_transfer(DIRECTION_RECEIVE, result) : 0;
}
