# SPDX-License-Identifier: Apache-2.0
"""What the tests of hakbench have in common: where it is, how it is called, and TAP.

HAKBENCH names the program. Its workloads, library and daemon are in the same build.
"""

import functools
import json
import os
import shutil
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))

HAKBENCH = os.environ.get('HAKBENCH', '')
BUILD = os.path.dirname(os.path.dirname(os.path.abspath(HAKBENCH)))
WORKLOADS = os.path.join(BUILD, 'bench', 'workloads')
LIBRARY = os.path.join(BUILD, 'libclient', 'libhakmalloc.so')
DEADLINE_S = 240


def call(*args):
    """hakbench ARGS: status, stdout, stderr."""
    done = subprocess.run([HAKBENCH, *args], capture_output=True, text=True, timeout=DEADLINE_S,
                          check=False)
    return done.returncode, done.stdout, done.stderr


def call_json(test, *args):
    """The same, where it has to succeed and to print JSON."""
    status, out, err = call(*args)
    test.assertEqual(status, 0, err)
    return json.loads(out)


@functools.lru_cache
def strace_works():
    return bool(shutil.which('strace')) and subprocess.run(
        ['strace', '-o', '/dev/null', '/bin/true'], capture_output=True,
        check=False).returncode == 0


class _Tap(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.count = 0

    def _line(self, good, test, suffix='', why=''):
        self.count += 1
        name = test.id().replace('__main__.', '')
        print(f"{'ok' if good else 'not ok'} {self.count} - {name}{suffix}")
        for line in why.splitlines():
            print(f'# {line}')
        sys.stdout.flush()

    def addSuccess(self, test):
        super().addSuccess(test)
        self._line(True, test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._line(False, test, why=self._exc_info_to_string(err, test))

    def addError(self, test, err):
        super().addError(test, err)
        self._line(False, test, why=self._exc_info_to_string(err, test))

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._line(True, test, suffix=f' # SKIP {reason}')

    def addSubTest(self, test, subtest, err):
        """A subtest that fails is a case of its own; TestCase then reports no success."""
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._line(False, subtest, why=self._exc_info_to_string(err, test))


def main():
    if not os.access(HAKBENCH, os.X_OK):
        print('Bail out! HAKBENCH does not name the program to test')
        sys.exit(1)
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules['__main__'])
    result = _Tap()
    suite.run(result)
    print(f'1..{result.count}')
    sys.exit(0 if result.wasSuccessful() and result.count else 1)
