// SPDX-License-Identifier: Apache-2.0
/*
 * Leads Pods' connections through their proxies without iptables. Attached once, at the root of cgroup2; Pods are told by their
 * network namespaces' cookies, and what belongs to no hijacked Pod passes at the price of one look-up.
 *
 * Outbound: connect() goes to the proxy's outbound listener; where it was to go is kept with the socket, put down by its source address
 * when the connection begins, and answered to the proxy as SO_ORIGINAL_DST. Inbound: sk_lookup, in a program of the namespace's
 * own, gives connections from elsewhere to the proxy's inbound listener with their addresses untouched. The rules and their order
 * are those of src/runtime/capture.ts.
 */
#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/types.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "hijack.h"

#define AF_INET 2
#define AF_INET6 10
#define SOL_IP 0
#define SOL_IPV6 41
#define SO_ORIGINAL_DST 80
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define TCP_CLOSE 7
#define PASS 1
#define DNS 53

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u64);
	__type(value, struct pod);
} weft_pods SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct port_key);
	__type(value, __u8);
} weft_ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct range_key);
	__type(value, __u8);
} weft_ranges SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct interface_key);
	__type(value, __u8);
} weft_interfaces SEC(".maps");

/* Tells the version of the programs. A map that is pinned is taken over only where it has as many entries. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LAYOUT);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, __u64);
} weft_version SEC(".maps");

/* Where a socket was to be connected to. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, int);
	__type(value, struct endpoint);
} weft_asked SEC(".maps");

/* The same by the connection's source, for the proxy, which has the other end. Those that closed are removed; the bound is for bursts. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 131072);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct origin_key);
	__type(value, struct endpoint);
} weft_origins SEC(".maps");

/* Sockets that a proxy bound to its inbound port, and those that these accept. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, int);
	__type(value, __u8);
} weft_bound SEC(".maps");

/* Proxies' inbound listeners. One of several that share a port stands for all. */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 8192);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct listener_key);
	__type(value, __u64);
} weft_listeners SEC(".maps");

static __always_inline struct address mapped(__u32 ip4)
{
	return (struct address){ { 0, 0, bpf_htonl(0xffff), ip4 } };
}

/* All of a context's addresses are read before one is chosen: the verifier wants constant offsets, which compilers merge away. */
#define EITHER(four, ip4, ip6)                                                          \
	({                                                                              \
		__u32 _four = (ip4), _a = (ip6)[0], _b = (ip6)[1], _c = (ip6)[2], _d = (ip6)[3]; \
		asm volatile("" : "+r"(_four), "+r"(_a), "+r"(_b), "+r"(_c), "+r"(_d));   \
		(four) ? mapped(_four) : (struct address){ { _a, _b, _c, _d } };          \
	})

static __always_inline int is_mapped(const struct address *address)
{
	return address->words[0] == 0 && address->words[1] == 0 && address->words[2] == bpf_htonl(0xffff);
}

static __always_inline int is_same(const struct address *one, const struct address *other)
{
	return one->words[0] == other->words[0] && one->words[1] == other->words[1] && one->words[2] == other->words[2] &&
	       one->words[3] == other->words[3];
}

static __always_inline int is_set(const struct address *address)
{
	return address->words[0] | address->words[1] | address->words[2] | address->words[3];
}

/* 127.0.0.1 and ::1. */
static __always_inline int is_localhost(const struct address *address)
{
	if (is_mapped(address)) return address->words[3] == bpf_htonl(INADDR_LOOPBACK);
	return address->words[0] == 0 && address->words[1] == 0 && address->words[2] == 0 &&
	       address->words[3] == bpf_htonl(1);
}

/* What an inbound connection comes from when the proxy passes it on: 127.0.0.6 and ::6. */
static __always_inline int is_passthrough(const struct address *address)
{
	if (is_mapped(address)) return address->words[3] == bpf_htonl(0x7f000006);
	return address->words[0] == 0 && address->words[1] == 0 && address->words[2] == 0 &&
	       address->words[3] == bpf_htonl(6);
}

static __always_inline int has_port(__u64 rules, __u32 purpose, __u32 port)
{
	struct port_key key = { .rules = rules, .purpose = purpose, .port = port };
	return bpf_map_lookup_elem(&weft_ports, &key) != 0;
}

static __always_inline int has_range(__u64 rules, __u32 purpose, const struct address *address)
{
	struct range_key key = {
		.prefix = RANGE_FIXED_BITS + 128, .purpose = purpose, .rules = rules, .address = *address
	};
	return bpf_map_lookup_elem(&weft_ranges, &key) != 0;
}

#include "shortcut.h"

static __always_inline int has_interface(__u64 rules, __u32 index)
{
	struct interface_key key = { .rules = rules, .index = index };
	return bpf_map_lookup_elem(&weft_interfaces, &key) != 0;
}

static __always_inline int is_proxy(const struct pod *pod)
{
	__u64 both = bpf_get_current_uid_gid();
	return (__u32)both == pod->proxy_id || (__u32)(both >> 32) == pod->proxy_id;
}

/* What becomes of a connection. */
enum verdict { LEAVE, TO_OUTBOUND, TO_INBOUND, TO_DNS };

static __always_inline enum verdict judge(struct bpf_sock_addr *ctx, const struct pod *pod, const struct endpoint *to,
					   const struct address *source)
{
	__u64 rules = pod->rules;
	int tcp = ctx->type == SOCK_STREAM;
	if (has_port(rules, OUTBOUND_EXCLUDED, to->port)) return LEAVE;
	struct bpf_sock *socket = ctx->sk;
	if (socket && socket->bound_dev_if && has_interface(rules, socket->bound_dev_if)) return LEAVE;
	int own = has_range(rules, OWN, &to->address);
	if (own && is_passthrough(source)) return LEAVE;
	int dns = pod->dns_port && to->port == DNS;
	if (is_proxy(pod)) {
		if (tcp && own && !is_localhost(&to->address) && to->port != pod->tunnel_port && !dns) return TO_INBOUND;
		return LEAVE;
	}
	if (own && !(pod->flags & CALLS_ITSELF) && !(dns && tcp)) return LEAVE;
	if (dns && has_range(rules, NAME_SERVER, &to->address)) return TO_DNS;
	if (!tcp || is_localhost(&to->address) || has_range(rules, OUTBOUND_EXCLUDED, &to->address)) return LEAVE;
	if (pod->flags & OUTBOUND_ALL || has_port(rules, OUTBOUND_INCLUDED, to->port) ||
	    has_range(rules, OUTBOUND_INCLUDED, &to->address))
		return TO_OUTBOUND;
	return LEAVE;
}

/* Where a verdict leads; a port of zero where nothing listens for the family. */
static __always_inline struct endpoint target(enum verdict verdict, const struct pod *pod, const struct endpoint *to)
{
	struct endpoint there = { .address = to->address };
	int four = is_mapped(&to->address);
	switch (verdict) {
	case TO_OUTBOUND:
		there.address = four ? pod->address4 : pod->address6;
		there.port = is_set(&there.address) ? pod->outbound_port : 0;
		break;
	case TO_INBOUND:
		there.port = pod->inbound_port;
		break;
	case TO_DNS:
		if (four) there.address = mapped(bpf_htonl(INADDR_LOOPBACK));
		else there.address = (struct address){ { 0, 0, 0, bpf_htonl(1) } };
		there.port = pod->dns_port;
		break;
	default:
		break;
	}
	return there;
}

/* Leads one connection, or one message, elsewhere and keeps where it was to go. */
static __always_inline int lead(struct bpf_sock_addr *ctx, struct endpoint *to, const struct address *source)
{
	__u64 cookie = bpf_get_netns_cookie(ctx);
	struct pod *pod = bpf_map_lookup_elem(&weft_pods, &cookie);
	if (!pod) return 0;
	enum verdict verdict = pod->flags & LEAVING ? LEAVE : judge(ctx, pod, to, source);
	if (verdict == LEAVE) {
		if (ctx->sk) bpf_sk_storage_delete(&weft_asked, ctx->sk);
		if (is_proxy(pod)) may_be_short(ctx, pod, &to->address);
		return 0;
	}
	struct endpoint there = target(verdict, pod, to);
	if (there.port == 0 || !ctx->sk) return 0;
	struct endpoint *asked = bpf_sk_storage_get(&weft_asked, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!asked) return -1;
	*asked = *to;
	*to = there;
	return 1;
}

static __always_inline int connect_to(struct bpf_sock_addr *ctx, int six)
{
	if (ctx->protocol != IPPROTO_TCP && ctx->protocol != IPPROTO_UDP) return PASS;
	struct endpoint to = { .port = bpf_ntohs(ctx->user_port) };
	struct address source = {};
	if (six) {
		to.address.words[0] = ctx->user_ip6[0];
		to.address.words[1] = ctx->user_ip6[1];
		to.address.words[2] = ctx->user_ip6[2];
		to.address.words[3] = ctx->user_ip6[3];
		if (ctx->sk) {
			source.words[0] = ctx->sk->src_ip6[0];
			source.words[1] = ctx->sk->src_ip6[1];
			source.words[2] = ctx->sk->src_ip6[2];
			source.words[3] = ctx->sk->src_ip6[3];
		}
	} else {
		to.address = mapped(ctx->user_ip4);
		if (ctx->sk) source = mapped(ctx->sk->src_ip4);
	}
	int led = lead(ctx, &to, &source);
	/* Rather no connection than one past the proxy. */
	if (led < 0) return 0;
	if (led == 0) return PASS;
	ctx->user_port = bpf_htons(to.port);
	if (six) {
		ctx->user_ip6[0] = to.address.words[0];
		ctx->user_ip6[1] = to.address.words[1];
		ctx->user_ip6[2] = to.address.words[2];
		ctx->user_ip6[3] = to.address.words[3];
	} else {
		ctx->user_ip4 = to.address.words[3];
	}
	return PASS;
}

SEC("cgroup/connect4")
int weft_connect4(struct bpf_sock_addr *ctx)
{
	return connect_to(ctx, 0);
}

SEC("cgroup/connect6")
int weft_connect6(struct bpf_sock_addr *ctx)
{
	return connect_to(ctx, 1);
}

/* Messages of sockets that are not connected: DNS alone. */
SEC("cgroup/sendmsg4")
int weft_sendmsg4(struct bpf_sock_addr *ctx)
{
	return ctx->user_port == bpf_htons(DNS) ? connect_to(ctx, 0) : PASS;
}

SEC("cgroup/sendmsg6")
int weft_sendmsg6(struct bpf_sock_addr *ctx)
{
	return ctx->user_port == bpf_htons(DNS) ? connect_to(ctx, 1) : PASS;
}

/* Shows the application the peer that it asked for. */
static __always_inline int show_asked(struct bpf_sock_addr *ctx, int six)
{
	if (!ctx->sk) return PASS;
	struct endpoint *asked = bpf_sk_storage_get(&weft_asked, ctx->sk, 0, 0);
	if (!asked) return PASS;
	ctx->user_port = bpf_htons(asked->port);
	if (six) {
		ctx->user_ip6[0] = asked->address.words[0];
		ctx->user_ip6[1] = asked->address.words[1];
		ctx->user_ip6[2] = asked->address.words[2];
		ctx->user_ip6[3] = asked->address.words[3];
	} else {
		ctx->user_ip4 = asked->address.words[3];
	}
	return PASS;
}

SEC("cgroup/getpeername4")
int weft_getpeername4(struct bpf_sock_addr *ctx)
{
	return show_asked(ctx, 0);
}

SEC("cgroup/getpeername6")
int weft_getpeername6(struct bpf_sock_addr *ctx)
{
	return show_asked(ctx, 1);
}

/* An answer of the agent's DNS server seems to come from the server that was asked. */
static __always_inline int answer_of(struct bpf_sock_addr *ctx, int six)
{
	__u64 cookie = bpf_get_netns_cookie(ctx);
	struct pod *pod = bpf_map_lookup_elem(&weft_pods, &cookie);
	if (!pod || !pod->dns_port || bpf_ntohs(ctx->user_port) != pod->dns_port) return PASS;
	return show_asked(ctx, six);
}

SEC("cgroup/recvmsg4")
int weft_recvmsg4(struct bpf_sock_addr *ctx)
{
	return answer_of(ctx, 0);
}

SEC("cgroup/recvmsg6")
int weft_recvmsg6(struct bpf_sock_addr *ctx)
{
	return answer_of(ctx, 1);
}

/* A socket that the proxy binds to its inbound port may become its listener. */
static __always_inline int bound(struct bpf_sock *ctx)
{
	__u64 cookie = bpf_get_netns_cookie(ctx);
	struct pod *pod = bpf_map_lookup_elem(&weft_pods, &cookie);
	if (!pod || ctx->protocol != IPPROTO_TCP || ctx->src_port != pod->inbound_port || !is_proxy(pod)) return PASS;
	bpf_sk_storage_get(&weft_bound, ctx, 0, BPF_SK_STORAGE_GET_F_CREATE);
	return PASS;
}

SEC("cgroup/post_bind4")
int weft_post_bind4(struct bpf_sock *ctx)
{
	return bound(ctx);
}

SEC("cgroup/post_bind6")
int weft_post_bind6(struct bpf_sock *ctx)
{
	return bound(ctx);
}

static __always_inline struct origin_key source_of(struct bpf_sock_ops *ctx)
{
	return (struct origin_key){
		.cookie = bpf_get_netns_cookie(ctx),
		.source.address = EITHER(ctx->family == AF_INET, ctx->local_ip4, ctx->local_ip6),
		.source.port = ctx->local_port,
	};
}

/* A proxy has a connection of another of the node. */
static __always_inline void accepted(struct bpf_sock_ops *ctx, struct bpf_sock *socket)
{
	if (!bpf_sk_storage_get(&weft_bound, socket, 0, 0)) return;
	__u64 cookie = bpf_get_netns_cookie(ctx);
	struct pod *pod = bpf_map_lookup_elem(&weft_pods, &cookie);
	if (!pod || !(pod->flags & SHORTCUT)) return;
	struct address remote = EITHER(ctx->family == AF_INET, ctx->remote_ip4, ctx->remote_ip6);
	if (!is_near(&remote)) return;
	struct flow *flow = bpf_sk_storage_get(&weft_flows, socket, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (flow) enrol(ctx, socket, flow, CALLED);
}

SEC("sockops")
int weft_sockops(struct bpf_sock_ops *ctx)
{
	struct bpf_sock *socket = ctx->sk;
	if (!socket) return 0;
	switch (ctx->op) {
	case BPF_SOCK_OPS_TCP_CONNECT_CB: {
		struct endpoint *asked = bpf_sk_storage_get(&weft_asked, socket, 0, 0);
		if (!asked) return 0;
		struct origin_key key = source_of(ctx);
		struct endpoint origin = *asked;
		bpf_map_update_elem(&weft_origins, &key, &origin, BPF_ANY);
		bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
		return 0;
	}
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB: {
		struct flow *flow = bpf_sk_storage_get(&weft_flows, socket, 0, 0);
		if (flow) enrol(ctx, socket, flow, CALLER);
		return 0;
	}
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		accepted(ctx, socket);
		return 0;
	case BPF_SOCK_OPS_STATE_CB: {
		if (ctx->args[1] == TCP_CLOSE) end_flow(socket);
		if (ctx->args[1] != TCP_CLOSE || !bpf_sk_storage_get(&weft_asked, socket, 0, 0)) return 0;
		struct origin_key key = source_of(ctx);
		bpf_map_delete_elem(&weft_origins, &key);
		return 0;
	}
	case BPF_SOCK_OPS_TCP_LISTEN_CB: {
		if (!bpf_sk_storage_get(&weft_bound, socket, 0, 0)) return 0;
		struct listener_key key = { .cookie = bpf_get_netns_cookie(ctx), .family = ctx->family };
		bpf_sock_hash_update(ctx, &weft_listeners, &key, BPF_ANY);
		return 0;
	}
	default:
		return 0;
	}
}

struct in4 {
	__u16 family;
	__u16 port;
	__u32 address;
	__u8 zero[8];
};

struct in6 {
	__u16 family;
	__u16 port;
	__u32 flow;
	__u32 address[4];
	__u32 scope;
};

/*
 * Where the connection that a proxy accepted was to go; zero where that is not ours to say. What was put down here goes before the
 * kernel's own answer: where rules of iptables have connections tracked too, that one is where the connection was led.
 */
static __always_inline int original(struct bpf_sockopt *ctx, struct endpoint *to)
{
	struct bpf_sock *socket = ctx->sk;
	if (!socket || socket->protocol != IPPROTO_TCP) return 0;
	struct origin_key key = { .cookie = bpf_get_netns_cookie(ctx) };
	struct pod *pod = bpf_map_lookup_elem(&weft_pods, &key.cookie);
	if (!pod || !is_proxy(pod)) return 0;
	int four = socket->family == AF_INET;
	struct address local = EITHER(four, socket->src_ip4, socket->src_ip6);
	key.source.address = EITHER(four, socket->dst_ip4, socket->dst_ip6);
	key.source.port = bpf_ntohs(socket->dst_port);
	struct endpoint *origin = bpf_map_lookup_elem(&weft_origins, &key);
	if (origin) {
		*to = *origin;
		return 1;
	}
	if (ctx->retval == 0) return 0;
	/* Inbound connections keep their addresses. */
	to->address = local;
	to->port = socket->src_port;
	return to->port != pod->outbound_port;
}

SEC("cgroup/getsockopt")
int weft_getsockopt(struct bpf_sockopt *ctx)
{
	if (ctx->optname != SO_ORIGINAL_DST || (ctx->level != SOL_IP && ctx->level != SOL_IPV6)) return PASS;
	struct endpoint to;
	if (!original(ctx, &to)) return PASS;
	int four = is_mapped(&to.address);
	if (ctx->level == SOL_IP && four) {
		struct in4 *answer = ctx->optval;
		if ((void *)(answer + 1) > ctx->optval_end) return PASS;
		*answer = (struct in4){ .family = AF_INET, .port = bpf_htons(to.port), .address = to.address.words[3] };
		ctx->optlen = sizeof(*answer);
	} else if (ctx->level == SOL_IPV6 && !four) {
		struct in6 *answer = ctx->optval;
		if ((void *)(answer + 1) > ctx->optval_end) return PASS;
		*answer = (struct in6){ .family = AF_INET6, .port = bpf_htons(to.port) };
		answer->address[0] = to.address.words[0];
		answer->address[1] = to.address.words[1];
		answer->address[2] = to.address.words[2];
		answer->address[3] = to.address.words[3];
		ctx->optlen = sizeof(*answer);
	} else {
		return PASS;
	}
	ctx->retval = 0;
	return PASS;
}

/* The namespace that an instance of the program below is for: sk_lookup cannot ask. */
const volatile __u64 weft_cookie = 0;

SEC("sk_lookup")
int weft_sk_lookup(struct bpf_sk_lookup *ctx)
{
	__u64 cookie = weft_cookie;
	if (ctx->protocol != IPPROTO_TCP) return SK_PASS;
	struct pod *pod = bpf_map_lookup_elem(&weft_pods, &cookie);
	if (!pod || pod->flags & (INBOUND_NONE | LEAVING)) return SK_PASS;
	struct address remote = EITHER(ctx->family == AF_INET, ctx->remote_ip4, ctx->remote_ip6);
	struct address local = EITHER(ctx->family == AF_INET, ctx->local_ip4, ctx->local_ip6);
	__u32 port = ctx->local_port;
	/*
	 * The Pod's own calls were judged when they were made. Nothing but the source tells them: the interface does not. Addresses of IPv6
	 * come and go unheard, but a call to one of one's own comes from the same; from elsewhere none would get an answer.
	 */
	if (is_same(&remote, &local) || has_range(pod->rules, OWN, &remote) || port == pod->tunnel_port) return SK_PASS;
	if (has_interface(pod->rules, ctx->ingress_ifindex) || has_range(pod->rules, LET_IN, &remote)) return SK_PASS;
	if (pod->flags & INBOUND_ALL ? has_port(pod->rules, INBOUND_EXCLUDED, port) : !has_port(pod->rules, INBOUND_INCLUDED, port))
		return SK_PASS;
	struct listener_key key = { .cookie = cookie, .family = ctx->family };
	struct bpf_sock *listener = bpf_map_lookup_elem(&weft_listeners, &key);
	if (!listener && ctx->family == AF_INET) {
		/* One of IPv6 may take both. */
		key.family = AF_INET6;
		listener = bpf_map_lookup_elem(&weft_listeners, &key);
	}
	/* Rather no connection than one past the proxy. */
	if (!listener) return SK_DROP;
	long failed = bpf_sk_assign(ctx, listener, 0);
	bpf_sk_release(listener);
	return failed ? SK_DROP : SK_PASS;
}
