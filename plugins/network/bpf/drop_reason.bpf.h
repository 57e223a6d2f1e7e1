/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Why the kernel dropped a packet, numbered by us.
 *
 * The kernel numbers its reasons anew in nearly every release (NO_SOCKET is 2
 * in 6.1 and 3 in 6.12), so they are known by name only: CO-RE supplies this
 * kernel's number of each name, or says that it has none. Reasons that are not
 * in the list, among them those of subsystems with numbers of their own
 * (mac80211, Open vSwitch), are "other".
 */
#ifndef REZOLUS_DROP_REASON_BPF_H
#define REZOLUS_DROP_REASON_BPF_H

#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

/* clang-format off */
#define EACH_DROP_REASON(X) \
	X(NO_SOCKET) X(SOCKET_CLOSE) X(SOCKET_FILTER) X(SOCKET_RCVBUFF) \
	X(UNIX_DISCONNECT) X(PKT_TOO_SMALL) X(TCP_CSUM) X(UDP_CSUM) \
	X(NETFILTER_DROP) X(OTHERHOST) X(IP_CSUM) X(IP_INHDR) X(IP_RPFILTER) \
	X(UNICAST_IN_L2_MULTICAST) X(XFRM_POLICY) X(IP_NOPROTO) X(PROTO_MEM) \
	X(TCP_AUTH_HDR) X(TCP_MD5NOTFOUND) X(TCP_MD5UNEXPECTED) \
	X(TCP_MD5FAILURE) X(SOCKET_BACKLOG) X(TCP_FLAGS) X(TCP_ABORT_ON_DATA) \
	X(TCP_ZEROWINDOW) X(TCP_OLD_DATA) X(TCP_OVERWINDOW) X(TCP_OFOMERGE) \
	X(TCP_RFC7323_PAWS) X(TCP_RFC7323_PAWS_ACK) X(TCP_RFC7323_TW_PAWS) \
	X(TCP_RFC7323_TSECR) X(TCP_LISTEN_OVERFLOW) X(TCP_OLD_SEQUENCE) \
	X(TCP_INVALID_SEQUENCE) X(TCP_INVALID_END_SEQUENCE) \
	X(TCP_INVALID_ACK_SEQUENCE) X(TCP_RESET) X(TCP_INVALID_SYN) \
	X(TCP_CLOSE) X(TCP_FASTOPEN) X(TCP_OLD_ACK) X(TCP_TOO_OLD_ACK) \
	X(TCP_ACK_UNSENT_DATA) X(TCP_OFO_QUEUE_PRUNE) X(TCP_OFO_DROP) \
	X(IP_OUTNOROUTES) X(BPF_CGROUP_EGRESS) X(IPV6DISABLED) \
	X(NEIGH_CREATEFAIL) X(NEIGH_FAILED) X(NEIGH_QUEUEFULL) X(NEIGH_DEAD) \
	X(NEIGH_HH_FILLFAIL) X(TC_EGRESS) X(SECURITY_HOOK) X(QDISC_DROP) \
	X(QDISC_OVERLIMIT) X(QDISC_CONGESTED) X(CPU_BACKLOG) X(XDP) \
	X(TC_INGRESS) X(UNHANDLED_PROTO) X(SKB_CSUM) X(SKB_GSO_SEG) \
	X(SKB_UCOPY_FAULT) X(DEV_HDR) X(DEV_READY) X(FULL_RING) X(NOMEM) \
	X(HDR_TRUNC) X(ICMP_CSUM) X(INVALID_PROTO) X(IP_INADDRERRORS) \
	X(IP_INNOROUTES) X(IP_LOCAL_SOURCE) X(IP_INVALID_SOURCE) X(IP_LOCALNET) \
	X(IP_INVALID_DEST) X(PKT_TOO_BIG) X(FRAG_REASM_TIMEOUT) X(QUEUE_PURGE) \
	X(PFMEMALLOC) X(RECURSION_LIMIT)
/* clang-format on */

/* The kernel's names. The numbers here mean nothing. */
#define X(name) SKB_DROP_REASON_##name,
enum skb_drop_reason {
	SKB_NOT_DROPPED_YET,
	SKB_CONSUMED,
	SKB_DROP_REASON_NOT_SPECIFIED,
	EACH_DROP_REASON(X)
};
#undef X

/* The host matches these to [values] drop_reason in plugin.toml. */
#define X(name) DROP_REASON_##name,
enum drop_reason { DROP_REASON_OTHER, DROP_REASON_NOT_SPECIFIED, EACH_DROP_REASON(X) DROP_REASONS };
#undef X

/* Puts the enum, which nothing else names as a type, into the object's BTF. */
const volatile enum drop_reason drop_reason_type = DROP_REASON_OTHER;

/* What a packet's end was if it was no drop. */
#define NO_DROP (DROP_REASONS + 1)

/* By the kernel's number: ours plus one; 0 as long as it has not occurred. */
u8 known_reasons[256];

/* Since 5.17 the tracepoint kfree_skb says why. */
static __always_inline bool kernel_has_drop_reasons(void)
{
	return bpf_core_type_exists(enum skb_drop_reason);
}

#define KERNEL_HAS(name)   bpf_core_enum_value_exists(enum skb_drop_reason, name)
#define KERNEL_VALUE(name) bpf_core_enum_value(enum skb_drop_reason, name)

/* Runs once per reason, not per packet. */
static __noinline u32 find_drop_reason(u32 number)
{
	if (KERNEL_HAS(SKB_NOT_DROPPED_YET) && number == KERNEL_VALUE(SKB_NOT_DROPPED_YET))
		return NO_DROP;
	if (KERNEL_HAS(SKB_CONSUMED) && number == KERNEL_VALUE(SKB_CONSUMED))
		return NO_DROP;
	if (KERNEL_HAS(SKB_DROP_REASON_NOT_SPECIFIED) &&
	    number == KERNEL_VALUE(SKB_DROP_REASON_NOT_SPECIFIED))
		return DROP_REASON_NOT_SPECIFIED;
#define X(name)                                                                                    \
	if (KERNEL_HAS(SKB_DROP_REASON_##name) && number == KERNEL_VALUE(SKB_DROP_REASON_##name))  \
		return DROP_REASON_##name;
	EACH_DROP_REASON(X)
#undef X
	return DROP_REASON_OTHER;
}

/* Our number for the kernel's: an enum drop_reason, or NO_DROP. */
static __always_inline u32 drop_reason_of(u32 number)
{
	u32 reason;

	if (number >= sizeof(known_reasons))
		return DROP_REASON_OTHER;
	reason = known_reasons[number];
	if (!reason) {
		reason = find_drop_reason(number) + 1;
		known_reasons[number] = reason;
	}
	return reason - 1;
}

#endif
