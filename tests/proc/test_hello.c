/* SPDX-License-Identifier: Apache-2.0 */
/* What may come over the socket: greetings, good and bad, and everything that is none. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/sys.h"
#include "tests/proc/rig.h"

static int connected(struct rig *rig)
{
	int sock = raw_connect(rig->socket);

	assert_true(sock >= 0);
	return sock;
}

/* Sends a packet and expects to be refused for that reason. */
static void expect_refused(struct rig *rig, const void *bytes, size_t size, const int *fds,
			   unsigned n_fds, int code, const char *text)
{
	char got_text[HAK_WIRE_TEXT];
	int sock = connected(rig), got, r;

	assert_int_equal(raw_send(sock, bytes, size, fds, n_fds), 0);
	r = raw_wait_refused(sock, &got, got_text);
	if (r < 0)
		fail_msg("not refused for '%s': %s", text, strerror(-r));
	assert_int_equal(got, code);
	assert_string_equal(got_text, text);
	close(sock);
}

static void expect_still_serving(struct rig *rig)
{
	struct raw raw;

	assert_int_equal(raw_open(&raw, rig->socket), 0);
	assert_int_equal(raw_nop(&raw), 0);
	raw_close(&raw);
	rig_wait_sessions(rig, 0);
}

static void hello_is_answered_with_a_session_and_three_files(void **state)
{
	struct rig *rig = *state;
	struct hak_report_session record;
	struct raw a, b;
	struct stat st;

	assert_int_equal(raw_open(&a, rig->socket), 0);
	assert_int_equal(raw_open(&b, rig->socket), 0);
	assert_int_not_equal(a.session_id, b.session_id);
	assert_int_equal(a.epoch, b.epoch);
	assert_int_equal(a.segment->session_id, a.session_id);
	assert_int_equal(a.segment->epoch, a.epoch);
	assert_int_equal(a.segment->region_superslabs, HAK_REGION_SUPERSLABS);
	assert_int_equal(fstat(a.region_fd, &st), 0);
	assert_int_equal(st.st_size, (uint64_t)HAK_REGION_SUPERSLABS << HAK_SUPERSLAB_SHIFT);
	assert_true((uint64_t)st.st_blocks * 512 <= 2 * HAK_SUPERSLAB_SIZE); /* stock */
	assert_int_equal(raw_sessions(rig->socket, &record, 1), 1);
	assert_int_equal(record.pid, getpid());
	assert_int_equal(record.uid, getuid());
	assert_int_equal(record.state, HAK_SESSION_ATTACHED);
	assert_string_equal(record.comm, "raw");
	raw_close(&a);
	raw_close(&b);
}

static void only_common_versions_are_welcome(void **state)
{
	static const struct {
		uint16_t min, max;
		const char *text;
	} cases[] = {
		{ 4, 9, "protocol 4 to 9, daemon has 1 to 3" }, /* a newer client */
		{ 0, 0, "protocol 0 to 0, daemon has 1 to 3" }, /* an older one */
		{ UINT16_MAX, UINT16_MAX, "protocol 65535 to 65535, daemon has 1 to 3" },
		{ 2, 1, "protocol 2 to 1, daemon has 1 to 3" },
	};
	struct rig *rig = *state;
	struct hak_wire_frame hello;
	int sock = connected(rig);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		hello = raw_hello();
		hello.hello.version_min = cases[i].min;
		hello.hello.version_max = cases[i].max;
		expect_refused(rig, &hello, sizeof(hello), NULL, 0, -EPROTONOSUPPORT,
			       cases[i].text);
	}
	hello = raw_hello();
	hello.hello.version_min = 0;
	hello.hello.version_max = 7;
	assert_int_equal(raw_send(sock, &hello, sizeof(hello), NULL, 0), 0);
	assert_int_equal(raw_recv(sock, &hello, NULL, NULL), 0);
	assert_int_equal(hello.type, HAK_WIRE_WELCOME);
	assert_int_equal(hello.welcome.version, 3);
	close(sock);
}

static void another_memory_layout_is_refused(void **state)
{
	struct rig *rig = *state;
	struct hak_wire_frame hello = raw_hello();

	hello.hello.layout_version = HAK_LAYOUT_VERSION + 1;
	expect_refused(rig, &hello, sizeof(hello), NULL, 0, -EPROTONOSUPPORT,
		       "memory layout 3, daemon has 2");
	hello.hello.layout_version = 0;
	expect_refused(rig, &hello, sizeof(hello), NULL, 0, -EPROTONOSUPPORT,
		       "memory layout 0, daemon has 2");
	expect_still_serving(rig);
}

static void what_is_no_frame_is_refused(void **state)
{
	struct rig *rig = *state;
	const uint64_t fds = rig_status(rig).open_fds;
	struct hak_wire_frame hello = raw_hello();
	uint8_t *big = calloc(1, 65536);
	const char *nonsense = "not a frame of this protocol";

	assert_non_null(big);
	expect_refused(rig, "GET / HTTP/1.1\r\n\r\n", 18, NULL, 0, -EBADMSG, nonsense);
	for (size_t n = 1; n < sizeof(hello); n += 7)
		expect_refused(rig, &hello, n, NULL, 0, -EBADMSG, nonsense);
	memcpy(big, &hello, sizeof(hello));
	expect_refused(rig, big, sizeof(hello) + 1, NULL, 0, -EBADMSG,
		       "a packet of more than 64 bytes");
	expect_refused(rig, big, 65536, NULL, 0, -EBADMSG, "a packet of more than 64 bytes");
	expect_refused(rig, big, 0, NULL, 0, -EBADMSG, "an empty packet, or descriptors attached");
	hello.magic ^= 1;
	expect_refused(rig, &hello, sizeof(hello), NULL, 0, -EBADMSG, nonsense);
	hello = raw_hello();
	hello.hello.reserved[1] = 1;
	expect_refused(rig, &hello, sizeof(hello), NULL, 0, -EBADMSG, nonsense);
	hello = raw_hello();
	hello.hello.session_id = 1;
	expect_refused(rig, &hello, sizeof(hello), NULL, 0, -EBADMSG,
		       "a session id without RESUME");
	hello = hak_wire_make(HAK_WIRE_WELCOME);
	expect_refused(rig, &hello, sizeof(hello), NULL, 0, -EBADMSG,
		       "a frame that only the daemon sends");
	hello = hak_wire_make(HAK_WIRE_QUERY);
	hello.query.what = 99;
	expect_refused(rig, &hello, sizeof(hello), NULL, 0, -EINVAL, "unknown QUERY");
	free(big);
	expect_still_serving(rig);
	rig_wait_fds(rig, fds);
}

static void attached_descriptors_are_refused_and_closed(void **state)
{
	struct rig *rig = *state;
	const uint64_t before = rig_status(rig).open_fds;
	struct hak_wire_frame hello = raw_hello();
	int fds[253];

	for (int i = 0; i < 253; i++)
		fds[i] = STDIN_FILENO;
	for (unsigned n = 1; n <= 253; n += 36) {
		expect_refused(rig, &hello, sizeof(hello), fds, n, -EBADMSG,
			       "an empty packet, or descriptors attached");
		expect_refused(rig, "x", 1, fds, n, -EBADMSG,
			       "an empty packet, or descriptors attached");
	}
	expect_still_serving(rig);
	rig_wait_fds(rig, before);
}

static void a_second_hello_ends_the_session(void **state)
{
	struct rig *rig = *state;
	struct hak_wire_frame hello = raw_hello();
	char text[HAK_WIRE_TEXT];
	struct raw raw;
	int code;

	assert_int_equal(raw_open(&raw, rig->socket), 0);
	assert_int_equal(raw_send(raw.sock, &hello, sizeof(hello), NULL, 0), 0);
	assert_int_equal(raw_wait_refused(raw.sock, &code, text), 0);
	assert_string_equal(text, "HELLO twice");
	raw_close(&raw);
	rig_wait_sessions(rig, 0);
}

static void bye_ends_the_session_at_once(void **state)
{
	struct rig *rig = *state;
	struct hak_wire_frame bye = hak_wire_make(HAK_WIRE_BYE);
	struct raw raw;
	uint32_t first;
	int sock = connected(rig);

	assert_int_equal(raw_open(&raw, rig->socket), 0);
	assert_int_equal(raw_lease(&raw, 5, &first), 0);
	assert_int_equal(raw_send(raw.sock, &bye, sizeof(bye), NULL, 0), 0);
	assert_int_equal(raw_wait_hangup(raw.sock), 0);
	rig_wait_sessions(rig, 0); /* although this process lives and maps its presence */
	rig_wait_leased(rig, 0);
	assert_int_equal(rig_status(rig).reclaimed_total, 5);
	raw_close(&raw);
	/* Without a session it is a goodbye as well. */
	assert_int_equal(raw_send(sock, &bye, sizeof(bye), NULL, 0), 0);
	assert_int_equal(raw_wait_hangup(sock), 0);
	close(sock);
}

static void a_half_open_greeting_times_out(void **state)
{
	struct rig *rig = *state;
	char text[HAK_WIRE_TEXT];
	struct raw raw;
	int sock = connected(rig), code;

	assert_int_equal(raw_open(&raw, rig->socket), 0);
	assert_int_equal(raw_wait_refused(sock, &code, text), 0);
	assert_int_equal(code, -ETIMEDOUT);
	assert_string_equal(text, "no HELLO in time");
	assert_int_equal(raw_nop(&raw), 0); /* the deadline is over for who was welcome */
	raw_close(&raw);
	close(sock);
}

static void a_query_starts_the_deadline_anew(void **state)
{
	struct rig *rig = *state;
	struct hak_wire_frame query = hak_wire_make(HAK_WIRE_QUERY), answer;
	const uint64_t start = hak_sys_now_ns();
	int sock = connected(rig), n = 0;

	query.query.what = HAK_QUERY_STATUS;
	while (hak_sys_now_ns() - start < UINT64_C(300000000)) { /* three times the deadline */
		assert_int_equal(raw_send(sock, &query, sizeof(query), NULL, 0), 0);
		assert_int_equal(raw_recv(sock, &answer, NULL, NULL), 0);
		assert_int_equal(answer.type, HAK_WIRE_REPORT);
		n++;
	}
	assert_true(n > 3);
	assert_int_equal(raw_wait_hangup(sock), 0);
	close(sock);
}

static void who_does_not_read_is_dropped(void **state)
{
	struct rig *rig = *state;
	const uint64_t fds = rig_status(rig).open_fds;
	const struct timeval second = { .tv_sec = 20 };
	struct hak_wire_frame query = hak_wire_make(HAK_WIRE_QUERY);
	int sock = connected(rig), r = 0;

	query.query.what = HAK_QUERY_SESSIONS;
	(void)setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &second, sizeof(second));
	for (int i = 0; i < 100000 && r == 0; i++)
		r = raw_send(sock, &query, sizeof(query), NULL, 0);
	assert_true(r == -EPIPE || r == -ECONNRESET);
	expect_still_serving(rig);
	close(sock);
	rig_wait_fds(rig, fds);
}

static void what_a_process_calls_itself_is_made_printable(void **state)
{
	struct rig *rig = *state;
	struct hak_wire_frame hello = raw_hello();
	struct hak_report_session record;
	int sock = connected(rig);

	memcpy(hello.hello.comm, "\x1b[2J\n\"\xff x\0", 10);
	assert_int_equal(raw_send(sock, &hello, sizeof(hello), NULL, 0), 0);
	assert_int_equal(raw_recv(sock, &hello, NULL, NULL), 0);
	assert_int_equal(raw_sessions(rig->socket, &record, 1), 1);
	assert_string_equal(record.comm, "?[2J??? x");
	close(sock);
}

static int setup_100_ms(void **state)
{
	*state = rig_start("[limits]\ngreeting-timeout = 100 ms\n");
	return 0;
}

#define TEST(name)        cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
#define TEST_100_MS(name) cmocka_unit_test_setup_teardown(name, setup_100_ms, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(hello_is_answered_with_a_session_and_three_files),
		TEST(only_common_versions_are_welcome),
		TEST(another_memory_layout_is_refused),
		TEST(what_is_no_frame_is_refused),
		TEST(attached_descriptors_are_refused_and_closed),
		TEST(a_second_hello_ends_the_session),
		TEST(bye_ends_the_session_at_once),
		TEST_100_MS(a_half_open_greeting_times_out),
		TEST_100_MS(a_query_starts_the_deadline_anew),
		TEST(who_does_not_read_is_dropped),
		TEST(what_a_process_calls_itself_is_made_printable),
	};

	return cmocka_run_group_tests_name("hello", tests, NULL, NULL);
}
