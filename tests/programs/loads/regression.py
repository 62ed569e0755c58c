#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs regression tests of python itself, or compares the results of two runs.

    regression.py TEST... [-m PATTERN]...   prints "test.case.method result", sorted
    regression.py --compare WITHOUT WITH    0 when the second run is as good as the first
"""

import subprocess
import sys
import xml.etree.ElementTree as etree

# A guard against a comparison of next to nothing: how many of the first run must have passed.
PASSED_AT_LEAST = 0.8

# As `python3 -m test`, by a process that shows what it has mapped.
THE_RUN = """
import runpy
with open('/proc/self/maps') as maps, open('evidence.python', 'w') as out:
    out.write(maps.read())
runpy.run_module('test', run_name='__main__', alter_sys=True)
"""


def result(case):
    for kind in ("failure", "error", "skipped"):
        if case.find(kind) is not None:
            return "skipped" if kind == "skipped" else "failed"
    return "passed"


def run(arguments):
    # Its status tells whether any test failed, which the comparison judges.
    command = [sys.executable, "-c", THE_RUN, "--junit-xml", "results.xml", *arguments]
    status = subprocess.run(command, stdout=sys.stderr, check=False).returncode
    if status < 0:
        sys.exit(f"the tests ended by signal {-status}")
    root = etree.parse("results.xml").getroot()
    lines = [f"{case.get('name')} {result(case)}" for case in root.iter("testcase")]
    print("\n".join(sorted(lines)))


def load(path):
    with open(path, encoding="utf-8") as lines:
        return dict(line.rstrip("\n").rsplit(" ", 1) for line in lines)


def compare(without, with_library):
    failed = {name for name, how in without.items() if how == "failed"}
    passed = sum(how == "passed" for how in without.values())
    different = sorted(name for name in without.keys() | with_library.keys()
                       if name not in failed and without.get(name) != with_library.get(name))
    for name in different[:20]:
        print(f"#   {name}: {without.get(name)} without, {with_library.get(name)} with the library")
    if passed < PASSED_AT_LEAST * len(without) or not passed:
        print(f"#   only {passed} of {len(without)} tests pass without the library")
        return 1
    if different:
        print(f"# {len(different)} of {len(without)} tests ended differently")
        return 1
    print(f"# {passed} of {len(without)} tests passed in both, "
          f"{len(failed)} fail without the library")
    return 0


if __name__ == "__main__":
    if sys.argv[1] == "--compare":
        sys.exit(compare(load(sys.argv[2]), load(sys.argv[3])))
    run(sys.argv[1:])
