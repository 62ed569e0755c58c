# SPDX-License-Identifier: Apache-2.0
"""What the tests of the Python package share: a domain, other processes, TAP."""

import subprocess
import sys
import unittest

import hakmem

NAME = 'python'
DEADLINE = 60


def start(code, *args):
    """Another process; `d` is the domain in it."""
    prelude = f'''import hakmem, os, sys
d = hakmem.Domain({NAME!r})
'''
    return subprocess.Popen([sys.executable, '-c', prelude + code, *map(str, args)],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def output(code, *args):
    process = start(code, *args)
    out, _ = process.communicate(timeout=DEADLINE)
    if process.returncode != 0:
        raise AssertionError(f'the other process ended with {process.returncode}')
    return out.strip()


class WithDomain(unittest.TestCase):
    attributes = {}

    def setUp(self):
        self.d = hakmem.Domain.create(NAME, **self.attributes)
        self.addCleanup(hakmem.unlink, NAME)
        self.addCleanup(self.d.close)

    def stale(self, ref):
        try:
            self.d.get(ref)
        except hakmem.Stale:
            return True
        return False


class Tap(unittest.TestResult):
    count = 0

    def line(self, test, ok='ok', note=''):
        self.count += 1
        print(f'{ok} {self.count} - {test.id().partition(".")[2]}{note}', flush=True)

    def broken(self, test, err):
        self.line(test, 'not ok')
        for line in self._exc_info_to_string(err, test).splitlines():
            print('#', line, flush=True)

    def addSuccess(self, test):
        self.line(test)

    def addSkip(self, test, reason):
        self.line(test, note=f' # SKIP {reason}')

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.broken(test, err)

    addError = addFailure


def run(module):
    """All tests of a module; the exit status."""
    result = Tap()
    unittest.defaultTestLoader.loadTestsFromModule(module).run(result)
    print(f'1..{result.count}')
    return not result.wasSuccessful()
