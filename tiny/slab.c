/* SPDX-License-Identifier: Apache-2.0 */
#include "tiny/slab.h"

void hak_slab_format(struct hak_slab *slab, uint32_t class, uint64_t *bits)
{
	uint32_t blocks = hak_class[class].blocks;
	uint32_t words = hak_slab_words(class);

	*slab = (struct hak_slab){ .kind = HAK_SLAB_BLOCKS, .class = (uint8_t) class };
	slab->bits = words == 1 ? &slab->word : bits;
	for (uint32_t w = 0; w < words; w++)
		slab->bits[w] = ~UINT64_C(0);
	if (blocks % 64)
		slab->bits[words - 1] = (UINT64_C(1) << (blocks % 64)) - 1;
	slab->n_free = blocks;
}

uint32_t hak_slab_take(struct hak_slab *slab, char *start, void **ret_blocks, uint32_t n)
{
	uint32_t size = hak_class[slab->class].size;
	uint32_t got = n < slab->n_free ? n : slab->n_free;
	uint32_t w = slab->hint;

	slab->n_free -= got;
	for (n = got; n; w++) {
		uint64_t word = slab->bits[w];

		for (; word && n; word &= word - 1) {
			uint32_t slot = w * 64 + (uint32_t)__builtin_ctzll(word);

			ret_blocks[--n] = start + (size_t)slot * size;
		}
		slab->bits[w] = word;
		if (word)
			break;
	}
	slab->hint = w;
	return got;
}

uint32_t hak_slab_take_lines(struct hak_slab *slab, char *start, void **ret_blocks, uint32_t n)
{
	uint32_t size = hak_class[slab->class].size, per = HAK_LINE / size, got = 0;
	uint32_t words = hak_slab_words(slab->class);

	if (HAK_LINE % size || per < 2)
		return 0;
	for (uint32_t w = slab->hint; w < words && got + per <= n; w++) {
		uint64_t whole = slab->bits[w];

		for (uint32_t i = 1; i < per; i *= 2)
			whole &= whole >> i;
		whole &= per == 2 ? 0x5555555555555555 : 0x1111111111111111;
		for (; whole && got + per <= n; whole &= whole - 1) {
			uint32_t at = (uint32_t)__builtin_ctzll(whole);

			slab->bits[w] &= ~(((UINT64_C(1) << per) - 1) << at);
			for (uint32_t i = 0; i < per; i++)
				ret_blocks[got++] = start + (size_t)(w * 64 + at + i) * size;
		}
	}
	slab->n_free -= got;
	for (uint32_t i = 0; i < got / 2; i++) {
		void *last = ret_blocks[got - 1 - i];

		ret_blocks[got - 1 - i] = ret_blocks[i];
		ret_blocks[i] = last;
	}
	return got;
}

int hak_slab_put(struct hak_slab *slab, uint32_t offset)
{
	uint32_t slot = hak_class_slot(slab->class, offset);
	uint64_t bit = UINT64_C(1) << (slot % 64);

	if (slot * hak_class[slab->class].size != offset || slot >= hak_class[slab->class].blocks)
		return HAK_SLAB_E_INTERIOR;
	if (slab->bits[slot / 64] & bit)
		return HAK_SLAB_E_DOUBLE;
	slab->bits[slot / 64] |= bit;
	slab->n_free++;
	if (slot / 64 < slab->hint)
		slab->hint = slot / 64;
	return 0;
}

bool hak_slab_check(const struct hak_slab *slab)
{
	uint32_t set = 0;

	for (uint32_t w = 0; w < hak_slab_words(slab->class); w++) {
		set += (uint32_t)__builtin_popcountll(slab->bits[w]);
		if (w < slab->hint && slab->bits[w])
			return false;
	}
	return slab->kind == HAK_SLAB_BLOCKS && set == slab->n_free;
}
