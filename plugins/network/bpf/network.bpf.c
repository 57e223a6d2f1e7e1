/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Packets of all interfaces, in all network namespaces: how many, how large,
 * which were dropped and why, what became of transmissions.
 *
 * Hooks: net:netif_receive_skb (a packet enters the stack), net_dev_start_xmit
 * and net_dev_xmit (a packet is given to a driver; what the driver said),
 * net_dev_xmit_timeout (a queue is stuck), skb:kfree_skb (a packet is dropped).
 * Minimum kernel: 5.8; reasons of drops: 5.17.
 * Cost: once per packet received, twice per packet sent, where packet means
 * what the stack handles at once: up to 64 KB with segmentation offload.
 */
#include "compat.bpf.h"
#include "drop_reason.bpf.h"
#include "table.bpf.h"

const volatile bool enabled_network_interfaces = true;
const volatile bool enabled_network_drop_reasons = true;

enum direction { DIRECTION_RECEIVE, DIRECTION_TRANSMIT, DIRECTIONS };

struct totals {
	u64 bytes[DIRECTIONS];
	u64 packets[DIRECTIONS];
	u64 transmit_complete;
	u64 transmit_busy;
	u64 transmit_timeout;
	u64 drop;
	u64 drop_reasons[DROP_REASONS];
} CACHE_LINE;
TABLE(totals, struct totals);

/* include/linux/skbuff.h, unchanged since 4.x */
#define SKB_GSO_TCPV4  (1 << 0)
#define SKB_GSO_TCPV6  (1 << 4)
#define HEADER_NOT_SET 0xffff
#define UDP_HEADER     8

/* include/linux/netdevice.h: the driver did not take the packet. */
#define NETDEV_TX_BUSY 0x10

/* A field by the means that the kind of program has. */
#define READ(trusted, pointer, field) ((trusted) ? (pointer)->field : BPF_CORE_READ(pointer, field))

/* Kernel 6.2 and later: makes an address one that may be read directly. */
extern void *bpf_rdonly_cast(const void *obj, u32 btf_id) __ksym __weak;

/* Of every packet, hence by the cheapest means there is. */
static __always_inline u32 gso_size(struct skb_shared_info *shared, bool trusted)
{
	u32 type = bpf_core_type_id_kernel(struct skb_shared_info);

	if (trusted && bpf_ksym_exists(bpf_rdonly_cast))
		return ((struct skb_shared_info *)bpf_rdonly_cast(shared, type))->gso_size;
	return BPF_CORE_READ(shared, gso_size);
}

/*
 * The headers that segmentation repeats in every packet: from `start`, where
 * the frame starts, to the end of TCP's or UDP's. 0 if that cannot be told.
 */
static __always_inline u32 header_length(struct sk_buff *skb, struct skb_shared_info *shared,
					 u64 head, u32 start)
{
	u32 transport = BPF_CORE_READ(skb, transport_header);
	u8 data_offset;

	if (BPF_CORE_READ_BITFIELD_PROBED(skb, encapsulation))
		transport = BPF_CORE_READ(skb, inner_transport_header);
	if (transport == HEADER_NOT_SET || transport < start)
		return 0;
	if (!(BPF_CORE_READ(shared, gso_type) & (SKB_GSO_TCPV4 | SKB_GSO_TCPV6)))
		return transport - start + UDP_HEADER;
	if (bpf_probe_read_kernel(&data_offset, 1, (void *)(head + transport + 12)))
		return 0;
	return transport - start + (data_offset >> 4) * 4;
}

/*
 * Counts whole frames, from the link-layer header on. A packet that stands for
 * several (GRO, GSO) counts as those, headers repeated: what is on the wire.
 */
static __always_inline int on_packet(struct sk_buff *skb, enum direction direction, bool trusted)
{
	u64 head = (u64)READ(trusted, skb, head), bytes = READ(trusted, skb, len);
	u32 data = (u64)READ(trusted, skb, data) - head, start = data;
	struct skb_shared_info *shared = (void *)(head + READ(trusted, skb, end));
	struct totals *row = row_at(totals, bank());
	u32 segment = gso_size(shared, trusted), packets = 1;

	if (!row)
		return 0;
	if (direction == DIRECTION_RECEIVE) {
		/* The driver has already taken the link-layer header off. */
		start = READ(trusted, skb, mac_header);
		if (start > data) /* there is none; then it is HEADER_NOT_SET */
			start = data;
		bytes += data - start;
	}
	if (segment) {
		u32 headers = header_length(skb, shared, head, start);

		packets = BPF_CORE_READ(shared, gso_segs);
		if (!packets) /* by a hypervisor or tap device, which leaves it to us */
			packets = (bytes - headers + segment - 1) / segment;
		if (packets > 1)
			bytes += (u64)(packets - 1) * headers;
	}
	add(&row->packets[direction], packets);
	add(&row->bytes[direction], bytes);
	return 0;
}

static __always_inline int on_transmitted(int status)
{
	struct totals *row = row_at(totals, bank());

	if (!row)
		return 0;
	if (status == NETDEV_TX_BUSY)
		add(&row->transmit_busy, 1);
	else
		add(&row->transmit_complete, 1);
	return 0;
}

static __always_inline int on_timeout(void)
{
	struct totals *row = row_at(totals, bank());

	if (row)
		add(&row->transmit_timeout, 1);
	return 0;
}

static __always_inline int on_drop(u64 *ctx)
{
	u64 reason = DROP_REASON_NOT_SPECIFIED;
	struct totals *row = row_at(totals, bank());

	if (!row)
		return 0;
	if (kernel_has_drop_reasons())
		reason = drop_reason_of(ctx[2]);
	if (reason == NO_DROP)
		return 0;
	if (enabled_network_interfaces)
		add(&row->drop, 1);
	barrier_var(reason); /* or the compiler checks one copy and uses another */
	if (enabled_network_drop_reasons && reason < DROP_REASONS)
		add(&row->drop_reasons[reason], 1);
	return 0;
}

SEC("tp_btf/netif_receive_skb")
int receive_btf(u64 *ctx)
{
	return on_packet((struct sk_buff *)ctx[0], DIRECTION_RECEIVE, true);
}

SEC("raw_tp/netif_receive_skb")
int receive_raw(u64 *ctx)
{
	return on_packet((struct sk_buff *)ctx[0], DIRECTION_RECEIVE, false);
}

SEC("tp_btf/net_dev_start_xmit")
int transmit_btf(u64 *ctx)
{
	return on_packet((struct sk_buff *)ctx[0], DIRECTION_TRANSMIT, true);
}

SEC("raw_tp/net_dev_start_xmit")
int transmit_raw(u64 *ctx)
{
	return on_packet((struct sk_buff *)ctx[0], DIRECTION_TRANSMIT, false);
}

SEC("tp_btf/net_dev_xmit")
int transmitted_btf(u64 *ctx)
{
	return on_transmitted(ctx[1]);
}

SEC("raw_tp/net_dev_xmit")
int transmitted_raw(u64 *ctx)
{
	return on_transmitted(ctx[1]);
}

SEC("tp_btf/net_dev_xmit_timeout")
int timeout_btf(u64 *ctx)
{
	return on_timeout();
}

SEC("raw_tp/net_dev_xmit_timeout")
int timeout_raw(u64 *ctx)
{
	return on_timeout();
}

SEC("tp_btf/kfree_skb")
int drop_btf(u64 *ctx)
{
	return on_drop(ctx);
}

SEC("raw_tp/kfree_skb")
int drop_raw(u64 *ctx)
{
	return on_drop(ctx);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
