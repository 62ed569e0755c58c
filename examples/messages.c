/* SPDX-License-Identifier: Apache-2.0 */
/*
 * messages.c - two processes pass messages through a channel.
 *
 *	messages receive &		prints what comes, until all senders have gone
 *	messages send hello world	sends each word as a message
 *
 * A message is a block of a domain. Sending moves who owns it, nothing is copied: the receiver
 * reads the very bytes that the sender wrote.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <hakmem.h>

struct message {
	pid_t from;
	char text[64];
};

/* Functions of hakmem return a negative errno, and hak_detail() says more. */
static void check(int r, const char *what)
{
	if (r >= 0)
		return;
	(void)fprintf(stderr, "messages: %s: %s (%s)\n", what, strerror(-r), hak_detail());
	exit(1);
}

static void send_words(hak_domain *domain, hak_channel *channel, char **words)
{
	for (; *words; words++) {
		struct message *message = hak_domain_alloc(domain, sizeof(*message));

		if (!message)
			check(-errno, "allocating a message");
		message->from = getpid();
		(void)snprintf(message->text, sizeof(message->text), "%s", *words);
		/* -1: waits while the channel is full. Once sent, the message is not ours. */
		check(hak_channel_send(channel, message, -1), "sending");
	}
}

static void receive(hak_domain *domain, hak_channel *channel)
{
	void *block;
	int r;

	/* -EPIPE: the channel is empty, and everybody who sent has gone. */
	while ((r = hak_channel_recv(channel, &block, -1)) != -EPIPE) {
		check(r, "receiving");
		/* Ours now: to read, to write, to send on, or to free. */
		const struct message *message = block;
		printf("%s%s\n", message->text, message->from == getpid() ? " (my own)" : "");
		hak_domain_free(domain, block);
	}
}

int main(int argc, char **argv)
{
	int sends = argc > 1 && !strcmp(argv[1], "send");
	hak_domain *domain;
	hak_channel *channel;

	if (!sends && (argc != 2 || strcmp(argv[1], "receive") != 0)) {
		(void)fprintf(stderr, "usage: messages receive | messages send WORD...\n");
		return 2;
	}
	/* Whoever comes first makes the domain, and the channel in it. */
	check(hak_domain_open(&domain, "messages", HAK_CREATE, NULL), "opening the domain");
	check(hak_channel_open(&channel, domain, "words", 0, sends ? HAK_SEND : HAK_RECV),
	      "opening the channel");
	if (sends) {
		send_words(domain, channel, argv + 2);
	} else {
		/* For whoever waits to start a sender. */
		(void)fprintf(stderr, "receiving\n");
		receive(domain, channel);
		/* The domain would stay otherwise, even without members. */
		check(hak_domain_unlink("messages"), "unlinking the domain");
	}
	hak_channel_close(channel);
	hak_domain_close(domain);
	return 0;
}
