// SPDX-License-Identifier: Apache-2.0
/* Hijacks one Pod, or leaves it alone again. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include "hijack.h"
#include "loader.h"

int map(const char *folder, const char *name)
{
	char *maps = path_in(folder, "maps"), *path = path_in(maps, name);
	int fd = bpf_obj_get(path);
	if (fd < 0) fail(path, errno);
	free(path);
	free(maps);
	return fd;
}

static void set(int fd, const void *key, const void *value)
{
	if (bpf_map_update_elem(fd, key, value, BPF_ANY) != 0) fail("a map's entry", errno);
}

/* The address and, unless it is to be absent, the length of its range, as IPv6. */
static struct address read_range(const char *text, __u32 *bits)
{
	char word[64];
	struct address address = {};
	const char *slash = strchr(text, '/');
	size_t length = slash ? (size_t)(slash - text) : strlen(text);
	if (length >= sizeof(word)) fail(text, EINVAL);
	memcpy(word, text, length);
	word[length] = 0;
	int four = inet_pton(AF_INET, word, &address.words[3]) == 1;
	if (four) address.words[2] = htonl(0xffff);
	else if (inet_pton(AF_INET6, word, &address) != 1) fail(text, EINVAL);
	__u32 own = four ? 32 : 128;
	unsigned long said = slash ? strtoul(slash + 1, NULL, 10) : own;
	if (said > own) fail(text, EINVAL);
	*bits = (__u32)said + (128 - own);
	return address;
}

static const char *const purposes[] = {
	[INBOUND_INCLUDED] = "inbound-included",   [INBOUND_EXCLUDED] = "inbound-excluded",
	[OUTBOUND_INCLUDED] = "outbound-included", [OUTBOUND_EXCLUDED] = "outbound-excluded",
	[OWN] = "own",				   [NAME_SERVER] = "name-server",
	[LET_IN] = "let-in",
};

static __u32 purpose_of(const char *text)
{
	for (__u32 at = 1; at < sizeof(purposes) / sizeof(*purposes); at++)
		if (!strcmp(purposes[at], text)) return at;
	fail(text, EINVAL);
}

static __u32 flag_of(const char *text)
{
	if (!strcmp(text, "inbound-all")) return INBOUND_ALL;
	if (!strcmp(text, "inbound-none")) return INBOUND_NONE;
	if (!strcmp(text, "outbound-all")) return OUTBOUND_ALL;
	if (!strcmp(text, "calls-itself")) return CALLS_ITSELF;
	if (!strcmp(text, "shortcut")) return SHORTCUT;
	fail(text, EINVAL);
}

/* What standard input says of a Pod: a line a fact. */
struct told {
	struct pod pod;
	__u64 cookie;
	int ports, ranges, interfaces;
	int live; /* led otherwise until now: not by us before its proxy is found */
};

static void take(struct told *told, char *line)
{
	static const __u8 yes = 1;
	char first[32] = "", second[64] = "", third[64] = "";
	int words = sscanf(line, "%31s %63s %63s", first, second, third);
	if (words < 2) fail(line, EINVAL);
	if (!strcmp(first, "proxy")) told->pod.proxy_id = strtoul(second, NULL, 10);
	else if (!strcmp(first, "outbound")) told->pod.outbound_port = atoi(second);
	else if (!strcmp(first, "inbound")) told->pod.inbound_port = atoi(second);
	else if (!strcmp(first, "tunnel")) told->pod.tunnel_port = atoi(second);
	else if (!strcmp(first, "dns")) told->pod.dns_port = atoi(second);
	else if (!strcmp(first, "flag") && !strcmp(second, "live")) told->live = 1;
	else if (!strcmp(first, "flag")) told->pod.flags |= flag_of(second);
	else if (!strcmp(first, "address")) {
		__u32 bits;
		struct address address = read_range(second, &bits);
		*(strchr(second, ':') ? &told->pod.address6 : &told->pod.address4) = address;
	} else if (!strcmp(first, "interface")) {
		struct interface_key key = { .rules = told->pod.rules, .index = if_nametoindex(second) };
		/* An interface that is not there has no traffic. */
		if (key.index != 0) set(told->interfaces, &key, &yes);
	} else if (!strcmp(first, "port") && words == 3) {
		struct port_key key = { .rules = told->pod.rules, .purpose = purpose_of(second), .port = atoi(third) };
		set(told->ports, &key, &yes);
	} else if (!strcmp(first, "range") && words == 3) {
		struct range_key key = { .rules = told->pod.rules, .purpose = purpose_of(second) };
		__u32 bits;
		key.address = read_range(third, &bits);
		key.prefix = RANGE_FIXED_BITS + bits;
		set(told->ranges, &key, &yes);
	} else {
		fail(line, EINVAL);
	}
}

static __u64 port_rules(const void *key)
{
	return ((const struct port_key *)key)->rules;
}

static __u64 range_rules(const void *key)
{
	return ((const struct range_key *)key)->rules;
}

static __u64 interface_rules(const void *key)
{
	return ((const struct interface_key *)key)->rules;
}

/* Removes entries of a Pod's rules. Keys may move while others are removed, so it looks again until there are none. */
static void clear(int fd, __u64 rules, __u64 (*rules_of)(const void *))
{
	char key[64], next[64];
	for (int again = 1; again;) {
		again = 0;
		int more = bpf_map_get_next_key(fd, NULL, next) == 0;
		while (more) {
			memcpy(key, next, sizeof(key));
			more = bpf_map_get_next_key(fd, key, next) == 0;
			if (rules_of(key) != rules) continue;
			if (bpf_map_delete_elem(fd, key) == 0) again = 1;
		}
	}
}

static void clear_rules(const char *folder, __u64 rules)
{
	clear(map(folder, "weft_ports"), rules, port_rules);
	clear(map(folder, "weft_ranges"), rules, range_rules);
	clear(map(folder, "weft_interfaces"), rules, interface_rules);
}

/* A number that no other rules have. */
static __u64 new_rules(void)
{
	__u64 number;
	if (getrandom(&number, sizeof(number), 0) != sizeof(number)) fail("a random number", errno);
	return number;
}

static char *pod_pin(const char *folder, __u64 cookie)
{
	char name[64];
	snprintf(name, sizeof(name), "pods/%llu", (unsigned long long)cookie);
	return path_in(folder, name);
}

/* The inbound half, in the namespace itself. */
static void attach_lookup(const char *folder, const char *file, const struct namespace *namespace)
{
	struct bpf_object *object = open_object(folder, file);
	struct bpf_program *each, *lookup = NULL;
	bpf_object__for_each_program(each, object) {
		int is = bpf_program__expected_attach_type(each) == BPF_SK_LOOKUP;
		bpf_program__set_autoload(each, is);
		if (is) lookup = each;
	}
	struct bpf_map *constants = bpf_object__find_map_by_name(object, ".rodata");
	if (!lookup || !constants) fail(file, ENOENT);
	size_t size;
	__u64 *cookie = (__u64 *)bpf_map__initial_value(constants, &size);
	if (!cookie || size < sizeof(*cookie)) fail(file, EINVAL);
	*cookie = namespace->cookie;
	int error = bpf_object__load(object);
	if (error) fail(file, error);
	char *pin = pod_pin(folder, namespace->cookie);
	struct bpf_link *link;
	if (access(pin, F_OK) == 0) {
		link = bpf_link__open(pin);
		if (!link) fail(pin, errno);
		error = bpf_link__update_program(link, lookup);
		if (error) fail(pin, error);
	} else {
		link = bpf_program__attach_netns(lookup, namespace->fd);
		if (!link) fail("inbound connections", errno);
		error = bpf_link__pin(link, pin);
		if (error) fail(pin, error);
	}
	bpf_link__disconnect(link);
	free(pin);
}

/* Notes that a Pod's proxy takes shortcuts, or does not. */
static void set_near(const char *folder, const struct pod *pod, int is_near)
{
	static const __u8 yes = 1;
	static const struct address none;
	int near = map(folder, "weft_near");
	const struct address *all[] = { &pod->address4, &pod->address6 };
	for (int at = 0; at < 2; at++) {
		if (!memcmp(all[at], &none, sizeof(none))) continue;
		if (is_near) set(near, all[at], &yes);
		else bpf_map_delete_elem(near, all[at]);
	}
	close(near);
}

void pod_add(const char *folder, const char *file, const char *netns)
{
	struct namespace namespace = enter(netns);
	struct told told = { .cookie = namespace.cookie };
	told.pod.rules = new_rules();
	told.ports = map(folder, "weft_ports");
	told.ranges = map(folder, "weft_ranges");
	told.interfaces = map(folder, "weft_interfaces");
	char line[256];
	while (fgets(line, sizeof(line), stdin)) take(&told, line);
	if (!told.pod.outbound_port || !told.pod.inbound_port) fail("the proxy's ports", EINVAL);
	int led = !told.live || take_listeners(folder, &namespace, &told.pod);
	int pods = map(folder, "weft_pods");
	struct pod before;
	int known = bpf_map_lookup_elem(pods, &told.cookie, &before) == 0;
	if (!led) told.pod.flags |= LEAVING;
	set_near(folder, &told.pod, told.pod.flags & SHORTCUT);
	set(pods, &told.cookie, &told.pod);
	if (known) clear_rules(folder, before.rules);
	/* Once more: what began to listen meanwhile was not watched yet. */
	take_listeners(folder, &namespace, &told.pod);
	attach_lookup(folder, file, &namespace);
	puts(led ? "led" : "no listener");
}

/* An entry of any layout: those of others are of other sizes, with the same first word. */
union entry {
	struct pod pod;
	char all[1024];
};

static int look_up(int pods, __u64 cookie, union entry *entry)
{
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);
	if (bpf_obj_get_info_by_fd(pods, &info, &size) != 0) fail("Pods", errno);
	if (info.value_size > sizeof(*entry)) fail("Pods", E2BIG);
	return bpf_map_lookup_elem(pods, &cookie, entry) == 0;
}

void pod_leave(const char *folder, __u64 cookie)
{
	int pods = map(folder, "weft_pods");
	union entry entry;
	if (!look_up(pods, cookie, &entry)) return;
	entry.pod.flags |= LEAVING;
	entry.pod.flags &= ~SHORTCUT;
	set(pods, &cookie, &entry);
}

void pod_remove(const char *folder, __u64 cookie)
{
	char *pin = pod_pin(folder, cookie);
	if (unlink(pin) != 0 && errno != ENOENT) fail(pin, errno);
	free(pin);
	int pods = map(folder, "weft_pods");
	union entry entry;
	if (look_up(pods, cookie, &entry)) {
		bpf_map_delete_elem(pods, &cookie);
		set_near(folder, &entry.pod, 0);
		clear_rules(folder, entry.pod.rules);
	}
	int listeners = map(folder, "weft_listeners");
	for (const __u32 *family = (const __u32[]){ AF_INET, AF_INET6, 0 }; *family; family++) {
		struct listener_key key = { .cookie = cookie, .family = *family };
		bpf_map_delete_elem(listeners, &key);
	}
}
