#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The Python package beside a daemon, in processes of their own. Prints TAP."""

import ctypes
import errno
import gc
import os
import pathlib
import signal
import subprocess
import sys
import threading
import unittest

import hakmem
import python_rig
from python_rig import DEADLINE, NAME, WithDomain, output, start


class Versions(unittest.TestCase):
    def test_are_one(self):
        project = pathlib.Path(__file__).parents[2] / 'python' / 'pyproject.toml'
        self.assertEqual(hakmem.__version__, hakmem.library_version)
        self.assertIn(f'\nversion = "{hakmem.__version__}"\n', project.read_text())


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


if __name__ == '__main__':
    sys.exit(python_rig.run(sys.modules['__main__']))
