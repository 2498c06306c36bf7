CREATE TABLE items (id INTEGER PRIMARY KEY, owner INTEGER, name TEXT, price REAL);
WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 120000)
  INSERT INTO items SELECT n, n * 7919 % 1009, 'item ' || (n * 104729 % 65537), n % 997 / 10.0 FROM numbers;
CREATE INDEX items_by_owner ON items (owner, name);
SELECT owner, count(*), sum(price), max(name) FROM items GROUP BY owner HAVING owner < 5;
SELECT count(*) FROM items AS a JOIN items AS b ON a.owner = b.owner AND a.name < b.name WHERE a.id % 97 = 0;
SELECT count(DISTINCT name), count(*) FILTER (WHERE name LIKE '%9_1%') FROM items;
UPDATE items SET price = price * 2 WHERE owner BETWEEN 100 AND 300;
DELETE FROM items WHERE id % 3 = 0;
SELECT count(*), total(price) FROM items;
