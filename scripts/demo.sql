-- What scripts/demo runs: a table and an index of about 512 MiB in sqlite's memory, filled, looked
-- up in random order, and sorted. Every figure is computed, so each run prints the same.
PRAGMA temp_store = MEMORY;
CREATE TABLE item (id INTEGER PRIMARY KEY, key INTEGER, name TEXT);
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200000)
INSERT INTO item
SELECT i, (i * 7368787) % 1200007, printf('%0180d', (i * 15485863) % 1000003) FROM n;
CREATE INDEX item_key ON item (key);
-- Each row of `a` finds its partner in `b` through the index, all over memory.
SELECT count(*), sum(length(b.name)), max(b.name)
FROM item AS a JOIN item AS b ON b.key = (a.id * 104729) % 1200007;
SELECT name, count(*) FROM item GROUP BY name ORDER BY count(*) DESC, name LIMIT 3;
DELETE FROM item WHERE key % 3 = 0;
SELECT count(*), sum(key) FROM item;
