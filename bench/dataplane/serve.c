/*
 * The workload that is called in the benchmark: `serve PORT` answers each request, `POST /BYTES`, with so many bytes, in one thread; and
 * `/caller` with who the proxy says the caller is.
 * Says `listening` when it does.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http.h"

enum { EVENTS = 64, READ_MOST = 65536, BODY_MOST = 1 << 22, ANSWER_HEAD = 2048 };

struct connection {
	int socket;
	struct message message;
	char head[ANSWER_HEAD];
	size_t head_length;
	size_t length;
	/* Of head and body. */
	size_t sent;
	int writing;
};

static char body[BODY_MOST];
static int poller;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void end(struct connection *connection)
{
	close(connection->socket);
	free(connection);
}

static void watch(struct connection *connection, int operation, unsigned events)
{
	struct epoll_event event = { .events = events, .data.ptr = connection };
	if (epoll_ctl(poller, operation, connection->socket, &event) != 0) fail("epoll_ctl");
}

/* Says 0 where the connection has ended. */
static int write_on(struct connection *connection)
{
	size_t whole = connection->head_length + connection->length;
	while (connection->sent < whole) {
		size_t of_head = connection->sent < connection->head_length ? connection->head_length - connection->sent : 0;
		size_t of_body = connection->sent > connection->head_length ? connection->sent - connection->head_length : 0;
		struct iovec parts[2] = {
			{ connection->head + connection->head_length - of_head, of_head },
			{ body, connection->length - of_body },
		};
		struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
		ssize_t written = sendmsg(connection->socket, &message, MSG_NOSIGNAL);
		if (written < 0 && errno == EAGAIN) {
			if (!connection->writing) watch(connection, EPOLL_CTL_MOD, EPOLLOUT);
			connection->writing = 1;
			return 1;
		}
		if (written < 0) return 0;
		connection->sent += (size_t)written;
	}
	if (connection->writing) watch(connection, EPOLL_CTL_MOD, EPOLLIN);
	connection->writing = 0;
	message_clear(&connection->message);
	return 1;
}

static int answer(struct connection *connection)
{
	char *path = strstr(connection->message.head, " /");
	connection->length = path ? strtoul(path + 2, NULL, 10) : 0;
	if (connection->length > BODY_MOST) return 0;
	const char *caller = "";
	if (path && strncmp(path, " /caller", 8) == 0) caller = message_header(&connection->message, "x-forwarded-client-cert");
	if (!caller) caller = "unknown";
	int head = snprintf(connection->head, ANSWER_HEAD, "HTTP/1.1 200 OK\r\n%s%.*s%scontent-type: text/plain\r\ncontent-length: %zu\r\n\r\n",
		*caller ? "x-caller: " : "", (int)strcspn(caller, "\r"), caller, *caller ? "\r\n" : "", connection->length);
	if (head >= ANSWER_HEAD) return 0;
	connection->head_length = (size_t)head;
	connection->sent = 0;
	return write_on(connection);
}

static int read_on(struct connection *connection)
{
	static char bytes[READ_MOST];
	ssize_t got = recv(connection->socket, bytes, sizeof(bytes), 0);
	if (got < 0 && errno == EAGAIN) return 1;
	if (got <= 0) return 0;
	int whole = message_take(&connection->message, bytes, (size_t)got);
	if (whole < 0) return 0;
	return whole ? answer(connection) : 1;
}

static void take(int listener)
{
	int socket = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	if (socket < 0) return;
	int one = 1;
	setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	struct connection *connection = calloc(1, sizeof(*connection));
	if (!connection) fail("calloc");
	connection->socket = socket;
	watch(connection, EPOLL_CTL_ADD, EPOLLIN);
}

int main(int count, char **words)
{
	if (count != 2) return 2;
	memset(body, 'x', sizeof(body));
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(words[1])) };
	int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(listener, 1024) != 0) fail("listen");
	poller = epoll_create1(0);
	struct epoll_event event = { .events = EPOLLIN };
	if (epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event) != 0) fail("epoll_ctl");
	puts("listening");
	fflush(stdout);
	for (;;) {
		struct epoll_event events[EVENTS];
		int ready = epoll_wait(poller, events, EVENTS, -1);
		for (int i = 0; i < ready; i++) {
			struct connection *connection = events[i].data.ptr;
			if (!connection) take(listener);
			else if (!(events[i].events & EPOLLOUT ? write_on(connection) : read_on(connection))) end(connection);
		}
	}
}
