/*
 * The workload that calls in the benchmark: `load ADDRESS PORT HOST CONNECTIONS`. It reads what it is to do, a line each, and answers with one:
 *
 *   send RATE COUNT BODY ANSWER TICK   sends so many requests with so many bytes, each to be answered with so many: at a steady rate a second
 *                                      whether or not those before are answered, those of each tick of so many nanoseconds together; or with
 *                                      rate 0 each as soon as its connection is free; answers `sent NANOSECONDS FAILED REASON`
 *   times                              answers with how long each request took, in microseconds with a tenth, from when it was due
 *
 * Connections stay, and are used by turns. It is one thread.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "http.h"

enum { EVENTS = 64, READ_MOST = 65536, BODY_MOST = 1 << 20, HEAD = 512 };

struct connection {
	int socket;
	struct message message;
	/* When its request was due; 0 while it is free. */
	uint64_t due;
};

static struct connection *connections, **idle;
static size_t connection_count, idle_first, idle_count;
static int poller;
static char request[HEAD + BODY_MOST];
static size_t request_length, answer_length;
static uint32_t *times;
static size_t times_room, done, failed;
static const char *reason;

static void stop(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static void free_again(struct connection *connection)
{
	connection->due = 0;
	message_clear(&connection->message);
	idle[(idle_first + idle_count++) % connection_count] = connection;
}

static void problem(const char *what)
{
	failed++;
	reason = what;
}

/* A request's answer is there, or will not come. */
static void settle(struct connection *connection, uint64_t at)
{
	times[done++] = (uint32_t)((at - connection->due) / 100);
	free_again(connection);
}

static void send_request(struct connection *connection, uint64_t due)
{
	connection->due = due;
	size_t sent = 0;
	while (sent < request_length) {
		ssize_t written = send(connection->socket, request + sent, request_length - sent, MSG_NOSIGNAL);
		if (written < 0 && errno == EAGAIN) continue;
		if (written < 0) {
			problem("a connection was closed");
			settle(connection, now());
			return;
		}
		sent += (size_t)written;
	}
}

static void receive(struct connection *connection)
{
	static char bytes[READ_MOST];
	ssize_t got = recv(connection->socket, bytes, sizeof(bytes), 0);
	if (got < 0 && errno == EAGAIN) return;
	if (got <= 0) {
		epoll_ctl(poller, EPOLL_CTL_DEL, connection->socket, NULL);
		problem("a connection was closed");
		if (connection->due) settle(connection, now());
		return;
	}
	int had_head = connection->message.has_head;
	int whole = connection->due ? message_take(&connection->message, bytes, (size_t)got) : -1;
	const struct message *message = &connection->message;
	if (whole >= 0 && !had_head && message->has_head) {
		const char *length = message_header(message, "content-length");
		if (strncmp(message->head, "HTTP/1.1 200", 12) != 0) problem("a status other than 200");
		else if (!length || strtoul(length, NULL, 10) != answer_length) problem("an answer of another length");
	}
	if (whole < 0) problem("an answer that is none");
	if (whole && connection->due) settle(connection, now());
}

static void wait_for(uint64_t due)
{
	struct epoll_event events[EVENTS];
	uint64_t at = now(), left = due > at ? due - at : 0;
	struct timespec limit = { (time_t)(left / 1000000000), (long)(left % 1000000000) };
	int ready = epoll_pwait2(poller, events, EVENTS, due == UINT64_MAX ? NULL : &limit, NULL);
	if (ready < 0 && errno != EINTR) stop("epoll_pwait2");
	for (int i = 0; i < ready; i++) receive(events[i].data.ptr);
}

/* Nanoseconds from the start until a request is due. */
static uint64_t due_after(size_t number, double rate, uint64_t tick)
{
	uint64_t after = rate > 0 ? (uint64_t)((double)number * 1e9 / rate) : 0;
	return after - after % tick;
}

static void send_all(double rate, size_t count, uint64_t tick)
{
	if (count > times_room) {
		times = realloc(times, count * sizeof(*times));
		times_room = count;
		if (!times) stop("realloc");
	}
	done = failed = 0;
	reason = "none";
	uint64_t start = now();
	for (size_t next = 0; done < count && failed < connection_count;) {
		uint64_t due = start + due_after(next, rate, tick), at = now();
		if (next < count && idle_count > 0 && due <= at) {
			struct connection *connection = idle[idle_first];
			idle_first = (idle_first + 1) % connection_count;
			idle_count--;
			next++;
			send_request(connection, rate > 0 ? due : at);
		} else {
			wait_for(next < count && idle_count > 0 ? due : UINT64_MAX);
		}
	}
	printf("sent %llu %zu %s\n", (unsigned long long)(now() - start), failed, reason);
}

static void prepare(const char *host, size_t body, size_t answer)
{
	if (body > BODY_MOST) stop("body");
	int head = snprintf(request, HEAD, "POST /%zu HTTP/1.1\r\nhost: %s\r\nuser-agent: load\r\ncontent-length: %zu\r\n\r\n", answer, host, body);
	if (head < 0 || head >= HEAD) stop("head");
	memset(request + head, 'x', body);
	request_length = (size_t)head + body;
	answer_length = answer;
}

static void open_all(const char *address, const char *port, size_t count)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)) };
	if (inet_pton(AF_INET, address, &to.sin_addr) != 1) stop(address);
	connection_count = count;
	connections = calloc(count, sizeof(*connections));
	idle = calloc(count, sizeof(struct connection *));
	if (!connections || !idle) stop("calloc");
	for (size_t i = 0; i < count; i++) {
		int made = socket(AF_INET, SOCK_STREAM, 0), one = 1;
		if (connect(made, (struct sockaddr *)&to, sizeof(to)) != 0) stop("connect");
		setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		fcntl(made, F_SETFL, O_NONBLOCK);
		connections[i].socket = made;
		struct epoll_event event = { .events = EPOLLIN, .data.ptr = &connections[i] };
		if (epoll_ctl(poller, EPOLL_CTL_ADD, made, &event) != 0) stop("epoll_ctl");
		free_again(&connections[i]);
	}
}

int main(int count, char **words)
{
	if (count != 5) return 2;
	poller = epoll_create1(0);
	open_all(words[1], words[2], strtoul(words[4], NULL, 10));
	char line[256];
	while (fgets(line, sizeof(line), stdin)) {
		double rate;
		size_t requests, body, answer, tick;
		if (sscanf(line, "send %lf %zu %zu %zu %zu", &rate, &requests, &body, &answer, &tick) == 5 && tick > 0) {
			prepare(words[3], body, answer);
			send_all(rate, requests, tick);
		} else {
			for (size_t i = 0; i < done; i++) printf("%u.%u ", times[i] / 10, times[i] % 10);
			puts("");
		}
		fflush(stdout);
	}
}
