/* SPDX-License-Identifier: Apache-2.0 */
#include "tiny/checked.h"

#include <pthread.h>
#include <string.h>

#include "shared/check.h"

#define RING_MOST   64u
#define STACK_MOST  32u
#define RING_LEAST  4u
#define STACK_LEAST 2u
#define RING_BYTES  16384u /* in a ring, where RING_LEAST blocks are not more */
#define STACK_BYTES 32768u

struct line {
	uint32_t at;     /* place of the ring's oldest */
	uint32_t n;      /* in the stack */
	uint32_t length; /* of the ring; 0: not open yet */
	uint32_t room;   /* of the stack */
	void *stack[STACK_MOST];
	void *ring[RING_MOST]; /* NULL: nothing yet */
};

struct lines {
	struct line line[HAK_CLASSES];
	struct lines *next; /* while it is nobody's */
};

enum {
	NEW = 0,
	SETTING_UP,
	READY,
	GONE
};

static __thread struct {
	struct lines *lines; /* NULL while not READY */
	int state;
} self;

static struct {
	struct hak_lock lock;
	struct lines *unused;
} store;

static uint16_t *shadow;
static pthread_key_t exit_key;

/* ---- bytes ---- */

/* libc's memcmp and memset: loops of our own were slower, with vectors of 16, 32 and 64 bytes. */

typedef uint64_t word_at __attribute__((aligned(1), may_alias));

#define FREE_WORD (HAK_FREE_BYTE * UINT64_C(0x0101010101010101))

bool hak_checked_untouched(const void *p, size_t n)
{
	/* Aligned, and short enough to stay in the first-level cache. */
	static const uint8_t HAK_ALIGNED(64) pattern[1024] = { [0 ... 1023] = HAK_FREE_BYTE };

	for (; HAK_UNLIKELY(n > sizeof(pattern)); n -= sizeof(pattern)) {
		if (memcmp(p, pattern, sizeof(pattern)))
			return false;
		p = (const char *)p + sizeof(pattern);
	}
	return !memcmp(p, pattern, n);
}

static HAK_COLD _Noreturn void die_written(const void *p, const char *what, size_t from)
{
	const struct hak_slab *slab = hak_slab_of(p);
	const uint8_t *byte = p;

	while (byte[from] == HAK_FREE_BYTE)
		from++;
	slab -= slab->back;
	hak_die("%s %p, at byte %zu (a block of %u bytes, size class %u, in the slab at %p)", what,
		p, from, hak_class[slab->class].size, slab->class, hak_slab_start(slab));
}

static inline void check_free(const char *p, size_t size)
{
	if (HAK_UNLIKELY(!hak_checked_untouched(p, size)))
		die_written(p, "write after free to, or past the end of,", 0);
}

/* The slack has HAK_CHECKED_SLACK bytes or more. Its ends are where writes past a block's end, and
 * before the start of the next, have to go through; the rest is looked at with the free block. */
static inline void check_slack(const char *p, size_t asked, size_t size)
{
	uint64_t first = *(const word_at *)(p + asked), last = *(const word_at *)(p + size - 8);

	if (HAK_UNLIKELY((first ^ FREE_WORD) | (last ^ FREE_WORD)))
		die_written(p, "write past the end of", asked);
}

/* ---- the shadow ---- */

static inline uint64_t offset_of(const void *p)
{
	return (uintptr_t)p - (uintptr_t)hak_tiny.base;
}

static inline uint16_t *shadow_of(const void *p)
{
	return &shadow[offset_of(p) / 16];
}

static inline bool says_in_use(uint16_t word)
{
	return (uint16_t)(word - 1) <= HAK_CHECKED_MAX_SIZE;
}

static inline uint16_t load(const void *p)
{
	if (HAK_UNLIKELY(((uintptr_t)p & 15) || offset_of(p) >= hak_tiny.size))
		return 0;
	return __atomic_load_n(shadow_of(p), __ATOMIC_RELAXED);
}

uint32_t hak_checked_find(const void *p)
{
	uint16_t word = load(p);

	return says_in_use(word) ? word : 0;
}

void hak_checked_die(const void *p, const char *deed)
{
	const struct hak_slab *slab = hak_slab_of(p);
	uint32_t class, offset, slot;
	const char *what;

	slab -= slab->back;
	class = slab->class;
	offset = (uint32_t)((const char *)p - hak_slab_start(slab));
	slot = hak_class_slot(class, offset);
	if (slot >= hak_class[class].blocks || slot * hak_class[class].size != offset)
		what = " of the inside of";
	else if (load(p) != HAK_SHADOW_FREED)
		what = " of what was never allocated:";
	else if (!strcmp(deed, "free"))
		what = "double free of", deed = "";
	else
		what = " after free of";
	hak_die("%s%s %p (a block of %u bytes, size class %u, in the slab at %p)", deed, what, p,
		hak_class[class].size, class, hak_slab_start(slab));
}

void hak_checked_format(struct hak_slab *slab)
{
	char *start = hak_slab_start(slab);
	size_t size = hak_class[slab->class].slabs * HAK_SLAB_SIZE;

	memset(start, HAK_FREE_BYTE, size);
	memset(shadow_of(start), 0, hak_shadow_size(size));
}

void hak_checked_release(struct hak_slab *slab)
{
	uint32_t blocks = hak_class[slab->class].blocks, size = hak_class[slab->class].size;

	for (uint32_t i = 0; i < blocks; i++)
		check_free(hak_slab_start(slab) + (size_t)i * size, size);
}

/* ---- a thread's blocks ---- */

static uint32_t clamp(uint32_t v, uint32_t least, uint32_t most)
{
	return v < least ? least : v > most ? most : v;
}

void hak_checked_bounds(uint32_t class, uint32_t *ret_ring, uint32_t *ret_stack)
{
	*ret_ring = clamp(RING_BYTES / hak_class[class].size, RING_LEAST, RING_MOST);
	*ret_stack = clamp(STACK_BYTES / hak_class[class].size, STACK_LEAST, STACK_MOST);
}

static HAK_COLD void line_open(struct line *line, uint32_t class)
{
	uint32_t length, room;

	hak_checked_bounds(class, &length, &room);
	line->length = length;
	line->room = room;
}

static void line_flush(struct line *line, uint32_t class)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < line->length; i++)
		if (line->ring[i])
			line->ring[n++] = line->ring[i];
	for (uint32_t i = 0; i < n; i++)
		check_free(line->ring[i], hak_class[class].size);
	for (uint32_t i = 0; i < line->n; i++)
		check_free(line->stack[i], hak_class[class].size);
	if (n)
		hak_central_put(class, line->ring, n);
	if (line->n)
		hak_central_put(class, line->stack, line->n);
	memset(line->ring, 0, sizeof(line->ring[0]) * line->length);
	line->n = line->at = 0;
}

static void flush(struct lines *lines)
{
	for (uint32_t c = 1; c < HAK_CLASSES; c++)
		if (lines->line[c].length)
			line_flush(&lines->line[c], c);
}

void hak_checked_flush(void)
{
	if (self.lines)
		flush(self.lines);
}

static void lines_give(struct lines *lines)
{
	hak_lock_take(&store.lock);
	lines->next = store.unused;
	store.unused = lines;
	hak_lock_drop(&store.lock);
}

static void on_thread_exit(void *arg)
{
	struct lines *lines = arg;

	flush(lines);
	self.lines = NULL;
	self.state = GONE;
	lines_give(lines);
}

static struct lines *lines_new(void)
{
	struct lines *lines;

	hak_lock_take(&store.lock);
	lines = store.unused;
	if (lines)
		store.unused = lines->next;
	hak_lock_drop(&store.lock);
	return lines ? lines : hak_tiny.source.meta(sizeof(*lines));
}

static HAK_COLD struct lines *set_up(void)
{
	struct lines *lines;

	if (self.state != NEW)
		return NULL;
	/* Setting a key's value may allocate: those blocks come from the centrals. */
	self.state = SETTING_UP;
	lines = lines_new();
	if (!lines) { /* perhaps there is memory next time */
		self.state = NEW;
		return NULL;
	}
	if (pthread_setspecific(exit_key, lines)) {
		lines_give(lines);
		self.state = GONE;
		return NULL;
	}
	self.lines = lines;
	self.state = READY;
	return lines;
}

static inline struct line *line_of(uint32_t class)
{
	struct lines *lines = self.lines;

	if (HAK_UNLIKELY(!lines)) {
		lines = set_up();
		if (!lines)
			return NULL;
	}
	if (HAK_UNLIKELY(!lines->line[class].length))
		line_open(&lines->line[class], class);
	return &lines->line[class];
}

static HAK_COLD void *refill(struct line *line, uint32_t class)
{
	void *block;

	if (!line)
		return hak_central_take(class, &block, 1) ? block : NULL;
	line->n = hak_central_take(class, line->stack, (line->room + 1u) / 2);
	return line->n ? line->stack[--line->n] : NULL;
}

/* The older half goes to the slabs. */
static HAK_COLD void make_room(struct line *line, uint32_t class)
{
	uint32_t n = line->n / 2u;

	hak_central_put(class, line->stack, n);
	line->n -= n;
	memmove(line->stack, line->stack + n, line->n * sizeof(line->stack[0]));
}

void *hak_checked_take(uint32_t class, size_t size)
{
	struct line *line = line_of(class);
	void *p;

	if (HAK_LIKELY(line && line->n))
		p = line->stack[--line->n];
	else
		p = refill(line, class);
	if (HAK_UNLIKELY(!p))
		return NULL;
	check_free(p, hak_class[class].size);
	__atomic_store_n(shadow_of(p), (uint16_t)(size + 1), __ATOMIC_RELAXED);
	return p;
}

bool hak_checked_put(void *p)
{
	uint16_t word = load(p);
	struct line *line;
	uint32_t class;
	void *oldest;

	/* Relaxed: the loser of a race for a block dies, and blocks change threads under locks. */
	if (HAK_UNLIKELY(!says_in_use(word)) ||
	    !__atomic_compare_exchange_n(shadow_of(p), &word, HAK_SHADOW_FREED, false,
					 __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		return false;
	class = hak_slab_of(p)->class;
	check_slack(p, word - 1u, hak_class[class].size);
	memset(p, HAK_FREE_BYTE, word - 1u);
	line = line_of(class);
	if (HAK_UNLIKELY(!line)) {
		hak_central_put(class, &p, 1);
		return true;
	}
	oldest = line->ring[line->at];
	line->ring[line->at] = p;
	line->at = line->at + 1 == line->length ? 0 : line->at + 1;
	if (HAK_LIKELY(oldest)) {
		if (HAK_UNLIKELY(line->n == line->room))
			make_room(line, class);
		line->stack[line->n++] = oldest;
	}
	return true;
}

bool hak_checked_resize(void *p, size_t size)
{
	size_t old = hak_checked_find(p) - 1u;
	uint32_t class = hak_slab_of(p)->class;

	check_slack(p, old, hak_class[class].size);
	if (size > HAK_CHECKED_MAX_SIZE || hak_class_of(size + HAK_CHECKED_SLACK) != class)
		return false;
	if (size < old)
		memset((char *)p + size, HAK_FREE_BYTE, old - size);
	__atomic_store_n(shadow_of(p), (uint16_t)(size + 1), __ATOMIC_RELAXED);
	return true;
}

/* ---- the whole ---- */

static void verify_slab(const struct hak_slab *slab)
{
	uint32_t size = hak_class[slab->class].size;

	for (uint32_t w = 0; w < hak_slab_words(slab->class); w++)
		for (uint64_t word = slab->bits[w]; word; word &= word - 1)
			check_free(hak_slab_start(slab) +
					   (w * 64u + (uint32_t)__builtin_ctzll(word)) * size,
				   size);
}

void hak_checked_verify(void)
{
	hak_checked_flush();
	for (uint32_t c = 1; c < HAK_CLASSES; c++) {
		struct hak_central *central = &hak_tiny.central[c];

		hak_lock_take(&central->lock);
		for (uint32_t i = central->begun ? central->partial : HAK_NO_SLAB; i != HAK_NO_SLAB;
		     i = hak_tiny.slabs[i].next)
			verify_slab(&hak_tiny.slabs[i]);
		hak_lock_drop(&central->lock);
	}
}

int hak_checked_init(uint16_t *at)
{
	int r = pthread_key_create(&exit_key, on_thread_exit);

	shadow = at;
	hak_tiny.checked = r == 0;
	return -r;
}

void hak_checked_lock(void)
{
	hak_lock_take(&store.lock);
}

void hak_checked_unlock(void)
{
	hak_lock_drop(&store.lock);
}
