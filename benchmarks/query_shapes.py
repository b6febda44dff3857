"""Shapes of queries over two tables, and the fewest requests that any plan of each could do with.

`a` has 1,000 rows, of which 20 meet a row of `b` by id and 10 are `rare`; `ai_query` stands for the function, with its
endpoint, as `CALL` has it.
"""

from __future__ import annotations

TABLES = {
    "a": """SELECT id, 'text ' || id AS text, id % 10 AS k, id % 100 = 0 AS rare, id % 2 = 0 AS even,
        IF(id % 100 = 0, NULL, 'k') AS known FROM range(0, 1000, 1, 2)""",
    "b": "SELECT id * 7 AS id, id AS v FROM range(20)",
}
CALL = "ai_query('hash', a.text)"

SHAPES = {
    "a filter on answers next to a join": (f"SELECT a.id FROM a JOIN b ON a.id = b.id WHERE {CALL} < '8'", 20),
    "the same in a subquery": (f"SELECT x.id FROM (SELECT * FROM a WHERE {CALL} < '8') x JOIN b ON x.id = b.id", 20),
    "the same on the right": (f"SELECT x.id FROM b JOIN (SELECT * FROM a WHERE {CALL} < '8') x ON x.id = b.id", 20),
    "two joins": (
        f"SELECT a.id FROM a JOIN b ON a.id = b.id JOIN b c ON b.v = c.id + 3 WHERE {CALL} < '8'",
        3,
    ),
    "a join by a range": (f"SELECT a.id FROM a JOIN b ON a.id < b.id AND b.v = 1 WHERE {CALL} < '8'", 7),
    "a left join": (f"SELECT b.id, x.ans FROM b LEFT JOIN (SELECT id, {CALL} AS ans FROM a) x ON x.id = b.id", 20),
    "a left join of a filter on answers": (
        f"SELECT b.id, x.k FROM b LEFT JOIN (SELECT id, k FROM a WHERE {CALL} < '8') x ON x.id = b.id",
        20,
    ),
    "IN": (f"SELECT id FROM b WHERE id IN (SELECT id FROM a WHERE {CALL} < '8')", 20),
    "EXISTS": (f"SELECT id FROM b WHERE EXISTS (SELECT 1 FROM a WHERE a.id = b.id AND {CALL} < '8')", 20),
    "NOT EXISTS": (f"SELECT id FROM b WHERE NOT EXISTS (SELECT 1 FROM a WHERE a.id = b.id AND {CALL} < '8')", 20),
    "EXISTS next to OR": (
        f"SELECT id FROM b WHERE v > 100 OR EXISTS (SELECT 1 FROM a WHERE a.id = b.id AND {CALL} < '8')",
        20,
    ),
    "a join that repeats rows": (
        f"SELECT a.id, c.id FROM a JOIN b ON a.id = b.id JOIN a c ON c.k = a.k WHERE {CALL} < '8'",
        20,
    ),
    "a semi-join": (f"SELECT id FROM a LEFT SEMI JOIN b ON a.id = b.id WHERE {CALL} < '8'", 20),
    "an anti-join": (f"SELECT id FROM a LEFT ANTI JOIN b ON a.id = b.id WHERE {CALL} < '8'", 980),
    "a join that keeps nothing": (f"SELECT a.id FROM a JOIN b ON a.id = b.id AND b.v > 100 WHERE {CALL} < '8'", 0),
    "an answer above a join": (f"SELECT a.id, {CALL} AS ans FROM a JOIN b ON a.id = b.id", 20),
    "the first of each": (
        f"""SELECT * FROM (SELECT id, ans, row_number() OVER (PARTITION BY k ORDER BY id) AS n
            FROM (SELECT id, k, {CALL} AS ans FROM a)) WHERE n = 1""",
        10,
    ),
    "CASE": (f"SELECT CASE WHEN rare THEN {CALL} END AS x FROM a", 10),
    "ELSE": (f"SELECT CASE WHEN NOT rare THEN 'no' ELSE {CALL} END AS x FROM a", 10),
    "CASE in a CASE": (f"SELECT CASE WHEN even THEN CASE WHEN rare THEN {CALL} END ELSE 'odd' END AS x FROM a", 10),
    "IF": (f"SELECT IF(rare, {CALL}, 'no') AS x FROM a", 10),
    "coalesce": (f"SELECT coalesce(known, {CALL}) AS x FROM a", 10),
    "nvl": (f"SELECT nvl(known, {CALL}) AS x FROM a", 10),
    "an aggregate of a CASE": (f"SELECT max(CASE WHEN rare THEN {CALL} END) AS x FROM a", 10),
    "FILTER": (f"SELECT count({CALL}) FILTER (WHERE rare) AS x FROM a", 10),
    "a guard in HAVING": (
        f"SELECT k FROM a GROUP BY k HAVING max(IF(rare, {CALL}, NULL)) < 'z'",
        10,
    ),
    "a guard above a projection": (
        f"SELECT IF(rare, x, NULL) AS y FROM (SELECT {CALL} || '!' AS x, rare FROM a)",
        10,
    ),
    "two uses of an answer": (
        f"SELECT IF(rare, x, NULL) AS y, CASE WHEN id < 5 THEN x END AS z FROM (SELECT {CALL} AS x, rare, id FROM a)",
        14,
    ),
    "OR": (f"SELECT id FROM a WHERE even OR {CALL} < '8'", 500),
    "OR, the answer first": (f"SELECT id FROM a WHERE {CALL} < '8' OR even", 500),
    "NOT of an OR": (f"SELECT id FROM a WHERE NOT (even OR {CALL} < '8')", 500),
    "ORDER BY a column that is not selected, LIMIT": (f"SELECT {CALL} AS x FROM a ORDER BY id LIMIT 5", 5),
    "ORDER BY a renamed column, LIMIT": (f"SELECT x FROM (SELECT {CALL} AS x, id AS z FROM a) ORDER BY z LIMIT 5", 5),
    "ORDER BY an expression, LIMIT": (f"SELECT {CALL} AS x FROM a ORDER BY -id LIMIT 5", 5),
    "LIMIT": (f"SELECT {CALL} AS x FROM a LIMIT 5", 5),
    "LIMIT above a join": (f"SELECT {CALL} AS x FROM a JOIN b ON a.id = b.id ORDER BY a.id LIMIT 5", 5),
    "a join with an aggregate of answers": (
        f"SELECT b.id, y.m FROM b JOIN (SELECT id, max({CALL}) AS m FROM a GROUP BY id) y ON y.id = b.id",
        20,
    ),
    "a join with distinct answers": (
        f"SELECT b.id, y.x FROM b JOIN (SELECT DISTINCT id, {CALL} AS x FROM a) y ON y.id = b.id",
        20,
    ),
    "a left join with an aggregate of answers": (
        f"SELECT b.id, y.m FROM b LEFT JOIN (SELECT id, max({CALL}) AS m FROM a GROUP BY id) y ON y.id = b.id",
        20,
    ),
    "unused columns": (f"SELECT id FROM (SELECT id, {CALL} AS x FROM a)", 0),
    "duplicates": (f"SELECT {CALL} AS x FROM (SELECT 'text ' || (id % 10) AS text FROM range(1000)) a", 10),
    "LIMIT above a filter that all pass": (f"SELECT id FROM a WHERE {CALL} < 'z' LIMIT 5", 5),
    "a cheap filter next to it": (f"SELECT id FROM a WHERE {CALL} < '8' AND rare", 10),
}
"""Queries with `CALL`, and the fewest requests."""
