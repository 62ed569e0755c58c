# SPDX-License-Identifier: Apache-2.0
"""numpy arrays in blocks. A described array's block begins with

    char     magic[8]      "HAKARR1\\0"
    char     dtype[16]     numpy's name of the element type, such as "<f8"
    uint32_t dimensions    at most 8
    uint32_t data          where the elements begin, from the block's start: 128
    uint64_t bytes         of all elements
    uint64_t shape[8]

little-endian, elements in C order.
"""

import math
import struct

import numpy

MAGIC = b'HAKARR1\0'
HEADER = struct.Struct('<8s16sIIQ8Q')
DATA = 128  # a multiple of a cache line, as blocks of arrays are aligned to one
ALIGN = 64
DIMENSIONS = 8


def plain(dtype):
    """A dtype that means the same in every process."""
    dtype = numpy.dtype(dtype)
    if dtype.kind not in 'biufcmMSU' or not dtype.itemsize or len(dtype.str) > 16:
        raise TypeError(f'{dtype} cannot be shared: numbers, times and fixed strings can')
    return dtype


def dimensions(shape):
    try:
        shape = tuple(int(n) for n in shape)
    except TypeError:
        shape = (int(shape),)
    if len(shape) > DIMENSIONS or any(n < 0 for n in shape):
        raise ValueError(f'a shape has at most {DIMENSIONS} dimensions, none of them negative')
    return shape


def describe(memory, dtype, shape):
    """Writes the header of an array into a block."""
    padded = shape + (0,) * (DIMENSIONS - len(shape))
    HEADER.pack_into(memory.exported(), 0, MAGIC, dtype.str.encode(), len(shape), DATA,
                     math.prod(shape) * dtype.itemsize, *padded)


def over(memory, dtype, shape, offset, writable):
    """An array over a block's bytes."""
    dtype = plain(dtype)
    if not 0 <= offset <= memory.size:
        raise ValueError('the offset is outside of the block')
    if shape is None:
        shape = ((memory.size - offset) // dtype.itemsize if dtype.itemsize else 0,)
    shape = dimensions(shape)
    if math.prod(shape) * dtype.itemsize > memory.size - offset:
        raise ValueError(f'the block has {memory.size} bytes, too few for the array')
    exported = memory.exported()
    array = numpy.ndarray(shape, dtype, buffer=exported, offset=offset)
    array.flags.writeable = writable
    return array


def described(memory, writable):
    """The array that a block's header describes. Another process wrote it: nothing is trusted."""
    if memory.size < DATA:
        raise ValueError('the block has no array in it')
    magic, name, count, data, size, *shape = HEADER.unpack_from(memory.exported(), 0)
    if magic != MAGIC or count > DIMENSIONS:
        raise ValueError('the block has no array in it')
    try:
        dtype = plain(name.rstrip(b'\0').decode('ascii'))
    except (TypeError, ValueError, SyntaxError):
        raise ValueError(f'the array in the block is of an unknown type {name!r}') from None
    shape = tuple(shape[:count])
    if math.prod(shape) * dtype.itemsize != size:
        raise ValueError('the header of the array contradicts itself')
    return over(memory, dtype, shape, data, writable)


def memory_of(array):
    """The memory of the block that an array lies in; None: in no block."""
    base = array
    while isinstance(base, numpy.ndarray):
        base = base.base
    if isinstance(base, memoryview):
        base = base.obj
    return getattr(base, 'hakmem_memory', None)


def memory_of_whole(array):
    """The same, of an array that is what the block's header describes, all of it."""
    memory = memory_of(array)
    if memory is None:
        raise TypeError('the array is not in a domain: Domain.array() copies it there')
    whole = described(memory, False)
    if (array.shape, array.dtype, array.strides) != (whole.shape, whole.dtype, whole.strides) or \
            array.__array_interface__['data'][0] != whole.__array_interface__['data'][0]:
        raise ValueError('a part of an array cannot be sent, the block is all of it')
    return memory
