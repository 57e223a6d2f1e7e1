/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Segments that arrive: round-trip times, and how long data waits to be read. */

/*
 * Since when sockets have had unread data: one word per slot, so that it is
 * read and written whole. A socket is known by sk_hash, the hash of addresses
 * and ports (and network namespace) under which the kernel itself finds it: 16
 * bits of it are the slot, and the other 16 the upper part of the word, which
 * tells the owner. The rest is a time in nanoseconds (48 bits: three days).
 *
 * A socket that meets another one's word in its slot displaces it, which
 * `packet_unseen` counts; of 1,000 that have unread data at the same moment, seven or
 * eight. Sockets closed with data unread take their word along.
 */
#define UNREAD_BITS 16
#define UNREAD_TIME ((1ULL << 48) - 1)
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << UNREAD_BITS);
	__type(key, u32);
	__type(value, u64);
} unread SEC(".maps");

static __always_inline u64 *unread_slot(u32 hash)
{
	return row_at(unread, hash >> (32 - UNREAD_BITS));
}

static __always_inline bool is_owned_by(u64 word, u32 hash)
{
	return word && word >> 48 == (u16)hash;
}

static __always_inline void data_arrives(struct totals *row, u32 hash)
{
	u64 *slot = unread_slot(hash), word;

	if (!slot)
		return;
	word = *slot;
	if (is_owned_by(word, hash))
		return; /* the oldest unread data counts */
	if (word)
		add(&row->packet_unseen, 1);
	*slot = (u64)(u16)hash << 48 | (bpf_ktime_get_ns() & UNREAD_TIME);
}

/* What matters of a TCP header: bytes 4 to 13. */
struct tcp_header {
	u32 sequence;
	u32 acknowledged;
	u8 data_offset; /* in the upper four bits, in words */
	u8 flags;
} __attribute__((packed));

static __always_inline int on_segment(struct sock *sk, struct sk_buff *skb, bool trusted)
{
	struct tcp_sock *tcp = tcp_sock_of(sk, trusted);
	unsigned char *data = READ(trusted, skb, data);
	struct totals *row = row_at(totals, bank());
	struct tcp_header header;

	if (!tcp || !row || bpf_probe_read_kernel(&header, sizeof(header), data + 4))
		return 0;
	/* Only a segment that acknowledges new data changes the estimates. */
	if (enabled_tcp_receive &&
	    (s32)(bpf_ntohl(header.acknowledged) - READ(trusted, tcp, snd_una)) > 0) {
		u32 srtt = READ(trusted, tcp, srtt_us);

		if (srtt) { /* 0: no estimate yet */
			/* kept in eighths and in quarters of a microsecond */
			histogram_add(&row->srtt, srtt * 1000ULL / 8);
			histogram_add(&row->jitter, READ(trusted, tcp, mdev_us) * 1000ULL / 4);
		}
	}
	if (enabled_tcp_packet_latency) {
		u32 expected = READ(trusted, tcp, rcv_nxt), first = bpf_ntohl(header.sequence);
		u32 length = READ(trusted, skb, len) - (header.data_offset >> 4) * 4;

		/* The next bytes in sequence; others cannot be read yet, or were. */
		if ((s32)(first - expected) <= 0 && (s32)(first + length - expected) > 0)
			data_arrives(row, READ(trusted, sk, __sk_common.skc_hash));
	}
	return 0;
}

static __always_inline int on_read(struct sock *sk, bool trusted)
{
	u32 hash = READ(trusted, sk, __sk_common.skc_hash);
	u64 *slot = unread_slot(hash), word = slot ? *slot : 0;
	struct totals *row;

	if (!slot || !is_owned_by(word, hash))
		return 0;
	*slot = 0;
	row = row_at(totals, bank());
	if (row)
		histogram_add(&row->packet_latency, (bpf_ktime_get_ns() - word) & UNREAD_TIME);
	return 0;
}

static __always_inline int on_destroy(struct sock *sk, bool trusted)
{
	u32 hash = READ(trusted, sk, __sk_common.skc_hash);
	u64 *slot = unread_slot(hash);

	if (slot && is_owned_by(*slot, hash))
		*slot = 0;
	return 0;
}

SEC("tp_btf/tcp_probe")
int segment_btf(u64 *ctx)
{
	return on_segment((struct sock *)ctx[0], (struct sk_buff *)ctx[1], true);
}

SEC("raw_tp/tcp_probe")
int segment_raw(u64 *ctx)
{
	return on_segment((struct sock *)ctx[0], (struct sk_buff *)ctx[1], false);
}

SEC("tp_btf/tcp_rcv_space_adjust")
int read_btf(u64 *ctx)
{
	return on_read((struct sock *)ctx[0], true);
}

SEC("raw_tp/tcp_rcv_space_adjust")
int read_raw(u64 *ctx)
{
	return on_read((struct sock *)ctx[0], false);
}

SEC("tp_btf/tcp_destroy_sock")
int destroy_btf(u64 *ctx)
{
	return on_destroy((struct sock *)ctx[0], true);
}

SEC("raw_tp/tcp_destroy_sock")
int destroy_raw(u64 *ctx)
{
	return on_destroy((struct sock *)ctx[0], false);
}
