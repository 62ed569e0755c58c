#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""numpy arrays in domains, beside a daemon. Prints TAP."""

import sys
import unittest

import python_rig
from python_rig import DEADLINE, WithDomain, output, start

try:
    import numpy
except ImportError:
    numpy = None


@unittest.skipIf(numpy is None, 'numpy is not installed')
class Arrays(WithDomain):
    def test_over_a_block(self):
        block = self.d.alloc(80)
        array = block.as_array('f8', (2, 5))
        array[1, 4] = 2.5
        self.assertEqual(block.as_array('f8')[9], 2.5)
        self.assertTrue(numpy.shares_memory(array, block.as_array()))
        self.assertEqual(block.as_array('u1', offset=72).shape, (8,))
        for bad in ('f8', (2, 6)), ('f8', (-1,)), ('O', (1,)), ('f8,f8', (1,)):
            with self.assertRaises((ValueError, TypeError)):
                block.as_array(*bad)
        with self.assertRaises(ValueError):
            block.as_array(offset=81)

    def test_an_array_keeps_its_block(self):
        array = self.d.empty((100, 100), 'f4')
        ref = self.d.block_of(array).ref
        self.assertEqual(array.ctypes.data % 64, 0)
        part = array.T[5:7]
        del array
        self.assertFalse(self.stale(ref))
        part[...] = 1
        del part
        self.assertTrue(self.stale(ref))

    def test_of_every_kind(self):
        both = self.d.channel('both', send=True, recv=True)
        for values in (numpy.arange(24, dtype='i2').reshape(2, 3, 4), numpy.array(3.5),
                       numpy.zeros((0, 4)), numpy.array(['a', 'bcd']), numpy.array([b'x']),
                       numpy.array([True, False]), numpy.array([1 + 2j], 'c8'),
                       numpy.array(['2026-01-01'], 'M8[ns]'), numpy.arange(4, dtype='>u4'),
                       numpy.asfortranarray(numpy.arange(6.0).reshape(2, 3))):
            both.send(self.d.array(values), 0)
            array = both.recv_array(0)
            self.assertEqual(array.dtype, values.dtype)
            self.assertEqual(array.shape, values.shape)
            self.assertTrue((array == values).all())

    def test_from_another_process(self):
        process = start('import numpy\nc = d.channel("a", send=True)\n'
                        'for i in range(3):\n'
                        ' a = d.empty((1000, 1000), "i4"); a[...] = i; c.send(a); del a')
        channel = self.d.channel('a', recv=True)
        sums = [channel.recv_array(DEADLINE).sum() for i in range(3)]
        self.assertEqual(sums, [0, 1000000, 2000000])
        self.assertEqual(process.communicate(timeout=DEADLINE) and process.returncode, 0)
        self.assertEqual(list(channel.arrays()), [])

    def test_what_cannot_be_sent(self):
        both = self.d.channel('both', send=True, recv=True)
        array = self.d.empty((4, 4))
        for part in (array[:2], array.T, array.view('i8'), array.reshape(16)):
            with self.assertRaises(ValueError):
                both.send(part)
        with self.assertRaises(TypeError):
            both.send(numpy.zeros(4))
        with self.assertRaises(TypeError):
            both.send('text')
        both.send(array, 0)
        self.assertFalse(array.flags.writeable)
        with self.assertRaises(ValueError):
            both.send(array)
        with self.assertRaises(TypeError):
            self.d.empty(3, object)

    def test_headers_are_not_trusted(self):
        array = self.d.empty((2, 2))
        block = self.d.block_of(array)
        good = bytes(block.view()[:128])
        for at, bad in ((0, b'X'), (8, b'|O\0'), (8, b'f8,f8\0'), (8, b'(2)f8'), (8, b'\xff'),
                        (8, b'<f4'), (8, b'|S0\0'), (24, b'\x09'), (28, b'\xff\xff\xff\xff'),
                        (32, b'\0'), (40, b'\xff' * 8), (40, b'\xff' * 16)):
            block.view()[:128] = good
            block.view()[at:at + len(bad)] = bad
            with self.assertRaises(ValueError, msg=(at, bad)):
                block.array()
        block.view()[:128] = good
        self.assertEqual(block.array().shape, (2, 2))
        with self.assertRaises(ValueError):
            self.d.alloc(8).array()

    def test_by_name(self):
        array = self.d.array([1.5, 2.5])
        self.assertTrue(self.d.set_root('a', array))
        out = output('import numpy\na = d.get(d.root("a")).array()\n'
                     'print(a.sum(), a.flags.writeable)')
        self.assertEqual(out.split(), ['4.0', 'False'])


if __name__ == '__main__':
    sys.exit(python_rig.run(sys.modules['__main__']))
