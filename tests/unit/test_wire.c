/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

#include "shared/wire.h"

/* Each byte of a body is a field (any value means something) or reserved (zero). */
struct range {
	unsigned from, to;
};

struct kind {
	const char *name;
	enum hak_wire_type type;
	struct range reserved[3]; /* offsets in the frame; an empty range ends the list */
};

static const char name[] = "thirty-one.characters_of.a.name";

static const struct kind kinds[] = {
	{ "HELLO", HAK_WIRE_HELLO, { { 20, 24 }, { 48, 64 } } },
	{ "WELCOME", HAK_WIRE_WELCOME, { { 10, 12 }, { 32, 64 } } },
	{ "REFUSED", HAK_WIRE_REFUSED, { { 12, 16 } } },
	{ "BYE", HAK_WIRE_BYE, { { 8, 64 } } },
	{ "QUERY", HAK_WIRE_QUERY, { { 12, 64 } } },
	{ "REPORT", HAK_WIRE_REPORT, { { 24, 64 } } },
	{ "DOMAIN_ATTR", HAK_WIRE_DOMAIN_ATTR, { { 44, 64 } } },
	{ "DOMAIN_OPEN", HAK_WIRE_DOMAIN_OPEN, { { 44, 64 } } },
	{ "DOMAIN", HAK_WIRE_DOMAIN, { { 40, 64 } } },
	{ "DOMAIN_CLOSE", HAK_WIRE_DOMAIN_CLOSE, { { 16, 64 } } },
	{ "DOMAIN_UNLINK", HAK_WIRE_DOMAIN_UNLINK, { { 40, 64 } } },
	{ "DONE", HAK_WIRE_DONE, { { 12, 16 } } },
	{ "DOMAIN_HEIR", HAK_WIRE_DOMAIN_HEIR, { { 24, 64 } } },
};

static bool is_reserved(const struct kind *kind, unsigned at)
{
	if (at == 6 || at == 7) /* of the frame's head */
		return true;
	for (unsigned i = 0; i < hak_array_size(kind->reserved); i++) {
		if (at >= kind->reserved[i].from && at < kind->reserved[i].to)
			return true;
	}
	return false;
}

/* A valid frame with every field in use. */
static struct hak_wire_frame sample(const struct kind *kind)
{
	struct hak_wire_frame frame = hak_wire_make(kind->type);

	switch (kind->type) {
	case HAK_WIRE_HELLO:
		frame.hello = (struct hak_wire_hello){ .version_min = 1,
						       .version_max = 0xffff,
						       .layout_version = 0x12345678,
						       .flags = HAK_HELLO_RESUME,
						       .session_id = UINT64_MAX,
						       .comm = "fifteen letters" };
		break;
	case HAK_WIRE_WELCOME:
		frame.welcome = (struct hak_wire_welcome){ .version = 1,
							   .region_superslabs = 262144,
							   .session_id = UINT64_MAX,
							   .epoch = 0x0123456789abcdef };
		break;
	case HAK_WIRE_REFUSED:
		return hak_wire_refuse(-EPROTO, "because");
	case HAK_WIRE_BYE:
		break;
	case HAK_WIRE_QUERY:
		frame.query.what = HAK_QUERY_SESSIONS;
		break;
	case HAK_WIRE_REPORT:
		frame.report = (struct hak_wire_report){ .what = HAK_QUERY_STATUS,
							 .record_size = 160,
							 .count = UINT64_MAX };
		break;
	case HAK_WIRE_DOMAIN_ATTR:
		frame.domain_attr = (struct hak_wire_domain_attr){ .max_size = UINT64_MAX,
								   .quota = 1,
								   .mode = 0777,
								   .node = 1,
								   .page_policy = UINT32_MAX,
								   .orphan_policy = 3,
								   .lifetime = 2 };
		break;
	case HAK_WIRE_DOMAIN_OPEN:
		frame.domain_open.flags = UINT32_MAX;
		memcpy(frame.domain_open.name, name, sizeof(name));
		break;
	case HAK_WIRE_DOMAIN_UNLINK:
		memcpy(frame.domain_open.name, name, sizeof(name));
		break;
	case HAK_WIRE_DOMAIN:
		frame.domain = (struct hak_wire_domain){ .id = UINT64_MAX,
							 .base = UINT64_MAX,
							 .member = UINT64_MAX,
							 .superslabs = UINT32_MAX,
							 .created = 1 };
		break;
	case HAK_WIRE_DOMAIN_CLOSE:
		frame.domain_close.id = UINT64_MAX;
		break;
	case HAK_WIRE_DONE:
		return hak_wire_done(-EACCES, "because");
	case HAK_WIRE_DOMAIN_HEIR:
		frame.domain_heir =
			(struct hak_wire_domain_heir){ .id = UINT64_MAX, .member = UINT64_MAX };
		break;
	}
	return frame;
}

static void a_new_frame_is_zero_but_for_magic_and_type(void **state)
{
	static const uint8_t zero[56];

	(void)state;
	for (size_t i = 0; i < hak_array_size(kinds); i++) {
		struct hak_wire_frame frame = hak_wire_make(kinds[i].type);

		assert_memory_equal(&frame, "HAKM", 4);
		assert_int_equal(frame.type, kinds[i].type);
		assert_int_equal(frame.reserved, 0);
		assert_memory_equal(frame.bytes, zero, sizeof(zero));
	}
}

static void every_type_makes_the_round_trip(void **state)
{
	(void)state;
	for (size_t i = 0; i < hak_array_size(kinds); i++) {
		struct hak_wire_frame in = sample(&kinds[i]), out;

		memset(&out, 0xee, sizeof(out));
		assert_int_equal(hak_wire_decode(&out, &in, sizeof(in)), 0);
		assert_memory_equal(&in, &out, sizeof(in));
	}
}

static void every_reserved_byte_must_be_zero(void **state)
{
	unsigned reserved = 0;

	(void)state;
	for (size_t i = 0; i < hak_array_size(kinds); i++) {
		for (unsigned at = 0; at < HAK_WIRE_SIZE; at++) {
			struct hak_wire_frame in = sample(&kinds[i]), out;

			if (!is_reserved(&kinds[i], at))
				continue;
			reserved++;
			for (unsigned bit = 0; bit < 8; bit++) {
				((uint8_t *)&in)[at] = (uint8_t)(1u << bit);
				assert_int_equal(hak_wire_decode(&out, &in, sizeof(in)), -EBADMSG);
			}
		}
	}
	assert_int_equal(reserved, 13 * 2 + (4 + 16) + (2 + 32) + 4 + 56 + 52 + 40 + 20 + 20 + 24 +
					   48 + 24 + 4 + 40);
}

static void the_magic_must_be_exact(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < 32; bit++) {
		struct hak_wire_frame in = hak_wire_make(HAK_WIRE_BYE), out;

		in.magic ^= 1u << bit;
		assert_int_equal(hak_wire_decode(&out, &in, sizeof(in)), -EBADMSG);
	}
}

static void unknown_types_are_refused(void **state)
{
	struct hak_wire_frame in = hak_wire_make(HAK_WIRE_BYE), out;

	(void)state;
	for (unsigned type = 0; type <= UINT16_MAX; type++) {
		in.type = (uint16_t)type;
		/* REFUSED with code 0 says nothing; the others are valid when empty. */
		assert_int_equal(hak_wire_decode(&out, &in, sizeof(in)),
				 type >= 1 && type <= 13 && type != HAK_WIRE_REFUSED ? 0
										     : -EBADMSG);
	}
}

/* Lengths other than 64, each in a block of exactly that size, so that ASan sees a read past it. */
static void only_64_bytes_are_a_frame(void **state)
{
	(void)state;
	for (size_t n = 0; n <= 4 * HAK_WIRE_SIZE; n++) {
		struct hak_wire_frame good = hak_wire_make(HAK_WIRE_BYE), out;
		uint8_t *bytes = test_malloc(n ? n : 1);

		memset(bytes, 0, n ? n : 1);
		memcpy(bytes, &good, n < sizeof(good) ? n : sizeof(good));
		assert_int_equal(hak_wire_decode(&out, bytes, n), n == 64 ? 0 : -EBADMSG);
		test_free(bytes);
	}
	assert_int_equal(hak_wire_decode(NULL, NULL, 0), -EBADMSG);
}

static void unaligned_bytes_decode(void **state)
{
	struct hak_wire_frame in = sample(&kinds[0]), out;
	uint8_t bytes[HAK_WIRE_SIZE + 8];

	(void)state;
	for (unsigned shift = 0; shift < 8; shift++) {
		memcpy(bytes + shift, &in, sizeof(in));
		assert_int_equal(hak_wire_decode(&out, bytes + shift, sizeof(in)), 0);
		assert_memory_equal(&in, &out, sizeof(in));
	}
}

static void a_refused_frame_leaves_the_result_alone(void **state)
{
	struct hak_wire_frame in = hak_wire_make(HAK_WIRE_BYE), out, before;

	(void)state;
	memset(&out, 0xa5, sizeof(out));
	before = out;
	in.bytes[55] = 1;
	assert_int_equal(hak_wire_decode(&out, &in, sizeof(in)), -EBADMSG);
	assert_int_equal(hak_wire_decode(&out, &in, 63), -EBADMSG);
	assert_memory_equal(&out, &before, sizeof(out));
}

static void text_without_an_end_is_refused(void **state)
{
	struct hak_wire_frame in = hak_wire_make(HAK_WIRE_HELLO), out;

	(void)state;
	memset(in.hello.comm, 'x', sizeof(in.hello.comm));
	assert_int_equal(hak_wire_decode(&out, &in, sizeof(in)), -EBADMSG);
	in.hello.comm[15] = 0;
	assert_int_equal(hak_wire_decode(&out, &in, sizeof(in)), 0);

	in = hak_wire_refuse(-EPERM, "");
	memset(in.refused.text, 'x', sizeof(in.refused.text));
	assert_int_equal(hak_wire_decode(&out, &in, sizeof(in)), -EBADMSG);
	in.refused.text[47] = 0;
	assert_int_equal(hak_wire_decode(&out, &in, sizeof(in)), 0);

	in = hak_wire_done(0, "");
	memset(in.done.text, 'x', sizeof(in.done.text));
	assert_int_equal(hak_wire_decode(&out, &in, sizeof(in)), -EBADMSG);
	in.done.text[47] = 0;
	assert_int_equal(hak_wire_decode(&out, &in, sizeof(in)), 0);

	for (int type = HAK_WIRE_DOMAIN_OPEN; type <= HAK_WIRE_DOMAIN_UNLINK; type += 3) {
		in = hak_wire_make((enum hak_wire_type)type);
		memset(in.domain_open.name, 'x', sizeof(in.domain_open.name));
		assert_int_equal(hak_wire_decode(&out, &in, sizeof(in)), -EBADMSG);
		in.domain_open.name[31] = 0;
		assert_int_equal(hak_wire_decode(&out, &in, sizeof(in)), 0);
	}
}

static void an_answer_is_0_or_a_negative_code(void **state)
{
	struct hak_wire_frame out;

	(void)state;
	for (int code = -1; code <= 1; code++) {
		struct hak_wire_frame in = hak_wire_done(code, "");

		assert_int_equal(hak_wire_decode(&out, &in, sizeof(in)), code > 0 ? -EBADMSG : 0);
	}
}

static void hello_knows_one_flag(void **state)
{
	struct hak_wire_frame in = hak_wire_make(HAK_WIRE_HELLO), out;

	(void)state;
	for (unsigned bit = 0; bit < 32; bit++) {
		in.hello.flags = 1u << bit;
		assert_int_equal(hak_wire_decode(&out, &in, sizeof(in)), bit ? -EBADMSG : 0);
	}
}

static void refusals_carry_a_negative_code(void **state)
{
	static const struct {
		int32_t code;
		int verdict;
	} cases[] = { { -1, 0 },       { -EPROTO, 0 },  { INT32_MIN, 0 },
		      { 0, -EBADMSG }, { 1, -EBADMSG }, { INT32_MAX, -EBADMSG } };
	struct hak_wire_frame out;

	(void)state;
	for (size_t i = 0; i < hak_array_size(cases); i++) {
		struct hak_wire_frame in = hak_wire_refuse(cases[i].code, "no");

		assert_int_equal(hak_wire_decode(&out, &in, sizeof(in)), cases[i].verdict);
	}
}

static void long_refusals_are_cut_and_end(void **state)
{
	char text[200];

	(void)state;
	for (size_t n = 0; n < sizeof(text); n++) {
		struct hak_wire_frame frame, out;

		memset(text, 'a', n);
		text[n] = 0;
		frame = hak_wire_refuse(-EPERM, text);
		assert_int_equal(strlen(frame.refused.text), n < 47 ? n : 47);
		assert_memory_equal(frame.refused.text, text, n < 47 ? n : 47);
		assert_int_equal(hak_wire_decode(&out, &frame, sizeof(frame)), 0);
	}
}

static void the_highest_common_version_is_chosen(void **state)
{
	static const struct {
		uint16_t min, max, chosen;
	} cases[] = {
		{ 1, 3, 3 },                       /* the same */
		{ 1, 1, 1 },          { 1, 2, 2 }, /* older peers */
		{ 1, 4, 3 },                       /* newer peer that still speaks ours */
		{ 0, 1, 1 },                       /* older peer that already speaks ours */
		{ 3, 3, 3 },                       /* one that needs what we have last */
		{ 0, UINT16_MAX, 3 }, { 4, 4, 0 }, /* too new */
		{ 4, UINT16_MAX, 0 }, { UINT16_MAX, UINT16_MAX, 0 },
		{ 0, 0, 0 },          /* too old */
		{ 2, 1, 0 },          /* an empty range */
		{ UINT16_MAX, 1, 0 }, /* likewise */
		{ UINT16_MAX, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < hak_array_size(cases); i++)
		assert_int_equal(hak_wire_choose(cases[i].min, cases[i].max), cases[i].chosen);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_frame_is_zero_but_for_magic_and_type),
		cmocka_unit_test(every_type_makes_the_round_trip),
		cmocka_unit_test(every_reserved_byte_must_be_zero),
		cmocka_unit_test(the_magic_must_be_exact),
		cmocka_unit_test(unknown_types_are_refused),
		cmocka_unit_test(only_64_bytes_are_a_frame),
		cmocka_unit_test(unaligned_bytes_decode),
		cmocka_unit_test(a_refused_frame_leaves_the_result_alone),
		cmocka_unit_test(text_without_an_end_is_refused),
		cmocka_unit_test(an_answer_is_0_or_a_negative_code),
		cmocka_unit_test(hello_knows_one_flag),
		cmocka_unit_test(refusals_carry_a_negative_code),
		cmocka_unit_test(long_refusals_are_cut_and_end),
		cmocka_unit_test(the_highest_common_version_is_chosen),
	};

	return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
