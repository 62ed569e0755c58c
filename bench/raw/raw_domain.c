/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/raw/raw_domain.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shared/sys.h"

int raw_done(struct raw *raw, const struct hak_wire_frame *frame, char ret_text[HAK_WIRE_TEXT])
{
	struct hak_wire_frame answer;
	int r = raw_send(raw->sock, frame, sizeof(*frame), NULL, 0);

	if (r == 0)
		r = raw_recv(raw->sock, &answer, NULL, NULL);
	if (r < 0)
		return r;
	if (answer.type != HAK_WIRE_DONE)
		return -EPROTO;
	memcpy(ret_text, answer.done.text, HAK_WIRE_TEXT);
	return answer.done.code;
}

static int map_file(void **ret, int fd, uint64_t size, bool write)
{
	void *at = mmap(NULL, size, write ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);

	if (at == MAP_FAILED)
		return -errno;
	*ret = at;
	return 0;
}

static int take_files(struct raw_domain *domain, uint32_t flags)
{
	const struct hak_wire_domain *answer = &domain->answer;
	void *state = NULL;
	int r;

	r = map_file(&state, domain->state_fd, HAK_STATE_SIZE, false);
	if (r < 0)
		return r;
	domain->state = state;
	r = map_file(&domain->meta, domain->meta_fd, hak_meta_size(answer->superslabs),
		     !(flags & HAK_WIRE_RDONLY));
	if (r < 0)
		return r;
	hak_domain_view_init(&domain->view, domain->meta, NULL, answer->superslabs,
			     domain->state->tag);
	return 0;
}

int raw_domain_open(struct raw *raw, struct raw_domain *ret, const char *name, uint32_t flags,
		    const struct hak_wire_domain_attr *attr)
{
	struct hak_wire_frame frame = hak_wire_make(HAK_WIRE_DOMAIN_ATTR);
	int fds[HAK_WIRE_FDS_MAX], r = 0;
	unsigned n_fds;

	*ret = (struct raw_domain){ .data_fd = -1, .meta_fd = -1, .state_fd = -1, .sign_fd = -1 };
	if (attr) {
		frame.domain_attr = *attr;
		r = raw_send(raw->sock, &frame, sizeof(frame), NULL, 0);
	}
	frame = hak_wire_make(HAK_WIRE_DOMAIN_OPEN);
	memcpy(frame.domain_open.name, name, strnlen(name, HAK_WIRE_DOMAIN_NAME));
	frame.domain_open.flags = flags;
	if (r == 0)
		r = raw_send(raw->sock, &frame, sizeof(frame), NULL, 0);
	if (r == 0)
		r = raw_recv(raw->sock, &frame, fds, &n_fds);
	if (r < 0)
		return r;
	if (frame.type == HAK_WIRE_DONE) {
		memcpy(ret->text, frame.done.text, sizeof(ret->text));
		return frame.done.code;
	}
	if (frame.type != HAK_WIRE_DOMAIN || n_fds != 4)
		return -EPROTO;
	ret->answer = frame.domain;
	ret->id = frame.domain.id;
	ret->member = frame.domain.member;
	ret->base = frame.domain.base;
	ret->created = frame.domain.created;
	ret->data_fd = fds[0];
	ret->meta_fd = fds[1];
	ret->state_fd = fds[2];
	ret->sign_fd = fds[3];
	r = take_files(ret, flags);
	if (r < 0)
		raw_domain_drop(ret);
	return r;
}

int raw_domain_map(struct raw_domain *domain)
{
	uint64_t size = (uint64_t)domain->answer.superslabs * HAK_SUPERSLAB_SIZE;
	char *want = hak_at(NULL, domain->base); /* an address that the daemon chose */
	void *at = mmap(want, size, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_NORESERVE, domain->data_fd, 0);

	if (at == MAP_FAILED)
		return -errno;
	domain->view.data = at;
	return 0;
}

void raw_domain_drop(struct raw_domain *domain)
{
	uint64_t size = (uint64_t)domain->answer.superslabs * HAK_SUPERSLAB_SIZE;

	if (domain->view.data)
		(void)hak_sys_unmap(domain->view.data, size);
	if (domain->meta)
		(void)hak_sys_unmap(domain->meta, hak_meta_size(domain->answer.superslabs));
	if (domain->state)
		(void)munmap((void *)(uintptr_t)domain->state, HAK_STATE_SIZE);
	domain->view.data = NULL;
	domain->meta = NULL;
	domain->state = NULL;
	domain->data_fd = hak_sys_close(domain->data_fd);
	domain->meta_fd = hak_sys_close(domain->meta_fd);
	domain->state_fd = hak_sys_close(domain->state_fd);
	domain->sign_fd = hak_sys_close(domain->sign_fd);
}

int raw_domain_close(struct raw *raw, struct raw_domain *domain)
{
	struct hak_wire_frame frame = hak_wire_make(HAK_WIRE_DOMAIN_CLOSE);

	raw_domain_drop(domain);
	frame.domain_close.id = domain->id;
	return raw_done(raw, &frame, domain->text);
}

int raw_domain_unlink(struct raw *raw, const char *name)
{
	struct hak_wire_frame frame = hak_wire_make(HAK_WIRE_DOMAIN_UNLINK);
	char text[HAK_WIRE_TEXT];

	memcpy(frame.domain_open.name, name, strnlen(name, HAK_WIRE_DOMAIN_NAME));
	return raw_done(raw, &frame, text);
}

int raw_domain_heir(struct raw *raw, const struct raw_domain *domain, uint64_t heir)
{
	struct hak_wire_frame frame = hak_wire_make(HAK_WIRE_DOMAIN_HEIR);
	char text[HAK_WIRE_TEXT];

	frame.domain_heir.id = domain->id;
	frame.domain_heir.member = heir;
	return raw_done(raw, &frame, text);
}

int raw_domain_grow(struct raw *raw, uint64_t id, uint32_t count, struct hak_cqe *ret_cqe)
{
	struct hak_sqe sqe = raw_entry(raw, HAK_OP_DOMAIN_GROW);

	sqe.count = count;
	sqe.node = HAK_NODE_ANY;
	sqe.reserved[0] = id;
	return raw_call(raw, &sqe, ret_cqe);
}

int raw_domains(const char *path, struct hak_report_domain *ret_records, unsigned max)
{
	int sock = raw_connect(path), r;

	if (sock < 0)
		return sock;
	r = raw_ask(sock, HAK_QUERY_DOMAINS, ret_records, sizeof(*ret_records), max);
	close(sock);
	return r;
}
