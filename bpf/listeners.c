// SPDX-License-Identifier: Apache-2.0
/* Finds sockets of proxies that began to listen before they were watched. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include "loader.h"

/* The family for which a socket is the proxy's inbound listener; zero for any other socket. */
static int listens_for(const struct pod *pod, int fd)
{
	int listens = 0;
	struct stat owner;
	struct sockaddr_in6 local = {};
	socklen_t size = sizeof(listens), length = sizeof(local);
	if (fstat(fd, &owner) != 0 || (owner.st_uid != pod->proxy_id && owner.st_gid != pod->proxy_id)) return 0;
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || !listens) return 0;
	/* Both families have the port at the same place. */
	if (getsockname(fd, (struct sockaddr *)&local, &length) != 0) return 0;
	return ntohs(local.sin6_port) == pod->inbound_port ? local.sin6_family : 0;
}

/* Looks through the sockets of one process; it may end meanwhile. */
static void look_through(int listeners, int bound, const struct namespace *namespace, const struct pod *pod, int id)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/fd", id);
	int process = syscall(SYS_pidfd_open, id, 0);
	DIR *entries = process < 0 ? NULL : opendir(path);
	for (struct dirent *entry; entries && (entry = readdir(entries));) {
		char kind[16] = "";
		if (entry->d_name[0] == '.' || readlinkat(dirfd(entries), entry->d_name, kind, sizeof(kind) - 1) < 0) continue;
		if (strncmp(kind, "socket:", 7) != 0) continue;
		int fd = syscall(SYS_pidfd_getfd, process, atoi(entry->d_name), 0);
		if (fd < 0) continue;
		struct listener_key key = { .cookie = namespace->cookie, .family = listens_for(pod, fd) };
		__u64 value = fd;
		if (key.family) {
			static const __u8 yes = 1;
			bpf_map_update_elem(bound, &fd, &yes, BPF_ANY);
			bpf_map_update_elem(listeners, &key, &value, BPF_ANY);
		}
		close(fd);
	}
	if (entries) closedir(entries);
	if (process >= 0) close(process);
}

int take_listeners(const char *folder, const struct namespace *namespace, const struct pod *pod)
{
	int listeners = map(folder, "weft_listeners"), bound = map(folder, "weft_bound"), found = 0;
	DIR *processes = opendir("/proc");
	for (struct dirent *entry; processes && (entry = readdir(processes));) {
		char path[64];
		struct stat network;
		int id = atoi(entry->d_name);
		snprintf(path, sizeof(path), "/proc/%d/ns/net", id);
		if (id > 0 && stat(path, &network) == 0 && network.st_ino == namespace->inode)
			look_through(listeners, bound, namespace, pod, id);
	}
	if (processes) closedir(processes);
	for (const __u32 *family = (const __u32[]){ AF_INET, AF_INET6, 0 }; *family; family++) {
		struct listener_key key = { .cookie = namespace->cookie, .family = *family };
		__u64 value;
		if (bpf_map_lookup_elem(listeners, &key, &value) == 0) found++;
	}
	close(listeners);
	close(bound);
	return found;
}
