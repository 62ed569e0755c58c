/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz.h - the entry that libFuzzer calls, and replay.c for every file of a corpus.
 *
 *	clang -fsanitize=fuzzer,address,undefined ... tests/fuzz/fuzz_wire.c    searches
 *	the same with tests/fuzz/replay.c instead of -fsanitize=fuzzer          repeats, as a test
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Returns 0; a finding aborts. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
