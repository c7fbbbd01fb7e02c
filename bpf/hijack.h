/* SPDX-License-Identifier: Apache-2.0 */
/* What the programs in the kernel and their loader agree on. Addresses are IPv6, IPv4's mapped into it (::ffff:0:0/96). */
#ifndef WEFT_HIJACK_H
#define WEFT_HIJACK_H

#include <linux/types.h>

struct address {
	__u32 words[4]; /* network order */
};

/* What a port or a range of addresses is for. */
enum purpose {
	INBOUND_INCLUDED = 1,
	INBOUND_EXCLUDED,
	OUTBOUND_INCLUDED,
	OUTBOUND_EXCLUDED,
	OWN,	    /* addresses of the Pod itself */
	NAME_SERVER, /* whose DNS the agent answers */
	LET_IN,	    /* sources that reach the application directly: the node's probes */
};

enum flags {
	INBOUND_ALL = 1 << 0,
	INBOUND_NONE = 1 << 1,
	OUTBOUND_ALL = 1 << 2,
	CALLS_ITSELF = 1 << 3, /* the application's calls to loopback go through the proxy too */
	SHORTCUT = 1 << 5,     /* its proxy's connections to others of the node need no TCP */
	LEAVING = 1 << 4,      /* no new connections; what is asked of older ones is answered */
};

/*
 * One more whenever what is kept in maps has another meaning: programs of two layouts do not share maps, and newer ones wait until the last
 * Pod has left the older.
 */
#define LAYOUT 1

/* A Pod whose traffic is hijacked, by its network namespace's cookie. In every layout the flags are its first word. */
struct pod {
	__u32 flags;
	__u32 proxy_id; /* user and group of the proxy */
	__u64 rules; /* by which its ports, ranges and interfaces are known: new ones are complete before they take the old ones' place */
	struct address address4; /* where the proxy is reached in the Pod; zero where there is none */
	struct address address6;
	__u16 outbound_port; /* ports in host order */
	__u16 inbound_port;
	__u16 tunnel_port;
	__u16 dns_port; /* zero: DNS is left alone */
};

struct port_key {
	__u64 rules;
	__u32 purpose;
	__u32 port;
};

struct range_key {
	__u32 prefix; /* bits of what follows */
	__u32 purpose;
	__u64 rules;
	struct address address;
} __attribute__((packed, aligned(4)));

#define RANGE_FIXED_BITS 96

struct interface_key {
	__u64 rules;
	__u64 index;
};

/* Where a connection was to go, or who made it. */
struct endpoint {
	struct address address;
	__u32 port;
};

struct origin_key {
	__u64 cookie;
	struct endpoint source;
	__u32 unused;
};

struct listener_key {
	__u64 cookie;
	__u32 family;
	__u32 unused;
};

#endif
