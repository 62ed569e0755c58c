#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The Python package beside a daemon, in processes of their own. Prints TAP."""

import ctypes
import errno
import gc
import os
import signal
import subprocess
import sys
import threading
import unittest

import hakmem

try:
    import numpy
except ImportError:
    numpy = None

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


class Domains(WithDomain):
    def test_is_made_once(self):
        with self.assertRaises(FileExistsError) as caught:
            hakmem.Domain.create(NAME)
        self.assertIsInstance(caught.exception, hakmem.Exists)
        self.assertEqual(caught.exception.errno, errno.EEXIST)
        self.assertIn(NAME, str(caught.exception))

    def test_missing(self):
        with self.assertRaises(FileNotFoundError):
            hakmem.Domain('missing')
        with self.assertRaises(hakmem.NotFound):
            hakmem.unlink('missing')
        with self.assertRaises(hakmem.Error) as caught:
            hakmem.Domain('.hidden', create=True)
        self.assertEqual(caught.exception.errno, errno.EINVAL)

    def test_closed(self):
        with hakmem.Domain(NAME) as again:
            again.alloc(1)
        with self.assertRaises(ValueError):
            again.alloc(1)
        again.close()

    def test_no_daemon(self):
        code = ('import hakmem\ntry:\n hakmem.Domain("x", create=True)\n'
                'except ConnectionError as e:\n print(type(e).__name__)')
        out = subprocess.run([sys.executable, '-c', code], text=True, timeout=DEADLINE,
                             env={**os.environ, 'HAKMEM_SOCKET': '/nonexistent'},
                             stdout=subprocess.PIPE, check=True).stdout
        self.assertEqual(out.strip(), 'NoDaemon')

    def test_stat(self):
        before = self.d.stat()['published']
        self.d.alloc(100).publish()
        self.assertEqual(self.d.stat()['published'], before + 1)
        self.assertEqual(self.d.stat()['members'], 1)

    def test_readonly(self):
        ref = self.d.alloc(8).publish()
        code = ('d = hakmem.Domain(d.name, readonly=True) if d.close() is None else None\n'
                'print(len(d.get(int(sys.argv[1])).view()) >= 8)\n'
                'try:\n d.alloc(1)\nexcept OSError as e:\n print(e.errno)')
        self.assertEqual(output(code, ref).split(), ['True', str(errno.EROFS)])
        self.d.get(ref).free()


class Quota(WithDomain):
    attributes = {'max_size': 64 << 20, 'quota': 8 << 20}

    def test_is_a_memory_error(self):
        with self.assertRaises(MemoryError) as caught:
            self.d.alloc(16 << 20)
        self.assertIsInstance(caught.exception, hakmem.OutOfMemory)
        with self.assertRaises(ValueError):
            self.d.alloc(1 << 70)
        with self.assertRaises(ValueError):
            self.d.alloc(-1)


class Blocks(WithDomain):
    def test_views_are_the_memory(self):
        block = self.d.alloc(1000)
        view = block.view()
        view[:5] = b'hello'
        self.assertEqual(len(block), 1000)
        self.assertEqual(ctypes.string_at(block.address, 5), b'hello')
        self.assertEqual(bytes(block.view()[:5]), b'hello')
        self.assertEqual(self.d.get(block.ref).address, block.address)
        self.assertEqual(len(self.d.alloc(0).view()), 0)
        self.assertEqual(self.d.alloc(10, align=4096).address % 4096, 0)

    def test_a_dropped_block_is_freed(self):
        block = self.d.alloc(100)
        ref = block.ref
        self.assertFalse(self.stale(ref))
        del block
        self.assertTrue(self.stale(ref))

    def test_a_view_keeps_a_freed_block(self):
        block = self.d.alloc(100)
        view, ref = block.view(), block.ref
        block.free()
        with self.assertRaises(ValueError):
            block.view()
        self.assertFalse(self.stale(ref))
        view[0] = 1
        part = view[10:20]
        del view
        self.assertFalse(self.stale(ref))
        del part
        self.assertTrue(self.stale(ref))

    def test_a_view_keeps_the_membership(self):
        domain = hakmem.Domain.create('python-2')
        member, watcher = domain.member, hakmem.Domain('python-2')
        view = domain.alloc(1 << 20).view()
        domain.close()
        watcher.close()
        view[-1] = 7
        self.assertEqual(view[-1], 7)
        with hakmem.Domain('python-2') as again:
            self.assertEqual(again.member, member)
        del view
        with hakmem.Domain('python-2') as again:
            self.assertNotEqual(again.member, member)
        hakmem.unlink('python-2')

    def test_published_blocks_outlive_their_process(self):
        ref = int(output('b = d.alloc(5); b.view()[:] = b"hello"; print(b.publish())'))
        block = self.d.get(ref)
        self.assertFalse(block.owned)
        self.assertEqual(block.owner, 0)
        self.assertEqual(bytes(block.view()[:5]), b'hello')
        self.assertTrue(block.view().readonly)
        self.assertFalse(block.view(writable=True).readonly)
        other = self.d.get(ref)
        block.claim()
        self.assertTrue(block.owned)
        self.assertEqual(block.owner, self.d.member)
        with self.assertRaises(hakmem.Error):
            other.claim()
        with hakmem.Domain(NAME) as again:
            del other
            other = again.get(ref)
        block.free()
        self.assertFalse(self.stale(ref))
        del other
        self.assertTrue(self.stale(ref))

    def test_given_blocks(self):
        process = start('print(d.member, flush=True)\n'
                        'b = d.get(int(sys.stdin.readline()))\n'
                        'b.view()[0] += 1\nprint(b.owned, b.publish())')
        member = int(process.stdout.readline())
        self.assertTrue(self.d.alive(member))
        block = self.d.alloc(10)
        block.view()[0] = 41
        ref = block.ref
        block.give(member)
        with self.assertRaises(ValueError):
            block.view()
        out, _ = process.communicate(f'{ref}\n', timeout=DEADLINE)
        self.assertEqual(out.split(), ['True', str(ref)])
        self.assertEqual(self.d.get(ref).view()[0], 42)
        block = self.d.alloc(10)
        while self.d.next_event(DEADLINE).type != hakmem.EventType.SWEPT:
            pass
        with self.assertRaises(hakmem.Error) as caught:
            block.give(member)
        self.assertEqual(caught.exception.errno, errno.ESRCH)
        self.assertTrue(block.owned)

    def test_refs_are_checked(self):
        for ref in (0, 1, 1 << 63):
            with self.assertRaises(hakmem.Error):
                self.d.get(ref)

    def test_a_fork_leaves_the_parent_its_blocks(self):
        block = self.d.alloc(100)
        ref = block.ref
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                block.view()
            except RuntimeError:
                del block, self.d
                gc.collect()
                with hakmem.Domain(NAME) as own:
                    status = 0 if own.get(ref).owner else 2
            os._exit(status)
        self.assertEqual(os.waitpid(pid, 0)[1], 0)
        self.assertFalse(self.stale(ref))
        self.assertEqual(block.owner, self.d.member)


class Roots(WithDomain):
    def test_change_as_expected(self):
        first, second = self.d.alloc(10), self.d.alloc(10)
        self.assertEqual(self.d.root('r'), 0)
        self.assertTrue(self.d.set_root('r', first))
        self.assertFalse(first.owned)
        self.assertFalse(self.d.set_root('r', second))
        self.assertTrue(second.owned)
        self.assertTrue(self.d.set_root('r', second, expected=first.ref))
        self.assertEqual(output('print(d.root("r"))'), str(second.ref))
        self.assertTrue(self.d.set_root('r', None, expected=second.ref))
        self.assertEqual(self.d.root('r'), 0)
        with self.assertRaises(hakmem.Error):
            self.d.set_root('', first)

    def test_publish_by_number(self):
        block = self.d.alloc(10)
        ref = block.ref
        self.assertTrue(self.d.set_root('r', ref))
        del block
        self.assertFalse(self.stale(ref))


class Members(WithDomain):
    attributes = {'orphans': hakmem.Orphans.HEIR}

    def next(self):
        return self.d.next_event(DEADLINE)

    def test_a_death_is_seen_and_inherited(self):
        self.assertIsNone(self.d.next_event(0))
        process = start('d.set_heir(int(sys.argv[1]))\n'
                        'b = d.channel("c", recv=True).recv()\n'
                        'print("received", flush=True)\nsys.stdin.read()', self.d.member)
        event = self.next()
        self.assertEqual((event.type, event.pid), (hakmem.EventType.JOINED, process.pid))
        self.assertTrue(self.d.alive(event.member))
        member = event.member
        block = self.d.alloc(10)
        ref = block.ref
        self.d.channel('c', send=True).send(block, DEADLINE)
        self.assertEqual(process.stdout.readline(), 'received\n')
        process.kill()
        process.communicate()
        types = []
        while hakmem.EventType.SWEPT not in types:
            event = self.next()
            self.assertEqual(event.member, member)
            types.append(event.type)
        self.assertEqual(types, [hakmem.EventType.DIED, hakmem.EventType.SWEPT])
        self.assertFalse(self.d.alive(member))
        self.assertEqual(self.d.get(ref).owner, self.d.member)


class Channels(WithDomain):
    def test_there_and_back(self):
        process = start('o = d.channel("back", send=True)\n'
                        'for b in d.channel("there", recv=True):\n'
                        ' b.view()[0] += 1\n o.send(b)')
        there = self.d.channel('there', send=True)
        back = self.d.channel('back', recv=True)
        for i in range(100):
            block = self.d.alloc(64)
            block.view()[0] = i
            there.send(block, DEADLINE)
            with self.assertRaises(ValueError):
                there.send(block)
            self.assertEqual(back.recv(DEADLINE).view()[0], i + 1)
        there.close()
        self.assertEqual(process.communicate(timeout=DEADLINE) and process.returncode, 0)
        with self.assertRaises(BrokenPipeError) as caught:
            back.recv()
        self.assertIsInstance(caught.exception, hakmem.Closed)

    def test_full_and_empty(self):
        both = self.d.channel('both', 2, send=True, recv=True)
        with self.assertRaises(TimeoutError):
            both.recv(0)
        with self.assertRaises(hakmem.TimedOut):
            both.recv(0.01)
        for i in range(2):
            block = self.d.alloc(1)
            block.view()[0] = i
            both.send(block, 0)
        block = self.d.alloc(1)
        with self.assertRaises(hakmem.TimedOut):
            both.send(block, 0)
        self.assertTrue(block.owned)
        self.assertEqual([both.recv(0).view()[0] for i in range(2)], [0, 1])
        both.close()
        with self.assertRaises(ValueError):
            both.recv()

    def test_signals_are_handled_while_it_waits(self):
        def interrupt(*_):
            raise KeyboardInterrupt

        self.addCleanup(signal.signal, signal.SIGALRM, signal.signal(signal.SIGALRM, interrupt))
        both = self.d.channel('both', send=True, recv=True)
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with self.assertRaises(KeyboardInterrupt):
            both.recv()

    def test_threads(self):
        # Blocks go round: each is had by one thread at a time, in Python's books, too.
        both = self.d.channel('round', send=True, recv=True)
        seen = []

        def turn():
            for _ in range(500):
                block = both.recv(DEADLINE)
                ref = block.ref
                if self.d.get(ref).address != block.address or not block.owned:
                    return
                block.view()[0] = (block.view()[0] + 1) % 251
                both.send(block, DEADLINE)
            seen.append(True)

        for _ in range(8):
            block = self.d.alloc(100)
            block.view()[0] = 0
            both.send(block)
        threads = [threading.Thread(target=turn) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(seen), 4)
        self.assertEqual(self.d.stat()['moving'], 8)
        self.assertEqual(sum(both.recv(0).view()[0] for _ in range(8)) % 251, 2000 % 251)

    def test_arguments(self):
        with self.assertRaises(hakmem.Error):
            self.d.channel('', send=True)
        with self.assertRaises(hakmem.Error):
            self.d.channel('none')


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


if __name__ == '__main__':
    result = Tap()
    unittest.defaultTestLoader.loadTestsFromModule(sys.modules['__main__']).run(result)
    print(f'1..{result.count}')
    sys.exit(not result.wasSuccessful())
