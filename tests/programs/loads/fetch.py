#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Fetches what nginx serves in many ways and prints statuses, chosen headers and digests."""

import gzip
import hashlib
import http.client
import sys

SHOWN = ("content-encoding", "content-length", "content-range", "content-type", "x-generation")


def fetch(connection, path, method="GET", **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    if answer.getheader("content-encoding") == "gzip":
        body = gzip.decompress(body)
    shown = " ".join(f"{name}={answer.getheader(name)}" for name in SHOWN if answer.getheader(name))
    print(method, path, answer.status, hashlib.sha256(body).hexdigest()[:16], shown)


def main():
    connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=20)
    for number in range(1, 41):
        fetch(connection, f"/small{number}.txt")
    for path in ("/numbers.txt", "/noise.bin", "/proxy/numbers.txt", "/proxy/noise.bin", "/no"):
        fetch(connection, path)
        fetch(connection, path, accept_encoding="gzip")
        fetch(connection, path, range="bytes=100-70000")
        fetch(connection, path, range="bytes=0-9,500-600,-5")
        fetch(connection, path, method="HEAD")
    fetch(connection, "/" + "long" * 1500)
    connection.close()


if __name__ == "__main__":
    main()
