# SPDX-License-Identifier: Apache-2.0
"""Runs workloads, and the daemon that some of them need."""

import collections
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading

from . import warm
from .errors import BenchError, UsageError
from .subjects import DAEMONS, MODES, WARM, WARM_MIB

START_S = 30  # for a daemon on a busy machine
STOP_S = 30
LOG_LINES = 20


class Daemon:
    """A hakmemd of our own on a socket of our own; a context manager."""

    def __init__(self, path, config=''):
        if not os.access(path, os.X_OK):
            raise BenchError(f'there is no daemon {path}')
        self._path = path
        self._config = config
        self._dir = None
        self._process = None
        self._reader = None
        self._ready = threading.Event()
        self._log = collections.deque(maxlen=LOG_LINES)
        self.socket = None

    def _launch(self):
        self._dir = tempfile.mkdtemp(prefix='hakbench.')
        self.socket = os.path.join(self._dir, 'sock')
        config = os.path.join(self._dir, 'conf')
        with open(config, 'w', encoding='ascii') as file:
            file.write(self._config)
        self._process = subprocess.Popen(
            [self._path, '--foreground', '--socket', self.socket, '--config', config],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            text=True, errors='replace', env={'PATH': '/usr/bin:/bin', 'LC_ALL': 'C'})

    def __enter__(self):
        try:
            # Told to end between the making and the noting of a folder or a process, we would
            # leave it behind. (The daemon takes the signal from a descriptor, blocked or not.)
            blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
            try:
                self._launch()
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            self._reader = threading.Thread(target=self._read, daemon=True)
            self._reader.start()
            if not self._ready.wait(START_S) or self._process.poll() is not None:
                raise BenchError('the daemon did not start: ' + ' | '.join(self._log))
        except BaseException:
            self.__exit__()
            raise
        return self

    def _read(self):
        """It logs as long as it lives; a full pipe would stop it."""
        for line in self._process.stderr:
            self._log.append(line.strip())
            if ': ready on ' in line:
                self._ready.set()
        self._ready.set()  # it is gone: do not wait for it

    @property
    def pid(self):
        return self._process.pid

    def check(self):
        if self._process.poll() is not None:
            raise BenchError(f'the daemon ended with status {self._process.returncode}: '
                             + ' | '.join(self._log))

    def __exit__(self, *_):
        if self._process:
            self._process.terminate()
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            if self._reader:
                self._reader.join(STOP_S)
            self._process.stderr.close()
        if self._dir:
            shutil.rmtree(self._dir, ignore_errors=True)


def parse_cpus(text):
    """0,2-3 as {0, 2, 3}"""
    cpus = set()
    try:
        for part in text.split(','):
            first, found, last = part.partition('-')
            cpus.update(range(int(first), int(last if found else first) + 1))
    except ValueError:
        cpus = set()
    if not cpus or min(cpus) < 0:
        raise UsageError(f'{text}: not a list of CPUs like 0,2-3')
    return cpus


class Placement:
    """Where programs run: --cpus and --node."""

    def __init__(self, cpus=None, node=None, nodes_dir='/sys/devices/system/node'):
        self.cpus = parse_cpus(cpus) if cpus else None
        self.node = node
        self.prefix = []
        self.binds_memory = False
        if node is None:
            return
        try:
            with open(f'{nodes_dir}/node{node}/cpulist', encoding='ascii') as file:
                cpulist = file.read().strip()
        except OSError as error:
            raise UsageError(f'--node {node}: this machine has no such node') from error
        numactl = shutil.which('numactl')
        if numactl:
            self.prefix = [numactl, f'--membind={node}']
            self.binds_memory = True
        if cpulist and self.cpus is None:
            self.cpus = parse_cpus(cpulist)

    def enter(self):
        """For this process and whatever it starts from here on."""
        if self.cpus is None:
            return
        try:
            os.sched_setaffinity(0, self.cpus)
        except OSError as error:
            raise UsageError(f'cannot run on these CPUs: {error.strerror}') from error

    def describe(self):
        return {'cpus': sorted(self.cpus) if self.cpus is not None else None, 'node': self.node,
                'binds_memory': self.binds_memory}


class Runner:
    """A context manager: daemons start when the first subject needs them and end with it."""

    def __init__(self, places, placement=None, timeout=900, stderr=None):
        """What programs say on stderr goes to `stderr`, or nowhere as long as they succeed."""
        self._daemon_path = places['daemon']
        self._daemons = {}  # by the subject's base
        self._placement = placement or Placement()
        self._timeout = timeout
        self._stderr = stderr

    def __enter__(self):
        return self

    def __exit__(self, *_):
        while self._daemons:
            self._daemons.popitem()[1].__exit__()

    def _daemon(self, subject):
        """The one that the subject needs, running and, where that is its point, warm; or None."""
        if not subject.needs_daemon:
            return None
        config = DAEMONS[subject.base]
        if subject.base not in self._daemons:
            self._daemons[subject.base] = Daemon(self._daemon_path, config).__enter__()
        daemon = self._daemons[subject.base]
        if WARM in config:
            try:
                warm.wait(daemon.socket, WARM_MIB << 20)
            except BenchError:
                daemon.check()  # its end is the better reason
                raise
        return daemon

    def environment(self, subject, socket=None, preload=True):
        env = subject.environment(socket, preload)
        if self._placement.node is not None and subject.base in MODES \
                and subject.base != 'forced-libc':
            env.setdefault('HAKMEM_NODE', str(self._placement.node))
        return env

    def start(self, argv, subject, preload=True):
        """Runs to the end; returns what it wrote to stdout. argv may begin with a tool that runs
        the program, which then gets the same environment."""
        daemon = self._daemon(subject)
        env = self.environment(subject, daemon and daemon.socket, preload)
        argv = self._placement.prefix + argv
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, errors='replace', env=env,
                                   start_new_session=True)
        try:
            out, err = process.communicate(timeout=self._timeout)
        except BaseException as error:
            # The whole session: a tool's child would go on without it.
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            if isinstance(error, subprocess.TimeoutExpired):
                raise BenchError(f'{subject.name}: {os.path.basename(argv[0])} took longer than '
                                 f'{self._timeout} s') from error
            raise
        if daemon:
            daemon.check()
        if process.returncode:
            how = (f'was killed by {signal.Signals(-process.returncode).name}'
                   if process.returncode < 0 else f'ended with status {process.returncode}')
            raise BenchError(f'{subject.name}: {" ".join(argv)} {how}: {err.strip()[-2000:]}')
        return out, err

    def run(self, workload, subject, ops=None, options=()):
        """One run; the JSON line as a dict."""
        out, err = self.start(workload.argv(ops, options), subject,
                              preload=not workload.needs_daemon)
        if self._stderr:
            self._stderr.write(err)
        try:
            result = json.loads(out)
        except ValueError as error:
            raise BenchError(f'{workload.title} printed no JSON: {out[:200]!r}') from error
        if subject.library and 'cannot be preloaded' in err:
            raise BenchError(f'{subject.name}: {err.strip()}')
        return result
