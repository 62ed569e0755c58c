#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Counts what one run of `meson test` did: count_tests.py LABEL BUILD SOURCE SUITE...

Every TAP line counts as a test. Prints what failed, with the test's output, and what was skipped,
with the reason; the last line is "PASSED FAILED SKIPPED".

The numbers come from testlog.junit.xml. testlog.json is needed beside it, because the former is
silent about a program that printed only good lines and then crashed, hung, or lost its plan.
"""

import json
import re
import sys
import xml.etree.ElementTree as xml
from pathlib import Path

LOG_LINES = 200


class Tally:
    def __init__(self, label):
        self.label = label
        self.passed = self.failed = self.skipped = 0

    def fail(self, name, why):
        self.failed += 1
        print(f'FAILED   {self.label}: {name}: {why}')

    def skip(self, name, why):
        self.skipped += 1
        print(f'SKIPPED  {self.label}: {name}: {why}')


def tail(text):
    lines = (text or '').rstrip().splitlines()
    if len(lines) > LOG_LINES:
        lines = [f'... {len(lines) - LOG_LINES} lines left out'] + lines[-LOG_LINES:]
    return ''.join(f'    | {line}\n' for line in lines)


def reason_of_whole_skip(record):
    """The text of `1..0 # SKIP reason`, or None if the program did not skip by its plan."""
    plan = re.search(r'^1\.\.0\b\s*(?:#\s*(?:skip(?:ped)?:?)?\s*(.*))?$',
                     record.get('stdout') or '', re.I | re.M)
    return (plan.group(1) or 'no reason given') if plan else None


def count_program(tally, name, record, tap, cases):
    """One test program: its TAP lines are `cases`, or else one case that stands for it."""
    result = record['result']
    failed_before = tally.failed

    if tap:
        # A failure that is expected (`not ok # todo`) is good news to meson; to us it is a hole.
        holes = len(re.findall(r'^not ok\b.*#\s*todo\b', record.get('stdout') or '',
                               re.I | re.M))
        for case in cases:
            title = f"{name}: {case.get('name')}"
            if case.find('failure') is not None or case.find('error') is not None:
                tally.fail(title, 'not ok')
            elif case.find('skipped') is not None:
                tally.skip(title, case.findtext('system-out') or 'no reason given')
            else:
                tally.passed += 1
        tally.passed -= holes
        for _ in range(holes):
            tally.skip(name, 'expected to fail')
        if result not in ('OK', 'SKIP', 'EXPECTEDFAIL') and tally.failed == failed_before:
            tally.fail(name, f"{result}, exit status {record.get('returncode')}")
    elif result == 'OK':
        tally.passed += 1
    elif result == 'SKIP' and record.get('returncode') == 77:
        tally.skip(name, 'exit status 77')
    elif result == 'SKIP' and reason_of_whole_skip(record):
        tally.skip(name, reason_of_whole_skip(record))
    elif result == 'SKIP':
        tally.fail(name, 'it printed no test')
    else:
        tally.fail(name, f"{result}, exit status {record.get('returncode')}")

    if tally.failed > failed_before:
        sys.stdout.write(tail(record.get('stdout')) + tail(record.get('stderr')))


def bare(name):
    """meson writes "PROJECT:SUITE / NAME", or just NAME where there is only one suite."""
    return name.rpartition(' / ')[2]


def read_cases(junit):
    """Test name -> (whether it spoke TAP, its cases).

    A program that printed TAP has a <testsuite> of its own, named PROJECT.TEST; the others are
    cases of one named PROJECT.
    """
    cases = {}
    for suite in xml.parse(junit).getroot().iter('testsuite'):
        tap = '.' in suite.get('name')
        for case in suite.iter('testcase'):
            name = suite.get('name').partition('.')[2] if tap else case.get('name')
            cases.setdefault(bare(name), (tap, []))[1].append(case)
    return cases


def read_records(path):
    lines = path.read_text(encoding='utf-8', errors='replace').splitlines()
    return {bare(record['name']): record for record in map(json.loads, lines)}


def main():
    label, build, source, *suites = sys.argv[1:]
    build, source = Path(build), Path(source)
    tally = Tally(label)
    tests = json.loads((build / 'meson-info' / 'intro-tests.json').read_text())
    junit = build / 'meson-logs' / 'testlog.junit.xml'
    cases = read_cases(junit) if junit.exists() else {}
    records = read_records(junit.with_name('testlog.json')) if junit.exists() else {}

    for suite in suites:
        names = [test['name'] for test in tests if f'hakmem:{suite}' in test['suite']]
        before = tally.passed + tally.failed + tally.skipped
        for name in names:
            if name in records and name in cases:
                count_program(tally, name, records[name], *cases[name])
            else:
                tally.fail(name, 'it did not run')
        sources = [path for path in (source / 'tests' / suite).glob('*')
                   if path.suffix in ('.c', '.cpp', '.sh')]
        if sources and tally.passed + tally.failed + tally.skipped == before:
            tally.fail(f'suite {suite}', 'it has sources, but no test ran')

    print(tally.passed, tally.failed, tally.skipped)


if __name__ == '__main__':
    main()
