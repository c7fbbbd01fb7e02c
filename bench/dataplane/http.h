/* What the programs of the benchmark have in common: a message of HTTP/1.1 as it arrives. */
#ifndef WEFT_BENCH_HTTP_H
#define WEFT_BENCH_HTTP_H

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { HEAD_MOST = 16384 };

struct message {
	char head[HEAD_MOST + 1];
	size_t head_length;
	/* Bytes of the body that are still to come; meaningful once the head is there. */
	size_t body_left;
	int has_head;
};

static inline void message_clear(struct message *message)
{
	message->head_length = 0;
	message->body_left = 0;
	message->has_head = 0;
}

/* The value of a header, or nothing. The head ends with a zero. */
static inline const char *message_header(const struct message *message, const char *name)
{
	size_t length = strlen(name);
	for (const char *line = strstr(message->head, "\r\n"); line; line = strstr(line + 2, "\r\n")) {
		const char *at = line + 2;
		if (strncasecmp(at, name, length) != 0 || at[length] != ':') continue;
		at += length + 1;
		while (*at == ' ') at++;
		return at;
	}
	return NULL;
}

/*
 * Takes what has arrived. Says 1 where the message is whole, 0 where more is to come, and -1 where it is none, or more came than it has.
 */
static inline int message_take(struct message *message, const char *bytes, size_t length)
{
	if (!message->has_head) {
		size_t room = HEAD_MOST - message->head_length, before = message->head_length;
		size_t copied = length < room ? length : room;
		memcpy(message->head + before, bytes, copied);
		message->head_length += copied;
		message->head[message->head_length] = 0;
		char *end = strstr(message->head, "\r\n\r\n");
		if (!end) return message->head_length < HEAD_MOST ? 0 : -1;
		length -= (size_t)(end + 4 - message->head) - before;
		end[2] = 0;
		message->has_head = 1;
		const char *body = message_header(message, "content-length");
		if (!body && message_header(message, "transfer-encoding")) return -1;
		message->body_left = body ? strtoul(body, NULL, 10) : 0;
	}
	if (length > message->body_left) return -1;
	message->body_left -= length;
	return message->body_left == 0;
}

#endif
