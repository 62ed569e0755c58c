#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Records the traces in this folder anew: make.sh HAKBENCH. They differ a little with the versions
# of the programs; the replay needs none of them.
set -euo pipefail

hakbench=$(realpath "$1")
folder=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

record() # NAME PROGRAM [ARG...]
{
	"$hakbench" record --output "$1.trace" "${@:2}" >/dev/null
	xz -9e -c "$1.trace" >"$folder/$1.trace.xz"
}

# Python takes its small objects from arenas of its own unless it is told not to.
cat >load.py <<'END'
import ast, json, os
folder = os.path.dirname(os.__file__)
for name in 'json/decoder.py', 'bisect.py':
    with open(os.path.join(folder, name), encoding='utf-8') as file:
        text = file.read()
    tree = ast.parse(text)
    compile(tree, name, 'exec')
    words = json.loads(json.dumps(text.split()))
    counts = {word: words.count(word) for word in words}
END
PYTHONMALLOC=malloc PYTHONHASHSEED=0 record python /usr/bin/python3 -S -B load.py

# A function with everything in it that the standard header can offer.
cat >load.c <<'END'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
struct item { struct item *next; char name[32]; int n; };
static int by_n(const void *a, const void *b)
{
	return (*(struct item *const *)a)->n - (*(struct item *const *)b)->n;
}
int main(int argc, char **argv)
{
	struct item *list = NULL, **all;
	int n = 0;
	for (int i = 1; i < argc; i++) {
		struct item *item = calloc(1, sizeof(*item));
		if (!item)
			return 1;
		strncpy(item->name, argv[i], sizeof(item->name) - 1);
		item->n = (int)strtol(argv[i], NULL, 0) * (i % 7 ? i : -i);
		item->next = list;
		list = item;
		n++;
	}
	all = malloc((size_t)n * sizeof(*all));
	for (struct item *item = list; all && item; item = item->next)
		all[--n] = item;
	if (all)
		qsort(all, (size_t)argc - 1, sizeof(*all), by_n);
	for (int i = 0; all && i < argc - 1; i++)
		printf("%s %d\n", all[i]->name, all[i]->n);
	return 0;
}
END
gcc -E load.c -o load.i
record cc1 "$(gcc -print-prog-name=cc1)" -fpreprocessed load.i -quiet -O2 -o load.s

cat >load.sql <<'END'
CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, weight REAL);
CREATE INDEX by_name ON item(name);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000)
INSERT INTO item SELECT i, hex(i * 7919 % 10007) || printf('%0*d', i % 60, i), i * 0.5 FROM n;
SELECT substr(name, 1, 3) AS k, count(*), sum(weight), group_concat(name) FROM item GROUP BY k
ORDER BY 2 DESC, k;
UPDATE item SET name = name || 'x' WHERE id % 3 = 0;
DELETE FROM item WHERE id % 5 = 0;
SELECT a.name, b.name FROM item a JOIN item b ON a.id = b.id + 1 ORDER BY a.name LIMIT 500;
END
record sqlite /usr/bin/sqlite3 :memory: '.read load.sql'
