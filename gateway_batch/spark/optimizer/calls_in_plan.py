"""The calls that a query has, each with the rows it would get, read off Spark's optimized plan. Nothing is sent.

Spark takes Python functions out of a plan's expressions into nodes of their own; what is below such a node are the rows
that are handed to it, with limits and filters where Spark has moved them. A copy of the plan below, in which the calls
that it has itself are NULL, gives these rows.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from py4j.java_gateway import JavaObject
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from gateway_batch.errors import ConfigError
from gateway_batch.spark.calls.call_plan import CallPlan
from gateway_batch.spark.session.jvm import jvm_of
from gateway_batch.spark.session.messages import first_line
from gateway_batch.spark.worker.partition import FUNCTION

_CATALYST = "org.apache.spark.sql.catalyst"
_EXPRESSIONS = f"{_CATALYST}.expressions"

_CALLS = "ArrowEvalPython"
_WITH_QUERY = ("InsertIntoStatement", "CreateTableAsSelect", "ReplaceTableAsSelect")


@dataclass
class CallOfQuery:
    """A call, at all the places where the query has it.

    Attributes:
        plan: of the call.
        rows: for each place, a row for each of its rows, with columns by the names of `plan.inputs`.
        depends: whether at some place the rows depend on answers, which nobody knows before they are paid.
        asked: what the optimizer rules made of it, a sentence each.
        stands: for each place, where in the plan.
    """

    plan: CallPlan
    rows: list[DataFrame] = field(default_factory=list)
    depends: bool = False
    asked: list[str] = field(default_factory=list)
    stands: list[str] = field(default_factory=list)


def calls_of_query(spark: SparkSession, query: str | DataFrame) -> list[CallOfQuery]:
    """The calls of a query; of an INSERT or CREATE TABLE AS the query in it, which is not run.

    Raises:
        ConfigError: it is no query, or one whose calls can't be looked at without sending.
    """
    plans = _Plans(spark)
    calls: list[CallOfQuery] = []
    for above, node in plans.places(plans.optimized(query)):
        if not plans.is_calls(node):
            continue
        answers = _Answers(plans, node.child())
        for udf in plans.calls(node):
            plan = _plan_of(udf)
            call = next((call for call in calls if call.plan == plan), None)
            if call is None:
                calls.append(call := CallOfQuery(plan))
            call.asked += [sentence for sentence in plans.asked(udf, node.child(), plan) if sentence not in call.asked]
            call.stands.append(plans.stands(above, node.child()))
            if answers.decide or answers.reach(udf) or plans.has_call_below(udf):
                call.depends = True
            else:
                call.rows.append(plans.rows(udf, node.child(), [str(name) for name in plan.inputs]))
    return calls


class _Answers:
    """Whether the answers of calls in a plan decide what rows there are, and which columns have them."""

    def __init__(self, plans: _Plans, plan: JavaObject) -> None:
        self._plans = plans
        self._columns: set[str] = set()
        self.decide = False
        self._look(plan)

    def reach(self, expression: JavaObject) -> bool:
        """Whether an expression is made of answers."""
        attributes = self._plans.items(expression.references().toSeq())
        return any(attribute.exprId().toString() in self._columns for attribute in attributes)

    def _look(self, plan: JavaObject) -> None:
        for child in self._plans.items(plan.children()):
            self._look(child)
        name = self._plans.kind(plan)
        if hasattr(plan, "udfs") and name.endswith("EvalPython"):
            for udf, column in zip(self._plans.items(plan.udfs()), self._plans.items(plan.resultAttrs()), strict=True):
                if udf.name() == FUNCTION or self.reach(udf):
                    self._columns.add(column.exprId().toString())
        elif name == "Project":
            for expression in self._plans.items(plan.projectList()):
                if self.reach(expression):
                    self._columns.add(expression.exprId().toString())
        elif self.reach(plan):
            self.decide = True


class _Plans:
    """The few things done to Spark's logical plans through py4j."""

    def __init__(self, spark: SparkSession) -> None:
        self._spark = spark
        self._jvm = jvm_of(spark)

    def optimized(self, query: str | DataFrame) -> JavaObject:
        try:
            return self._optimized(query)
        except PySparkException as error:
            raise ConfigError(f"the query can't be planned: {first_line(error)}") from None

    def _optimized(self, query: str | DataFrame) -> JavaObject:
        if isinstance(query, DataFrame):
            frame = query._jdf
        else:
            parsed = self._spark._jsparkSession.sessionState().sqlParser().parsePlan(query)
            if self.kind(parsed) in _WITH_QUERY:
                parsed = parsed.query()
            if self._is(parsed, "plans.logical.Command") or self._is(parsed, "plans.logical.ParsedStatement"):
                raise ConfigError(f"no query but a command, which an estimate would run: {query.strip()[:60]}")
            frame = self._frame(parsed)
        if frame.isStreaming():
            raise ConfigError("the query is a stream: estimate it over a table of what is to come")
        plan = frame.queryExecution().optimizedPlan()
        for node in self.nodes(plan):
            if self.kind(node) == "InMemoryRelation" and self._would_fill(node.cacheBuilder()):
                raise ConfigError("the query reads a cached DataFrame that has calls and isn't filled: fill it first")
        return plan

    def rows(self, udf: JavaObject, child: JavaObject, names: list[str]) -> DataFrame:
        """The rows of a call: its arguments by names."""
        arguments = [
            self._alias(argument, name)
            for argument, name in zip(self.items(udf.children()), names, strict=False)  # a limit may come after them
        ]
        plan = self._project(arguments, self._without_calls(child))
        if any(self.is_calls(node) for node in self.nodes(plan)):
            raise ConfigError("the query has calls in a sub-query that others depend on: estimate its parts")
        return DataFrame(self._frame(plan), self._spark)

    def asked(self, udf: JavaObject, child: JavaObject, plan: CallPlan) -> Iterator[str]:
        """What the optimizer rules made of a call."""
        request = udf.children().head()
        if self.kind(request) == "If" and request.falseValue().sql().upper().startswith(("NULL", "CAST(NULL")):
            yield f"Asked where {request.predicate().sql()}, as its answer is read nowhere else."
        while self.kind(child) in ("Project", "Filter", "Repartition", "Sort"):
            if self.kind(child) == "Sort" and not getattr(child, "global")():
                order = ", ".join(each.sql() for each in self.items(child.order()))
                yield f"Asked in the order of {order}."
            child = child.child()
        if self.kind(child) == "Join" and child.joinType().sql() == "LEFT SEMI" and child.condition().isDefined():
            yield f"Asked for rows that meet another by {child.condition().get().sql()}."
        if udf.children().size() > len(plan.inputs):
            yield f"Asked in pieces until {udf.children().last().sql()} rows are found; all are counted here."

    def stands(self, above: tuple[str, ...], child: JavaObject) -> str:
        """Where calls stand: the nodes above them, from the root, and the first below them that is no projection."""
        while self.kind(child) == "Project":
            child = child.child()
        return " > ".join((*above, "the call", self._name(child)))

    def places(
        self, plan: JavaObject, above: tuple[str, ...] = (), *, top: bool = True
    ) -> Iterator[tuple[tuple[str, ...], JavaObject]]:
        """A plan's nodes, those of sub-queries among them, each with the names of those above it."""
        yield above, plan
        for child in self.items(plan.children()):
            yield from self.places(child, (*above, self._name(plan)), top=False)
        for subquery in self.items(plan.subqueriesAll()) if top else ():
            yield from self.places(subquery, ("a sub-query",), top=False)

    def _name(self, plan: JavaObject) -> str:
        if self.kind(plan) == "Join":
            return f"{plan.joinType().sql()} join"
        return "other calls" if self.is_calls(plan) else self.kind(plan)

    def nodes(self, plan: JavaObject) -> Iterator[JavaObject]:
        """A plan's nodes, those of sub-queries among them."""
        return (node for _, node in self.places(plan))

    def is_calls(self, node: JavaObject) -> bool:
        return self.kind(node) == _CALLS and bool(self.calls(node))

    def calls(self, node: JavaObject) -> list[JavaObject]:
        """The calls that a node of Python functions has; one over another's result is evaluated with it."""
        return [call for udf in self.items(node.udfs()) for call in self._calls_of(udf)]

    def has_call_below(self, call: JavaObject) -> bool:
        """Whether a call's arguments have another."""
        return len(list(self._calls_of(call))) > 1

    def _calls_of(self, expression: JavaObject) -> Iterator[JavaObject]:
        if self.kind(expression) == "PythonUDF" and expression.name() == FUNCTION:
            yield expression
        for child in self.items(expression.children()):
            yield from self._calls_of(child)

    @staticmethod
    def kind(plan: JavaObject) -> str:
        name: str = plan.getClass().getSimpleName()
        return name

    @staticmethod
    def items(sequence: JavaObject) -> list[JavaObject]:
        return [sequence.apply(index) for index in range(sequence.size())]

    @staticmethod
    def _would_fill(cache: JavaObject) -> bool:
        """Whether reading a cached DataFrame has calls evaluated."""
        return not cache.isCachedColumnBuffersLoaded() and f"{FUNCTION}(" in cache.cachedPlan().toString()

    def _without_calls(self, plan: JavaObject) -> JavaObject:
        children = [self._without_calls(child) for child in self.items(plan.children())]
        if not self.is_calls(plan):
            return plan.withNewChildren(self._jvm.sequence(children)) if children else plan
        (child,) = children
        nulls = [
            self._alias(self._null(column.dataType()), column.name(), column.exprId())
            for column in self.items(plan.resultAttrs())
        ]
        return self._project([*self.items(child.output()), *nulls], child)

    def _frame(self, plan: JavaObject) -> JavaObject:
        return self._jvm.java_class("org.apache.spark.sql.classic.Dataset").ofRows(self._spark._jsparkSession, plan)

    def _project(self, expressions: list[JavaObject], child: JavaObject) -> JavaObject:
        return self._jvm.java_class(f"{_CATALYST}.plans.logical.Project")(self._jvm.sequence(expressions), child)

    def _alias(self, expression: JavaObject, name: str, id_: JavaObject | None = None) -> JavaObject:
        id_ = id_ or self._jvm.scala_object(f"{_EXPRESSIONS}.NamedExpression").newExprId()
        none = self._jvm.sequence([])
        alias = self._jvm.java_class(f"{_EXPRESSIONS}.Alias")
        return alias(expression, name, id_, none, self._jvm.option(None), none)

    def _null(self, data_type: JavaObject) -> JavaObject:
        return self._jvm.java_class(f"{_EXPRESSIONS}.Literal")(None, data_type)

    def _is(self, plan: JavaObject, name: str) -> bool:
        return self._jvm.is_instance(plan, f"{_CATALYST}.{name}")


class _WithoutBroadcasts(pickle.Unpickler):
    """Reads a function of ours without its credentials, which only workers have."""

    def find_class(self, module: str, name: str) -> Any:
        if (module.partition(".")[0], name) == ("pyspark", "_from_id"):
            return lambda _: None
        return super().find_class(module, name)


def _plan_of(udf: JavaObject) -> CallPlan:
    signed = udf.func().command().mkString(",").split(",")
    function: Callable[..., Any]
    function, _ = _WithoutBroadcasts(io.BytesIO(bytes(int(byte) & 0xFF for byte in signed))).load()
    assert function.__closure__ is not None
    return next(cell.cell_contents for cell in function.__closure__ if isinstance(cell.cell_contents, CallPlan))
