// SPDX-License-Identifier: Apache-2.0
/* Puts the programs of hijack.bpf.c into the kernel and takes them out again. Everything is pinned under one folder of a bpf file system. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include "loader.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

static const char usage[] =
	"Usage: weft-hijack attach FOLDER OBJECT CGROUP    attach for all Pods, or put newer programs in place: prints which\n"
	"       weft-hijack cookie NETNS                   print by what a Pod is known\n"
	"       weft-hijack add FOLDER OBJECT NETNS        hijack a Pod, as standard input says; prints whether it is\n"
	"       weft-hijack leave FOLDER COOKIE            lead no new connections of a Pod\n"
	"       weft-hijack remove FOLDER COOKIE           forget a Pod\n"
	"       rm -r FOLDER                               remove everything\n"
	"\n"
	"FOLDER is in a bpf file system, OBJECT the compiled programs, CGROUP the root of cgroup2, NETNS a namespace's file.\n";

void fail(const char *what, int error)
{
	fprintf(stderr, "weft-hijack: %s: %s\n", what, strerror(error < 0 ? -error : error));
	exit(1);
}

char *path_in(const char *folder, const char *name)
{
	char *path;
	if (asprintf(&path, "%s/%s", folder, name) < 0) fail("memory", ENOMEM);
	return path;
}

static int say_problem(enum libbpf_print_level level, const char *format, va_list arguments)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, format, arguments) : 0;
}

struct bpf_object *open_object(const char *folder, const char *file)
{
	char *maps = path_in(folder, "maps");
	LIBBPF_OPTS(bpf_object_open_opts, options, .pin_root_path = maps);
	struct bpf_object *object = bpf_object__open_file(file, &options);
	if (!object) fail(file, errno);
	free(maps);
	return object;
}

struct namespace enter(const char *path)
{
	struct namespace namespace = { .fd = open(path, O_RDONLY | O_CLOEXEC) };
	struct stat file;
	if (namespace.fd < 0 || fstat(namespace.fd, &file) != 0) fail(path, errno);
	namespace.inode = file.st_ino;
	if (setns(namespace.fd, CLONE_NEWNET) != 0) fail(path, errno);
	int probe = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t length = sizeof(namespace.cookie);
	if (probe < 0 || getsockopt(probe, SOL_SOCKET, SO_NETNS_COOKIE, &namespace.cookie, &length) != 0)
		fail("the namespace's cookie", errno);
	close(probe);
	return namespace;
}

static void make_folder(const char *path)
{
	if (mkdir(path, 0700) != 0 && errno != EEXIST) fail(path, errno);
}

static int is_lookup(const struct bpf_program *program)
{
	return bpf_program__expected_attach_type(program) == BPF_SK_LOOKUP;
}

/* Attaches a program, or, where an earlier run did, puts this one into its link: no connection is missed in between. */
static void attach_link(const char *folder, struct bpf_program *program, int cgroup)
{
	const char *name = bpf_program__name(program);
	char *pin = path_in(folder, name);
	struct bpf_link *link;
	if (access(pin, F_OK) == 0) {
		link = bpf_link__open(pin);
		if (!link) fail(pin, errno);
		int error = bpf_link__update_program(link, program);
		if (error) fail(name, error);
	} else {
		link = bpf_program__attach_cgroup(program, cgroup);
		if (!link) fail(name, errno);
		int error = bpf_link__pin(link, pin);
		if (error) fail(pin, error);
	}
	bpf_link__disconnect(link);
	free(pin);
}

/* A number that tells one file's content from another's: FNV-1a. */
static __u64 version_of(const char *path)
{
	FILE *file = fopen(path, "r");
	if (!file) fail(path, errno);
	__u64 hash = 0xcbf29ce484222325;
	for (int byte; (byte = getc(file)) != EOF;) hash = (hash ^ (__u64)byte) * 0x100000001b3;
	fclose(file);
	return hash;
}

/* Notes which programs are attached, and says whether there were others. */
static void tell_version(const char *folder, __u64 now)
{
	const __u32 first = 0;
	__u64 before = 0;
	int fd = map(folder, "weft_version");
	bpf_map_lookup_elem(fd, &first, &before);
	if (bpf_map_update_elem(fd, &first, &now, BPF_ANY) != 0) fail("the version", errno);
	puts(before == 0 ? "attached" : before == now ? "current" : "replaced");
}

/* Messages are judged by what is attached to the map of their sockets. */
static void attach(const char *folder, const struct bpf_object *object, struct bpf_program *program, int cgroup)
{
	if (bpf_program__expected_attach_type(program) != BPF_SK_MSG_VERDICT) {
		attach_link(folder, program, cgroup);
		return;
	}
	int sockets = bpf_object__find_map_fd_by_name(object, "weft_sockets");
	if (bpf_prog_attach(bpf_program__fd(program), sockets, BPF_SK_MSG_VERDICT, 0) != 0) fail("the shortcut", errno);
}

static void attach_all(const char *folder, const char *file, const char *root)
{
	int cgroup = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cgroup < 0) fail(root, errno);
	make_folder(folder);
	for (const char *const *name = (const char *const[]){ "maps", "links", "pods", NULL }; *name; name++) {
		char *path = path_in(folder, *name);
		make_folder(path);
		free(path);
	}
	struct bpf_object *object = open_object(folder, file);
	struct bpf_program *program;
	bpf_object__for_each_program(program, object) bpf_program__set_autoload(program, !is_lookup(program));
	int error = bpf_object__load(object);
	if (error) fail(file, error);
	char *links = path_in(folder, "links");
	bpf_object__for_each_program(program, object)
		if (!is_lookup(program)) attach(links, object, program, cgroup);
	free(links);
	tell_version(folder, version_of(file));
}

int main(int count, char **words)
{
	libbpf_set_print(say_problem);
	const char *task = count > 2 ? words[1] : "";
	if (count == 5 && !strcmp(task, "attach")) attach_all(words[2], words[3], words[4]);
	else if (count == 3 && !strcmp(task, "cookie")) printf("%llu\n", (unsigned long long)enter(words[2]).cookie);
	else if (count == 4 && !strcmp(task, "leave")) pod_leave(words[2], strtoull(words[3], NULL, 10));
	else if (count == 5 && !strcmp(task, "add")) pod_add(words[2], words[3], words[4]);
	else if (count == 4 && !strcmp(task, "remove")) pod_remove(words[2], strtoull(words[3], NULL, 10));
	else {
		fputs(usage, stderr);
		return 2;
	}
	return 0;
}
