# SPDX-License-Identifier: Apache-2.0
"""Counted instructions: exact, so the same twice, and of the size that is known."""

import shutil
import unittest

import rig
from rig import call, call_json


@unittest.skipUnless(shutil.which('valgrind'), 'valgrind is not installed')
class Counting(unittest.TestCase):
    def test_a_pair_of_malloc_and_free(self):
        result = call_json(self, 'count', 'pair:64', '--ops', '500', '--allocators',
                           'libc,embedded', '--json')
        libc, embedded = (result['subjects'][n] for n in ('libc', 'embedded'))
        for subject in (libc, embedded):
            self.assertAlmostEqual(subject['calls'], 2, 2)
            self.assertGreater(subject['allocator']['Ir'], 10)
            self.assertGreater(subject['allocator']['Bc'], 1)
            # The loop around it is a few instructions, the allocator is all the rest.
            loop = subject['whole']['Ir'] - subject['allocator']['Ir']
            self.assertGreater(loop, 3)
            self.assertLess(loop, 60)
        self.assertNotAlmostEqual(embedded['allocator']['Ir'], libc['allocator']['Ir'], 1)

    def test_counts_repeat(self):
        runs = [call_json(self, 'count', 'replace', '--ops', '300', '--allocators', 'libc',
                          '--json')['subjects']['libc']['allocator'] for _ in range(2)]
        self.assertEqual(runs[0], runs[1])

    def test_the_daemon_mode_can_be_counted(self):
        result = call_json(self, 'count', 'pair:64', '--ops', '300', '--allocators', 'daemon',
                           '--json')
        self.assertAlmostEqual(result['subjects']['daemon']['calls'], 2, 2)

    def test_text_explains_the_columns(self):
        status, out, err = call('count', 'xmalloc', '--ops', '100', '--allocators', 'libc')
        self.assertEqual(status, 0, err)
        self.assertIn('instructions', out)
        self.assertIn('depend on the scheduler', out)

    def test_system_calls(self):
        # 32 MiB are above glibc's highest mmap threshold: each pair is an mmap and a munmap.
        result = call_json(self, 'count', 'large:untouched-32m', '--ops', '50', '--size', '64M',
                           '--allocators', 'libc', '--json')
        calls = result['subjects']['libc']['syscalls']
        if rig.strace_works():
            self.assertAlmostEqual(calls, 2, delta=0.2)
        else:
            self.assertIsNone(calls)
            self.assertTrue([n for n in result['notes'] if 'System calls' in n])


if __name__ == '__main__':
    rig.main()
