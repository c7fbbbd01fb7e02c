/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shortcut between proxies of one node: what one sends is put into the other's queue, without TCP between them. Both ends of a connection
 * are known by its first sequence numbers, which nobody else's connection has. While the other end does not read what it has, TCP with its
 * window takes over; and a direction that went by TCP is short again only when all of that has been read, so that nothing overtakes anything.
 */
#ifndef WEFT_SHORTCUT_H
#define WEFT_SHORTCUT_H

/* Bytes that wait at the other end, from which on TCP takes over. */
#define MOST_UNREAD (256 * 1024)

enum end { CALLER, CALLED };

struct flow_key {
	__u32 caller; /* first sequence numbers */
	__u32 called;
	__u32 ports;
	__u32 end;
};

enum way { CANDIDATE, SHORT, TCP };

struct flow {
	struct flow_key peer;
	__u64 place; /* of the socket itself */
	__u32 way;
	__u32 unused;
};

struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 65536);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct flow_key);
	__type(value, __u64);
} weft_sockets SEC(".maps");

/* Where the kernel keeps a socket, for a look at what it has not read. Closed ones are removed; the bound is for bursts. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct flow_key);
	__type(value, __u64);
} weft_places SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, int);
	__type(value, struct flow);
} weft_flows SEC(".maps");

/* Addresses of Pods of this node whose proxies take shortcuts. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct address);
	__type(value, __u8);
} weft_near SEC(".maps");

/* The part of the kernel's socket that is read. */
struct sock {
	struct {
		struct {
			int counter;
		} rmem_alloc;
	} sk_backlog;
} __attribute__((preserve_access_index));

struct tcp_sock {
	__u32 snd_una;
	__u32 write_seq;
	__u32 rcv_nxt;
	__u32 copied_seq;
} __attribute__((preserve_access_index));

#define READ(place, type, member)                                                                            \
	({                                                                                                   \
		__u32 _value = 0;                                                                            \
		struct type *_from = (struct type *)(place);                                                 \
		bpf_probe_read_kernel(&_value, sizeof(_value), __builtin_preserve_access_index(&_from->member)); \
		_value;                                                                                      \
	})

static __always_inline int is_near(const struct address *address)
{
	return bpf_map_lookup_elem(&weft_near, address) != 0;
}

/* A proxy calls another of the node: its connection may be short. */
static __always_inline void may_be_short(struct bpf_sock_addr *ctx, const struct pod *pod, const struct address *to)
{
	if (!(pod->flags & SHORTCUT) || !ctx->sk || ctx->type != SOCK_STREAM || !is_near(to)) return;
	/* Its own application has no proxy before it. */
	if (has_range(pod->rules, OWN, to)) return;
	bpf_sk_storage_get(&weft_flows, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
}

static __always_inline struct flow_key key_of(struct bpf_sock_ops *ctx, enum end end)
{
	__u32 sent = ctx->snd_nxt, received = ctx->rcv_nxt;
	__u32 own = ctx->local_port, other = bpf_ntohl(ctx->remote_port);
	if (end == CALLER) return (struct flow_key){ sent, received, own << 16 | other, end };
	return (struct flow_key){ received, sent, other << 16 | own, end };
}

/* A connection of a proxy is open: from now on it may be short, where its other end is here too. */
static __always_inline void enrol(struct bpf_sock_ops *ctx, struct bpf_sock *socket, struct flow *flow, enum end end)
{
	struct tcp_sock *place = bpf_skc_to_tcp_sock(socket);
	if (!place || flow->way != CANDIDATE) return;
	struct flow_key key = key_of(ctx, end);
	__u64 address = (__u64)place;
	flow->peer = key;
	flow->place = address;
	flow->peer.end = end == CALLER ? CALLED : CALLER;
	if (bpf_sock_hash_update(ctx, &weft_sockets, &key, BPF_NOEXIST) != 0) return;
	bpf_map_update_elem(&weft_places, &key, &address, BPF_ANY);
	flow->way = SHORT;
	bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
}

static __always_inline void end_flow(struct bpf_sock *socket)
{
	struct flow *flow = bpf_sk_storage_get(&weft_flows, socket, 0, 0);
	if (!flow || flow->way == CANDIDATE) return;
	struct flow_key key = flow->peer;
	key.end = key.end == CALLER ? CALLED : CALLER;
	bpf_map_delete_elem(&weft_places, &key);
}

/* Whether the other end has read all that went by TCP. */
static __always_inline int all_is_read(__u64 own, __u64 peer)
{
	if (READ(own, tcp_sock, snd_una) != READ(own, tcp_sock, write_seq)) return 0;
	return READ(peer, tcp_sock, copied_seq) == READ(peer, tcp_sock, rcv_nxt);
}

SEC("sk_msg")
int weft_shortcut(struct sk_msg_md *msg)
{
	if (!msg->sk) return SK_PASS;
	struct flow *flow = bpf_sk_storage_get(&weft_flows, msg->sk, 0, 0);
	if (!flow || flow->way == CANDIDATE) return SK_PASS;
	__u64 *peer = bpf_map_lookup_elem(&weft_places, &flow->peer);
	if (peer && READ(*peer, sock, sk_backlog.rmem_alloc.counter) < MOST_UNREAD &&
	    (flow->way == SHORT || all_is_read(flow->place, *peer)) &&
	    bpf_msg_redirect_hash(msg, &weft_sockets, &flow->peer, BPF_F_INGRESS) == SK_PASS) {
		flow->way = SHORT;
		return SK_PASS;
	}
	flow->way = TCP;
	return SK_PASS;
}

#endif
