#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Reads `hakctl sessions --json`: prints how many there are, or looks for a process number."""

import json
import sys


def sessions(value):
    """Every object with a process number: one a session, however the report is nested."""
    if isinstance(value, dict):
        if "pid" in value:
            yield value
        value = value.values()
    elif not isinstance(value, list):
        return
    for part in value:
        yield from sessions(part)


def main():
    found = [session["pid"] for session in sessions(json.load(sys.stdin))]
    if len(sys.argv) == 1:
        print(len(found))
        return 0
    return 0 if int(sys.argv[1]) in found else 1


if __name__ == "__main__":
    sys.exit(main())
