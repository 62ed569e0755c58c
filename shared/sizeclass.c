/* SPDX-License-Identifier: Apache-2.0 */
/* The table is the definition; tests/unit/test_sizeclass.c derives it again from the rule. */
#include "shared/sizeclass.h"

#define RUN(n) ((n)*HAK_SLAB_SIZE)
#define CLASS(bytes, n)                                                    \
	{                                                                  \
		.size = (bytes), .slabs = (n), .blocks = RUN(n) / (bytes), \
		.reciprocal = ((UINT64_C(1) << 40) + (bytes)-1) / (bytes)  \
	}

const struct hak_class hak_class[HAK_CLASSES] = {
	{ 0 },           CLASS(16, 1),    CLASS(32, 1),    CLASS(48, 1),    CLASS(64, 1),
	CLASS(80, 1),    CLASS(96, 1),    CLASS(112, 1),   CLASS(128, 1),   CLASS(160, 1),
	CLASS(192, 1),   CLASS(224, 1),   CLASS(256, 1),   CLASS(320, 1),   CLASS(384, 1),
	CLASS(448, 1),   CLASS(512, 1),   CLASS(640, 1),   CLASS(768, 1),   CLASS(896, 1),
	CLASS(1024, 1),  CLASS(1280, 1),  CLASS(1536, 1),  CLASS(1792, 1),  CLASS(2048, 1),
	CLASS(2560, 1),  CLASS(3072, 1),  CLASS(3584, 1),  CLASS(4096, 1),  CLASS(5120, 2),
	CLASS(6144, 2),  CLASS(7168, 2),  CLASS(8192, 2),  CLASS(10240, 2), CLASS(12288, 2),
	CLASS(14336, 2), CLASS(16384, 2), CLASS(20480, 4), CLASS(24576, 4), CLASS(28672, 4),
	CLASS(32768, 4),
};

const uint8_t hak_tiny_class[HAK_TINY_MAX / 16 + 1] = {
	1,  1,  2,  3,  4,  5,  6,  7,  8,  9,  9,  10, 10, 11, 11, 12, 12, 13, 13, 13, 13, 14,
	14, 14, 14, 15, 15, 15, 15, 16, 16, 16, 16, 17, 17, 17, 17, 17, 17, 17, 17, 18, 18, 18,
	18, 18, 18, 18, 18, 19, 19, 19, 19, 19, 19, 19, 19, 20, 20, 20, 20, 20, 20, 20, 20,
};
