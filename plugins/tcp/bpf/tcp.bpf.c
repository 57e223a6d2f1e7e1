/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * TCP in all network namespaces: payload, connections, resets, losses, and
 * what applications and peers wait for.
 *
 * Hooks: tcp:tcp_probe (a segment arrives at an established connection),
 * tcp_rcv_space_adjust (an application has read), tcp_retransmit_skb,
 * tcp_retransmit_synack, tcp_send_reset, tcp_receive_reset,
 * sock:inet_sock_set_state, sock_send_length and sock_recv_length; for these
 * two, which are there since 6.3 only, alternatives in transfer.bpf.h.
 * Minimum kernel: 5.8. Cost: once per segment received (GRO: per train of
 * segments) and once per send and receive call of any kind of socket.
 */
#include "compat.bpf.h"
#include "histogram.bpf.h"
#define __VMLINUX_H__ /* bpf_tracing.h: kernel.h names registers as the kernel does */
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

const volatile bool enabled_tcp_state = true;
const volatile bool enabled_tcp_connect_latency = true;
const volatile bool enabled_tcp_packet_latency = true;
const volatile bool enabled_tcp_receive = true;

enum direction { DIRECTION_RECEIVE, DIRECTION_TRANSMIT, DIRECTIONS };
enum kind { KIND_ACTIVE, KIND_PASSIVE, KINDS };

/* As the kernel numbers them: include/net/tcp_states.h, part of its ABI. */
enum state {
	STATE_ESTABLISHED = 1,
	STATE_SYN_SENT,
	STATE_SYN_RECV,
	STATE_FIN_WAIT1,
	STATE_FIN_WAIT2,
	/* 6, TIME_WAIT: entered by a stand-in for the socket, which no hook sees */
	STATE_CLOSE = 7,
	STATE_CLOSE_WAIT,
	STATE_LAST_ACK,
	STATE_LISTEN,
	STATE_CLOSING,
	STATES
};
/* Puts the enum, which nothing else names as a type, into the object's BTF. */
const volatile enum state state_type = STATE_CLOSE;

struct totals {
	u64 bytes[DIRECTIONS];
	u64 packets[DIRECTIONS];
	u64 connections[KINDS];
	u64 connect_failed;
	u64 connect_unseen;
	u64 packet_unseen;
	u64 states[STATES];
	u64 reset_sent;
	u64 reset_received;
	u64 retransmit;
	u64 synack_retransmit;
	struct histogram size[DIRECTIONS];
	struct histogram connect_latency;
	struct histogram packet_latency;
	struct histogram srtt;
	struct histogram jitter;
} CACHE_LINE;
TABLE(totals, struct totals);

#define AF_INET	    2
#define AF_INET6    10
#define IPPROTO_TCP 6

/* A field by the means that the kind of program has. */
#define READ(trusted, pointer, field) ((trusted) ? (pointer)->field : BPF_CORE_READ(pointer, field))

/*
 * The TCP socket behind a sock. In a BTF program a cast would not do: the
 * verifier knows the size of struct sock. NULL if it is not a full TCP socket.
 */
static __always_inline struct tcp_sock *tcp_sock_of(struct sock *sk, bool trusted)
{
	return trusted ? bpf_skc_to_tcp_sock(sk) : (struct tcp_sock *)sk;
}

#include "connection.bpf.h"
#include "segment.bpf.h"
#include "transfer.bpf.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";
