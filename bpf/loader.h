/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEFT_LOADER_H
#define WEFT_LOADER_H

#include <stddef.h>
#include <linux/types.h>
#include <bpf/libbpf.h>
#include "hijack.h"

/* Says what is wrong and ends: `weft-hijack: WHAT: why`. */
void fail(const char *what, int error) __attribute__((noreturn));

/* Opens the object with its maps pinned under the folder. */
struct bpf_object *open_object(const char *folder, const char *file);

/* `folder/name`, in memory of its own. */
char *path_in(const char *folder, const char *name);

/* A network namespace as it is opened. */
struct namespace {
	int fd;
	__u64 cookie;
	__u64 inode;
};

/* Opens a namespace's file and enters it, which this program never leaves. */
struct namespace enter(const char *path);

/* A map that is pinned under the folder. */
int map(const char *folder, const char *name);

/* Puts down the listeners of a Pod's proxy that it had before it was watched; returns for how many families there is one. */
int take_listeners(const char *folder, const struct namespace *namespace, const struct pod *pod);

void pod_add(const char *folder, const char *file, const char *netns);
void pod_leave(const char *folder, __u64 cookie);
void pod_remove(const char *folder, __u64 cookie);

#endif
