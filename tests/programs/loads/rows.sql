-- SPDX-License-Identifier: Apache-2.0
PRAGMA cache_size = -65536;
CREATE TABLE item(id INTEGER PRIMARY KEY, kind INTEGER, name TEXT, value REAL, body BLOB);
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000)
INSERT INTO item
SELECT i, (i * 7919) % 1009, printf('name-%06x', (i * 48271) % 2147483647), (i % 1000) / 8.0,
       CASE WHEN i % 50 = 0 THEN zeroblob(i % 700) END
FROM n;
COMMIT;
CREATE INDEX item_kind ON item(kind, value);
CREATE UNIQUE INDEX item_name ON item(name);
SELECT count(*), sum(value), min(name), max(name) FROM item;
SELECT kind, count(*), sum(value), group_concat(id % 7, '') FROM item
 WHERE kind < 20 GROUP BY kind ORDER BY kind LIMIT 3;
SELECT count(DISTINCT name) FROM item;
SELECT a.kind, count(*) FROM item a JOIN item b ON b.id = a.id * 2 AND b.kind <> a.kind
 WHERE a.kind IN (1, 2, 3) GROUP BY a.kind;
SELECT sum(r) FROM (SELECT row_number() OVER (PARTITION BY kind ORDER BY value, id) AS r
                      FROM item WHERE kind < 300);
SELECT json_array_length(j), substr(j, 1, 60)
  FROM (SELECT json_group_array(json_object('id', id, 'name', name)) AS j
          FROM item WHERE kind < 40);
UPDATE item SET name = name || '-' || kind, value = value * 2 WHERE kind % 10 = 3;
DELETE FROM item WHERE kind % 10 = 4;
SELECT count(*), sum(length(name)), sum(length(body)) FROM item;
SELECT name FROM item ORDER BY substr(name, 8) DESC, id LIMIT 3;
CREATE VIRTUAL TABLE words USING fts5(t);
INSERT INTO words SELECT name || ' ' || (id % 100) FROM item WHERE id % 20 = 0;
SELECT count(*) FROM words WHERE words MATCH '42';
VACUUM;
PRAGMA integrity_check;
.system cp /proc/$PPID/maps evidence.sqlite3
