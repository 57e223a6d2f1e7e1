/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What becomes of connections: states, connects, resets, retransmissions. */

/*
 * When the connects under way began. A hash, because they last: thousands may
 * wait for an answer that never comes, and each is worth knowing. It costs at
 * connects only. An entry goes when the socket leaves SYN_SENT, however.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, u64);
	__type(value, u64);
} connecting SEC(".maps");

static __always_inline void connect_begins(struct totals *row, u64 socket)
{
	u64 now = bpf_ktime_get_ns();

	if (bpf_map_update_elem(&connecting, &socket, &now, BPF_ANY))
		add(&row->connect_unseen, 1);
}

static __always_inline void connect_ends(struct totals *row, u64 socket, bool established)
{
	u64 *began = bpf_map_lookup_elem(&connecting, &socket), now;

	if (!began)
		return;
	if (established) {
		now = bpf_ktime_get_ns();
		histogram_add(&row->connect_latency, now - *began);
	}
	bpf_map_delete_elem(&connecting, &socket);
}

static __always_inline int on_state(struct sock *sk, u32 old, u64 new, bool trusted)
{
	struct totals *row = row_at(totals, bank());

	if (old == new) /* close() after shutdown() */
		return 0;
	/* SCTP and MPTCP sockets have states as well. */
	if (!row || READ(trusted, sk, sk_protocol) != IPPROTO_TCP)
		return 0;
	if (enabled_tcp_state) {
		barrier_var(new); /* as in histogram_add(&) */
		if (new < STATES)
			add(&row->states[new], 1);
		if (new == STATE_ESTABLISHED)
			add(&row->connections[old == STATE_SYN_SENT ? KIND_ACTIVE : KIND_PASSIVE],
			    1);
		else if (old == STATE_SYN_SENT && new == STATE_CLOSE)
			add(&row->connect_failed, 1);
	}
	if (enabled_tcp_connect_latency) {
		if (new == STATE_SYN_SENT)
			connect_begins(row, (u64)sk);
		else if (old == STATE_SYN_SENT)
			connect_ends(row, (u64)sk, new == STATE_ESTABLISHED);
	}
	return 0;
}

static __always_inline int on_reset_sent(void)
{
	struct totals *row = row_at(totals, bank());

	if (row)
		add(&row->reset_sent, 1);
	return 0;
}

static __always_inline int on_reset_received(void)
{
	struct totals *row = row_at(totals, bank());

	if (row)
		add(&row->reset_received, 1);
	return 0;
}

/*
 * Newer kernels (6.18, not yet 6.12) pass an error as well, and call the
 * tracepoint also for retransmissions that failed. A function type exists in
 * the kernel's BTF only if its parameters agree.
 */
typedef void (*btf_trace_tcp_retransmit_skb___err)(void *, const struct sock *,
						   const struct sk_buff *, int);

static __always_inline int on_retransmit(u64 *ctx)
{
	struct tcp_skb_cb *control = (void *)((struct sk_buff *)ctx[1])->cb;
	struct totals *row = row_at(totals, bank());
	u32 segments = BPF_CORE_READ(control, tcp_gso_segs);

	if (!row)
		return 0;
	if (bpf_core_type_exists(btf_trace_tcp_retransmit_skb___err) && (int)ctx[2])
		return 0;
	add(&row->retransmit, segments ?: 1);
	return 0;
}

static __always_inline int on_synack_retransmit(void)
{
	struct totals *row = row_at(totals, bank());

	if (row)
		add(&row->synack_retransmit, 1);
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int state_btf(u64 *ctx)
{
	return on_state((struct sock *)ctx[0], ctx[1], (u32)ctx[2], true);
}

SEC("raw_tp/inet_sock_set_state")
int state_raw(u64 *ctx)
{
	return on_state((struct sock *)ctx[0], ctx[1], (u32)ctx[2], false);
}

SEC("tp_btf/tcp_send_reset")
int reset_sent_btf(u64 *ctx)
{
	return on_reset_sent();
}

SEC("raw_tp/tcp_send_reset")
int reset_sent_raw(u64 *ctx)
{
	return on_reset_sent();
}

SEC("tp_btf/tcp_receive_reset")
int reset_received_btf(u64 *ctx)
{
	return on_reset_received();
}

SEC("raw_tp/tcp_receive_reset")
int reset_received_raw(u64 *ctx)
{
	return on_reset_received();
}

SEC("tp_btf/tcp_retransmit_skb")
int retransmit_btf(u64 *ctx)
{
	return on_retransmit(ctx);
}

SEC("raw_tp/tcp_retransmit_skb")
int retransmit_raw(u64 *ctx)
{
	return on_retransmit(ctx);
}

SEC("tp_btf/tcp_retransmit_synack")
int synack_btf(u64 *ctx)
{
	return on_synack_retransmit();
}

SEC("raw_tp/tcp_retransmit_synack")
int synack_raw(u64 *ctx)
{
	return on_synack_retransmit();
}
