# SPDX-License-Identifier: Apache-2.0
"""What ends the program with one line on stderr instead of a traceback."""


class BenchError(Exception):
    """Something that could not be done; exit status 1."""


class UsageError(BenchError):
    """The arguments make no sense; exit status 2."""
