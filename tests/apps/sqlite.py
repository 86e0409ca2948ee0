"""sqlite3: tables, indexes, joins, updates and a vacuum, all in memory."""

from harness import compare

SCRIPT = """
CREATE TABLE item(id INTEGER PRIMARY KEY, owner INTEGER, name TEXT, data BLOB);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)
INSERT INTO item SELECT i, i * 7919 % 5003, printf('name %d', i * i % 100003), zeroblob(i % 400) FROM n;
CREATE INDEX by_owner ON item(owner, name);
SELECT count(*), sum(owner), sum(length(data)), max(name) FROM item;
SELECT a.owner, count(*), group_concat(b.name) FROM item a JOIN item b ON b.owner = a.owner + 1
 WHERE a.owner < 40 AND a.id % 5 = 0 GROUP BY a.owner ORDER BY 1;
UPDATE item SET name = name || ' again', data = data || x'00FF' WHERE id % 3 = 0;
DELETE FROM item WHERE id % 4 = 1;
VACUUM;
SELECT count(*), sum(length(name)), sum(length(data)), min(name) FROM item;
PRAGMA integrity_check;
.dump
"""


def work(session):
    return session.run("/usr/bin/sqlite3", ":memory:", stdin=SCRIPT)


compare(work)
