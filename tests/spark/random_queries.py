"""Random queries over two small tables, whose answers Spark can compute itself: an answer is its prompt's MD5."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

TABLES = {
    "t": """SELECT id, id % 7 AS k, IF(id % 5 = 0, NULL, id % 3) AS v, IF(id % 11 = 0, NULL, 'text ' || id % 13) AS s,
        CASE id % 4 WHEN 0 THEN true WHEN 1 THEN false END AS f FROM range(0, 40, 1, 2)""",
    "u": """SELECT id * 2 AS id, IF(id % 6 = 0, NULL, id % 5) AS k, id % 4 AS v, 'text ' || id % 9 AS s, id % 3 = 0 AS f
        FROM range(0, 25, 1, 2)""",
}
_TYPES = {"id": "int", "k": "int", "v": "int", "s": "str", "f": "bool"}


@dataclass(frozen=True)
class Relation:
    """A query in parentheses, and its columns with their types."""

    sql: str
    columns: dict[str, str]


class Queries:
    """Makes queries.

    Args:
        seed: the same gives the same queries.
        call: from the SQL of a prompt to that of its answer.
    """

    def __init__(self, seed: int, call: Callable[[str], str]) -> None:
        self._random = random.Random(seed)
        self._call = call
        self._names = 0

    def query(self) -> str:
        """One, with a call at least."""
        relation = self._relation(self._random.randint(1, 4))
        if not any(column.startswith("a") for column in relation.columns):
            relation = self._with_answer(relation)
        return f"SELECT {', '.join(relation.columns)} FROM {relation.sql} AS q"

    def _relation(self, depth: int) -> Relation:
        if depth == 0:
            name = self._random.choice(list(TABLES))
            return self._renamed(Relation(name, dict(_TYPES)))
        below = self._relation(depth - 1)
        make = self._random.choice(
            [
                self._with_answer,
                self._with_answer,
                self._with_guarded,
                self._with_guarded,
                self._filtered,
                self._filtered,
                self._joined,
                self._joined,
                self._numbered,
                self._limited,
                self._grouped,
                self._united,
            ]
        )
        return make(below)

    def _renamed(self, relation: Relation) -> Relation:
        """With columns of its own names, so that joins have no two of one."""
        names = {name: self._name(name[0]) for name in relation.columns}
        listed = ", ".join(f"{old} AS {new}" for old, new in names.items())
        columns = {names[name]: kind for name, kind in relation.columns.items()}
        return Relation(f"(SELECT {listed} FROM {relation.sql} AS r{self._next()})", columns)

    def _with_answer(self, relation: Relation) -> Relation:
        return self._with(relation, self._call(self._prompt(relation)), "str", "a")

    def _with_guarded(self, relation: Relation) -> Relation:
        answer, condition = self._call(self._prompt(relation)), self._condition(relation, cheap=True)
        text = self._column(relation, "str")
        guarded = self._random.choice(
            [
                f"CASE WHEN {condition} THEN {answer} END",
                f"CASE WHEN {condition} THEN 'none' WHEN {self._condition(relation, cheap=True)} THEN {answer} END",
                f"CASE WHEN {condition} THEN {answer} ELSE {text} END",
                f"IF({condition}, {text}, {answer})",
                f"coalesce({text}, {answer})",
                f"nvl({answer}, {text})",
                f"IF({condition} AND {answer} < '8', 'low', 'high')",
                f"CASE WHEN {answer} < '8' OR {condition} THEN 'low' END",
            ]
        )
        return self._with(relation, guarded, "str", "a")

    def _with(self, relation: Relation, value: str, kind: str, name: str) -> Relation:
        name = self._name(name)
        kept = {column: of for column, of in relation.columns.items() if self._random.random() < 0.85}
        listed = ", ".join([*kept, f"{value} AS {name}"])
        return Relation(f"(SELECT {listed} FROM {relation.sql} AS r{self._next()})", {**kept, name: kind})

    def _filtered(self, relation: Relation) -> Relation:
        condition = self._condition(relation)
        return Relation(f"(SELECT * FROM {relation.sql} AS r{self._next()} WHERE {condition})", relation.columns)

    def _joined(self, relation: Relation) -> Relation:
        other = self._relation(self._random.randint(0, 2))
        kind = self._random.choice(["INNER", "INNER", "LEFT", "RIGHT", "FULL", "LEFT SEMI", "LEFT ANTI"])
        left, right = self._column(relation, "int"), self._column(other, "int")
        both = Relation("", {**relation.columns, **other.columns})
        on = f"{left} = {right}"
        if self._random.random() < 0.3:
            cheap = self._random.random() < 0.7
            # Spark refuses a Python function of both sides in the condition of any other join.
            over = both if cheap or kind == "INNER" else self._random.choice([relation, other])
            on += f" AND {self._condition(over, cheap=cheap, subqueries=False)}"
        columns = relation.columns if "SEMI" in kind or "ANTI" in kind else both.columns
        number = self._next()
        sql = f"(SELECT * FROM {relation.sql} AS l{number} {kind} JOIN {other.sql} AS r{number} ON {on})"
        return Relation(sql, columns)

    def _numbered(self, relation: Relation) -> Relation:
        name = self._name("n")
        by, order = self._column(relation, "int"), ", ".join(relation.columns)
        number = f"row_number() OVER (PARTITION BY {by} ORDER BY {order}) AS {name}"
        inner = f"(SELECT *, {number} FROM {relation.sql} AS r{self._next()})"
        sql = f"(SELECT * FROM {inner} AS r{self._next()} WHERE {name} <= {self._random.randint(1, 2)})"
        return Relation(sql, {**relation.columns, name: "int"})

    def _limited(self, relation: Relation) -> Relation:
        """By an order that says which rows, but for rows that are the same."""
        columns = list(relation.columns)
        self._random.shuffle(columns)
        number = self._random.randint(0, 12)
        sql = f"(SELECT * FROM {relation.sql} AS r{self._next()} ORDER BY {', '.join(columns)} LIMIT {number})"
        return Relation(sql, relation.columns)

    def _grouped(self, relation: Relation) -> Relation:
        by, text = self._column(relation, "int"), self._column(relation, "str")
        answer, condition = self._call(self._prompt(relation)), self._condition(relation, cheap=True)
        values = {
            self._name("a"): (f"max({answer}) FILTER (WHERE {condition})", "str"),
            self._name("a"): (f"min(CASE WHEN {condition} THEN {answer} END)", "str"),
            self._name("n"): (f"CAST(count({text}) AS BIGINT)", "int"),
        }
        name = self._name("k")
        listed = ", ".join([f"{by} AS {name}", *(f"{value} AS {column}" for column, (value, _) in values.items())])
        columns = {name: "int", **{column: kind for column, (_, kind) in values.items()}}
        return Relation(f"(SELECT {listed} FROM {relation.sql} AS r{self._next()} GROUP BY {by})", columns)

    def _united(self, relation: Relation) -> Relation:
        other = self._relation(self._random.randint(0, 1))
        columns = {self._name("c"): kind for kind in ("int", "str")}
        parts = []
        for part in (relation, other):
            listed = ", ".join(f"{self._column(part, kind)} AS {name}" for name, kind in columns.items())
            parts.append(f"SELECT {listed} FROM {part.sql} AS r{self._next()}")
        kind = self._random.choice(["UNION ALL", "UNION", "INTERSECT", "EXCEPT"])
        return Relation(f"({parts[0]} {kind} {parts[1]})", columns)

    def _prompt(self, relation: Relation) -> str:
        text, number = self._column(relation, "str"), self._column(relation, "int")
        prompts = [text, text, f"concat('p ', {number})", f"coalesce({text}, 'none')", f"concat({text}, ' ', {number})"]
        return self._random.choice([*prompts, f"upper({text})", "'the same for all'"])

    def _condition(self, relation: Relation, *, cheap: bool = False, subqueries: bool = True) -> str:
        number, text = self._column(relation, "int"), self._column(relation, "str")
        flags = [column for column, kind in relation.columns.items() if kind == "bool"]
        plain = [
            f"{number} > {self._random.randint(0, 5)}",
            f"{number} % 3 = 1",
            f"{text} > 'text 5'",
            f"{text} IS NULL",
        ]
        plain += [f"{number} IN (1, 2, NULL)", *flags, *(f"NOT {flag}" for flag in flags)]
        if cheap:
            return self._random.choice(plain)
        one, other = self._random.choice(plain), self._random.choice(plain)
        answer = f"{self._call(self._prompt(relation))} {self._random.choice(['<', '>='])} '8'"
        second = f"{self._call(self._prompt(relation))} LIKE '%a%'"
        shapes = [
            one,
            answer,
            f"{one} AND {answer}",
            f"{answer} AND {one}",
            f"{answer} AND {second}",
            f"{one} OR {answer}",
            f"{answer} OR {one}",
            f"NOT ({one} OR {answer})",
            f"NOT ({one} AND {answer})",
            f"({one} OR {answer}) AND {other}",
            f"CASE WHEN {one} THEN {answer} ELSE {other} END",
        ]
        if subqueries:
            other_call = self._call("s")
            shapes.append(f"{number} IN (SELECT id FROM u WHERE {other_call} < '8')")
            shapes.append(f"{number} NOT IN (SELECT id FROM u WHERE {other_call} < '8')")
            shapes.append(f"EXISTS (SELECT 1 FROM t WHERE t.k = {number} AND {self._call('t.s')} < '8')")
        return self._random.choice(shapes)

    def _column(self, relation: Relation, kind: str) -> str:
        found = [column for column, of in relation.columns.items() if of == kind]
        return self._random.choice(found) if found else {"int": "1", "str": "'x'", "bool": "true"}[kind]

    def _name(self, prefix: str) -> str:
        return f"{prefix}{self._next()}"

    def _next(self) -> int:
        self._names += 1
        return self._names
