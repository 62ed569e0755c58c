# SPDX-License-Identifier: Apache-2.0
"""What an operation may cost, refills and flushes included, so that nobody loses it unseen.

The hot path alone is held by tests/check/check_fastpath.sh, instruction by instruction.
"""

import platform
import shutil
import unittest

import rig
from rig import call_json

# Workload, operations, instructions and conditional branches an operation. `xmalloc` depends on
# the scheduler: its figure is the ceiling of many runs, the others repeat exactly.
BUDGET = [
    ('pair:64', 20_000, 24, 3),
    ('pair:1k', 20_000, 24, 3),
    ('random_mixed:default', 200_000, 13, 1.7),
    ('random_mixed:slots100k', 2_000_000, 14, 1.9),
    ('replace:default', 200_000, 26, 3.4),
    ('larson:default', 200_000, 26, 3.4),
    ('calloc:small', 100_000, 40, 6),
    ('xmalloc:64', 200_000, 30, 4),
]


@unittest.skipUnless(platform.machine() == 'x86_64', 'counted on x86-64 only')
@unittest.skipUnless(shutil.which('valgrind'), 'valgrind is not installed')
class Budget(unittest.TestCase):
    pass


def _case(workload, ops, instructions, branches):
    def test(self):
        result = call_json(self, 'count', workload, '--ops', str(ops), '--allocators', 'embedded',
                           '--json')
        cost = result['subjects']['embedded']['allocator']
        self.assertLessEqual(cost['Ir'], instructions)
        self.assertLessEqual(cost['Bc'], branches)
        self.assertGreater(cost['Ir'], 5)  # or it was not ours that was counted
    return test


for _workload, *_limits in BUDGET:
    setattr(Budget, 'test_' + _workload.replace(':', '_'), _case(_workload, *_limits))


if __name__ == '__main__':
    rig.main()
