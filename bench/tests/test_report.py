# SPDX-License-Identifier: Apache-2.0
"""The page: well-formed, complete, self-contained, and not to be confused by odd results."""

import json
import os
import re
import shutil
import tempfile
import unittest
import xml.etree.ElementTree as xml

import rig
from hakbench_lib import compare, plot, report
from hakbench_lib.errors import BenchError
from rig import call

SPACE = '{http://www.w3.org/1999/xhtml}'
SVG = '{http://www.w3.org/2000/svg}'


class Made(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'r.json')
            page = os.path.join(folder, 'r.html')
            status, _, err = call('compare', '--runs', '3', '--ops', '300', '--workloads',
                                  'pair,replace', '--allocators', 'libc,embedded,forced-libc',
                                  '--json', path)
            assert status == 0, err
            with open(path, encoding='utf-8') as file:
                cls.result = json.load(file)
            status, out, err = call('report', path, '--output', page)
            assert (status, out) == (0, ''), err
            with open(page, encoding='utf-8') as file:
                cls.page = file.read()
            cls.stdout = call('report', path)[1]

    def test_markdown_names_the_best_peer_and_the_ratio(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'r.json')
            with open(path, 'w', encoding='utf-8') as file:
                json.dump(self.result, file)
            status, out, err = call('report', path, '--format', 'markdown')
            self.assertEqual(status, 0, err)
            lines = out.splitlines()
            self.assertEqual(len(lines), 2 + len(self.result['workloads']))
            self.assertEqual({line.count('|') for line in lines}, {lines[0].count('|')})
            libc = self.result['workloads'][0]['subjects']['libc']['ns_per_op']
            ours = self.result['workloads'][0]['subjects']['embedded']['ns_per_op']
            self.assertIn(f'({ours / libc:.2f})', lines[2])
            self.assertIn('| libc ', lines[2])
            for word in ('fewest faults', 'leaner of mimalloc and jemalloc', 'kept after trim',
                         'embedded, system calls'):
                self.assertIn(word, lines[0])
            self.assertNotIn('forced-libc', lines[0])
            only = dict(self.result, subjects=[s for s in self.result['subjects']
                                               if s['base'] == 'libc'])
            with open(path, 'w', encoding='utf-8') as file:
                json.dump(only, file)
            status, _, err = call('report', path, '--format', 'markdown')
            self.assertEqual(status, 1)
            self.assertIn('one side is missing', err)

    def test_parses_and_goes_to_stdout_too(self):
        root = xml.fromstring(self.page)
        self.assertEqual(root.tag, SPACE + 'html')
        self.assertEqual(len(list(root.iter(SVG + 'svg'))), 3)
        self.assertEqual(self.page, self.stdout)

    def test_needs_nothing_else(self):
        without = self.page.replace('http://www.w3.org/', '')
        self.assertIsNone(re.search(r'https?://|src=|@import|url\(|<link|<script', without))

    def test_names_everything_that_was_measured(self):
        text = ' '.join(xml.fromstring(self.page).itertext())
        for word in ('pair:64', 'replace:default', 'embedded', 'forced-libc', 'Kernel',
                     'hakbench compare', 'Page', 'GO means better'):
            self.assertIn(word.lower(), text.lower())

    def test_limits_and_where_pages_lay(self):
        result = json.loads(json.dumps(self.result))
        result['workloads'][0]['subjects']['embedded'].update(
            {'trimmed_rss_kib': 10 ** 6, 'node_kib': {'0': 2048}})
        root = xml.fromstring(report.page(result))
        missed = [td.text for td in root.iter(SPACE + 'td') if td.get('class') == 'missed']
        self.assertTrue([t for t in missed if '% (libc' in t])
        text = ' '.join(root.itertext())
        self.assertIn('embedded lay with 2.0 MiB on node 0.', text)
        self.assertIn('What hakmem asks of itself', text)
        self.assertIn('forced-libc : hakmem preloaded, every call passed on to libc', text)

    @unittest.skipUnless(shutil.which('gnuplot'), 'gnuplot is not installed')
    def test_gnuplot_draws_every_ratio(self):
        result = json.loads(json.dumps(self.result).replace('forced-libc', "it's `id` $x"))
        root = xml.fromstring(plot.svg(result))
        self.assertEqual(root.tag, SVG + 'svg')
        text = ' '.join(''.join(root.itertext()).split())
        for word in ('pair:64', 'replace:default', 'embedded', "it's `id` $x", 'ratio to libc',
                     'left of the line is better'):
            self.assertIn(word, text)
        uses = [u.get('{http://www.w3.org/1999/xlink}href') for u in root.iter(SVG + 'use')]
        # A dot for each candidate and workload, and one in the key for each candidate.
        self.assertEqual(uses.count('#gpPt6'), 2 * 2 + 2)

    def test_gnuplot_gets_no_lines_of_the_result(self):
        self.assertEqual(plot.quoted("a'b\nset x"), "'a''b set x'")
        result = json.loads(json.dumps(self.result))
        for entry in result['workloads']:
            entry['noise_floor'] = None
            for subject in entry['subjects'].values():
                subject['ratio'] = None
        with self.assertRaises(BenchError):
            plot.script(result)

    def test_bars_for_each_workload_and_candidate(self):
        charts = list(xml.fromstring(self.page).iter(SVG + 'svg'))
        bars = [g for g in charts[1].iter(SVG + 'g')]
        self.assertEqual(len(bars), 2 * 2)

    def test_hostile_names_are_escaped(self):
        result = json.loads(json.dumps(self.result).replace('forced-libc', '<i>&amp;'))
        page = report.page(result)
        self.assertIn('<i>&amp;', ''.join(xml.fromstring(page).itertext()))

    def test_missing_figures_are_shown_as_missing(self):
        result = json.loads(json.dumps(self.result))
        for entry in result['workloads']:
            entry['noise_floor'] = entry['split'] = None
            for subject in entry['subjects'].values():
                subject['ratio'] = None
        result['groups'] = {'all': {name: None for name in result['groups']['all']}}
        xml.fromstring(report.page(result))

    def test_only_a_baseline(self):
        result = json.loads(json.dumps(self.result))
        result['subjects'] = [s for s in result['subjects'] if s['name'] == 'libc']
        for entry in result['workloads']:
            entry['subjects'] = {'libc': entry['subjects']['libc']}
        xml.fromstring(report.page(result))

    def test_another_schema_is_refused(self):
        with tempfile.NamedTemporaryFile('w', suffix='.json') as file:
            json.dump({**self.result, 'schema': compare.SCHEMA + 1}, file)
            file.flush()
            status, out, err = call('report', file.name)
        self.assertEqual((status, out), (1, ''))
        self.assertIn('not what this version', err)


if __name__ == '__main__':
    rig.main()
