#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes pictures as numpy arrays in a domain, and sends them to a consumer in C.

    producer.py 3        sends three pictures through the channel "pictures" of the domain "arrays"

numpy writes into the shared memory itself; sending moves who owns the array, and copies nothing.
"""

import sys

import hakmem
import numpy


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    # Whoever comes first makes the domain. `with` leaves it in the end.
    with hakmem.Domain('arrays', create=True) as domain:
        with domain.channel('pictures', send=True) as channel:
            for number in range(count):
                # As numpy.empty(), in a block of the domain.
                picture = domain.empty((480, 640), 'float32')
                picture[...] = numpy.arange(640, dtype='float32')
                picture *= number
                channel.send(picture)
                # The consumer's from here on: it may be writing to it, or have freed it.
                del picture


if __name__ == '__main__':
    main()
