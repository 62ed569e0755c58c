/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hakmem_domain.hpp and hakmem_offset.hpp, beside a daemon: ownership moves as the types say, and
 * what fails throws. TAP.
 */
#include "libclient/include/hakmem.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <list>
#include <map>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

static int count, failed;

static void verdict(bool ok, const char *name)
{
	std::printf("%sok %d - %s\n", ok ? "" : "not ", ++count, name);
	failed += !ok;
}

/* The code that a call throws; 0: it does not. */
template <typename F> static int thrown(F call)
{
	try {
		call();
	} catch (const std::system_error &e) {
		return e.code().value();
	}
	return 0;
}

struct job {
	int number;
	int result;

	explicit job(int n) : number(n), result(0)
	{
		if (n < 0)
			throw n;
	}
};

struct counted {
	static inline int alive;

	counted()
	{
		alive++;
	}
	~counted()
	{
		alive--;
	}
};

static bool pmr_containers_live_in_it(const hakmem::domain &d)
{
	hakmem::domain_resource resource(d), same(d);
	std::pmr::map<int, std::pmr::string> map(&resource);

	for (int i = 0; i < 1000; i++)
		map[i] = std::string(static_cast<std::size_t>(i), 'x').c_str();
	for (int i = 0; i < 1000; i++) {
		if (map[i].size() != static_cast<std::size_t>(i) || !d.has(&map[i]))
			return false;
		if (i > 100 && !d.has(map[i].data()))
			return false;
	}
	return resource == same && !(resource == *hakmem::heap_resource());
}

static bool typed_containers_live_in_it(const hakmem::domain &d)
{
	std::vector<int, hakmem::domain_allocator<int>> v(d), w(d);
	std::list<int, hakmem::domain_allocator<int>> list({ 1, 2, 3 }, d);

	for (int i = 0; i < 100000; i++)
		v.push_back(i);
	w = std::move(v);
	return d.has(w.data()) && w[99999] == 99999 && d.has(&list.back()) && list.back() == 3;
}

static bool relative_vectors_and_deques_live_in_it(const hakmem::domain &d)
{
	std::vector<int, hakmem::domain_offset_allocator<int>> v(d);
	std::deque<int, hakmem::domain_offset_allocator<int>> deque(d);
	long sum = 0;

	for (int i = 0; i < 10000; i++) {
		v.insert(v.end(), i);
		deque.push_front(i);
	}
	for (int i : deque)
		sum += i;
	deque.erase(deque.begin() + 5, deque.end() - 5);
	return d.has(&v[0]) && d.has(&deque[0]) && v[9999] == 9999 && sum == 9999L * 5000 &&
	       deque.size() == 10 && deque.front() == 9999 && deque.back() == 0;
}

struct pair_of {
	hakmem::offset_ptr<int> to;
	int value;
};

static bool relative_pointers_move_with_what_they_point_to()
{
	pair_of a[2], b[2];

	a[0].to = &a[1].value;
	a[1].to = nullptr;
	a[1].value = 7;
	std::memcpy(static_cast<void *>(b), a, sizeof(a));
	a[1].value = 8;
	return b[0].to.get() == &b[1].value && *b[0].to == 7 && !b[1].to && *a[0].to == 8;
}

static bool relative_pointers_are_pointers()
{
	int array[4] = { 1, 2, 3, 4 };
	hakmem::offset_ptr<int> p(array), q = p + 3, none;
	hakmem::offset_ptr<const int> c = q;
	hakmem::offset_ptr<void> v = p;
	hakmem::offset_ptr<hakmem::offset_ptr<int>> self;

	p++;
	--q;
	return *p == 2 && *q == 3 && q - p == 1 && p < q && p[2] == 4 && *c == 4 && !none &&
	       none == nullptr && static_cast<hakmem::offset_ptr<int>>(v).get() == array &&
	       hakmem::offset_ptr<int>::pointer_to(array[2]) == q && !self;
}

static bool owned_blocks_go_with_their_owner(const hakmem::domain &d)
{
	hak_ref ref;
	bool was_alive;

	{
		auto a = hakmem::make_owned<counted>(d);
		auto b = std::move(a);

		ref = b.ref();
		was_alive = counted::alive == 1 && !a && d.find<counted>(ref) == b.get();
	}
	return was_alive && counted::alive == 0 && d.find<counted>(ref) == nullptr;
}

static std::uint64_t own_bytes(const hakmem::domain &d)
{
	hak_domain_stat stat = {};

	stat.size = sizeof(stat);
	hakmem::check(hak_domain_stat_get(d.get(), &stat), "hak_domain_stat_get");
	return stat.own_bytes;
}

static bool a_constructor_that_throws_leaves_no_block(const hakmem::domain &d)
{
	auto one = hakmem::make_owned<job>(d, 1);
	std::uint64_t before = own_bytes(d);

	for (int i = 0; i < 100000; i++) {
		try {
			hakmem::make_owned<job>(d, -1);
			return false;
		} catch (int) {
		}
	}
	return before > 0 && own_bytes(d) == before;
}

static bool published_blocks_can_be_claimed_once(const hakmem::domain &d)
{
	auto block = hakmem::make_owned<job>(d, 5);
	job *p = block.get();
	hak_ref ref = block.publish();

	if (block || hak_owner(d.get(), p) != 0)
		return false;
	auto mine = d.claim<job>(ref);
	auto late = d.claim<job>(ref);

	if (!mine || late || hak_owner(d.get(), p) != d.self())
		return false;
	mine.reset();
	return !d.claim<job>(ref);
}

static bool roots_change_only_as_expected(const hakmem::domain &d)
{
	auto first = hakmem::make_owned<job>(d, 1), second = hakmem::make_owned<job>(d, 2);
	hak_ref a = first.ref(), b = second.ref();

	if (d.root("r") != 0 || !d.set_root("r", std::move(first)) || first)
		return false;
	if (d.set_root("r", std::move(second)) || !second || d.root("r") != a)
		return false;
	if (!d.set_root("r", std::move(second), a) || d.root("r") != b)
		return false;
	d.claim<job>(a).reset();
	return d.find<job>(d.root("r"))->number == 2 && d.set_root("r", 0, b) &&
	       d.claim<job>(b)->number == 2 && d.root("r") == 0;
}

/* A child doubles what it receives, until the senders have gone. */
static int child(const char *name)
{
	hakmem::domain d(name);
	hakmem::channel in(d, "to", HAK_RECV), out(d, "from", HAK_SEND);

	try {
		while (auto one = in.recv<job>()) {
			one->result = 2 * one->number;
			if (!out.send(std::move(one)) || one)
				return 2;
		}
	} catch (const std::system_error &e) {
		return e.code() == std::errc::broken_pipe ? 0 : 3;
	}
	return 4;
}

static bool messages_come_back(const hakmem::domain &d, const char *name)
{
	hakmem::channel out(d, "to", HAK_SEND), in(d, "from", HAK_RECV);
	pid_t pid = fork();
	int status = -1;

	if (!pid)
		_exit(child(name));
	for (int i = 0; i < 1000; i++) {
		auto one = hakmem::make_owned<job>(d, i);

		if (!out.send(std::move(one), 60000) || one)
			return false;
		auto back = in.recv<job>(60000);

		if (!back || back->number != i || back->result != 2 * i)
			return false;
	}
	out = hakmem::channel();
	return waitpid(pid, &status, 0) == pid && status == 0;
}

static bool a_full_channel_leaves_the_block(const hakmem::domain &d)
{
	hakmem::channel both(d, "small", HAK_SEND | HAK_RECV, 2);
	auto one = hakmem::make_owned<job>(d, 0);
	int sent = 0;

	while (both.send(std::move(one), 0))
		one = hakmem::make_owned<job>(d, ++sent);
	if (sent != 2 || !one || one->number != 2)
		return false;
	return both.recv<job>(0)->number == 0 && both.recv<job>(0)->number == 1 &&
	       !both.recv<job>(0);
}

static bool a_message_too_small_is_refused(const hakmem::domain &d)
{
	struct large {
		char bytes[4096];
	};
	hakmem::channel both(d, "sizes", HAK_SEND | HAK_RECV);

	both.send(hakmem::make_owned<job>(d, 0));
	return thrown([&] { both.recv<large>(0); }) == EMSGSIZE && !both.recv<job>(0);
}

static bool failures_throw(const hakmem::domain &d)
{
	bool short_of_memory = false;

	try {
		hakmem::domain_allocator<char>(d).allocate(static_cast<std::size_t>(1) << 45);
	} catch (const std::bad_alloc &) {
		short_of_memory = true;
	}
	auto one = hakmem::make_owned<job>(d, 1);
	int nobody = thrown([&] { one.give(d.self() + (static_cast<hak_member>(1) << 40)); });

	return short_of_memory && nobody == ESRCH && one &&
	       thrown([] { hakmem::domain missing("missing"); }) == ENOENT &&
	       thrown([] { hakmem::domain::unlink("missing"); }) == ENOENT &&
	       thrown([] { hakmem::domain bad(".bad", HAK_CREATE); }) == EINVAL &&
	       thrown([&] { hakmem::channel bad(d, "", HAK_SEND); }) == EINVAL &&
	       thrown([&] { d.ref_of(&failed); }) == EINVAL;
}

static bool readers_may_not_write(const hakmem::domain &d, const char *name)
{
	hak_ref ref = hakmem::make_owned<job>(d, 6).publish();
	pid_t pid = fork();
	int status = -1;

	if (!pid) {
		hakmem::domain reader(name, HAK_RDONLY);
		const job *p = reader.find<const job>(ref);
		int r = thrown([&] { hakmem::make_owned<job>(reader, 1); });

		_exit(p && p->number == 6 && r == EROFS ? 0 : 1);
	}
	return waitpid(pid, &status, 0) == pid && status == 0 && d.claim<job>(ref);
}

int main()
{
	const char *name = "cxx";

	hakmem::domain d(name, HAK_CREATE | HAK_EXCL);
	verdict(thrown([&] { hakmem::domain again(name, HAK_CREATE | HAK_EXCL); }) == EEXIST,
		"a domain is made once");
	verdict(pmr_containers_live_in_it(d), "pmr containers live in a domain");
	verdict(typed_containers_live_in_it(d), "typed containers live in a domain");
	verdict(relative_vectors_and_deques_live_in_it(d), "relative containers, too");
	verdict(relative_pointers_move_with_what_they_point_to(), "relative pointers move");
	verdict(relative_pointers_are_pointers(), "relative pointers count and compare");
	verdict(owned_blocks_go_with_their_owner(d), "owned blocks go with their owner");
	verdict(a_constructor_that_throws_leaves_no_block(d), "a throwing constructor leaks none");
	verdict(published_blocks_can_be_claimed_once(d), "published blocks can be claimed once");
	verdict(roots_change_only_as_expected(d), "roots change only as expected");
	verdict(messages_come_back(d, name), "messages go to another process and back");
	verdict(a_full_channel_leaves_the_block(d), "a full channel leaves the sender's block");
	verdict(a_message_too_small_is_refused(d), "a message too small for its type is refused");
	verdict(failures_throw(d), "failures throw");
	verdict(readers_may_not_write(d, name), "readers may read, not write");
	hakmem::domain::unlink(name);
	verdict(thrown([&] { hakmem::domain::unlink(name); }) == ENOENT,
		"an unlinked name is gone");
	std::printf("1..%d\n", count);
	return failed != 0;
}
