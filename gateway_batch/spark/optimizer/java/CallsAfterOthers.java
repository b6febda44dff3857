package gateway_batch;

import java.util.ArrayList;
import java.util.List;

import org.apache.spark.sql.catalyst.analysis.UpdateAttributeNullability$;
import org.apache.spark.sql.catalyst.expressions.Attribute;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.NamedExpression;
import org.apache.spark.sql.catalyst.optimizer.CollapseProject$;
import org.apache.spark.sql.catalyst.optimizer.ColumnPruning$;
import org.apache.spark.sql.catalyst.optimizer.RemoveNoopOperators$;
import org.apache.spark.sql.catalyst.plans.Cross$;
import org.apache.spark.sql.catalyst.plans.ExistenceJoin;
import org.apache.spark.sql.catalyst.plans.Inner$;
import org.apache.spark.sql.catalyst.plans.JoinType;
import org.apache.spark.sql.catalyst.plans.LeftAnti$;
import org.apache.spark.sql.catalyst.plans.LeftOuter$;
import org.apache.spark.sql.catalyst.plans.LeftSemi$;
import org.apache.spark.sql.catalyst.plans.RightOuter$;
import org.apache.spark.sql.catalyst.plans.logical.Aggregate;
import org.apache.spark.sql.catalyst.plans.logical.ArrowEvalPython;
import org.apache.spark.sql.catalyst.plans.logical.Filter;
import org.apache.spark.sql.catalyst.plans.logical.Join;
import org.apache.spark.sql.catalyst.plans.logical.LocalLimit;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.plans.logical.Project;
import org.apache.spark.sql.catalyst.plans.logical.Sort;
import org.apache.spark.sql.catalyst.plans.logical.Window;
import org.apache.spark.sql.catalyst.rules.Rule;
import org.apache.spark.sql.catalyst.trees.TreeNode;

/**
 * Asks as late as a plan allows: what removes rows and doesn't need the answers goes first.
 *
 * A plan is taken for rows without calls, then layers of calls and of filters on their answers, then a projection.
 * Filters, windows, sorts and limits that need no answer go below the layers, and so do semi-joins and anti-joins. Below
 * another join the rows of the calls are reduced to those that meet a row of the other side, by a semi-join:
 *
 *   join (filter on answers (calls (a)), b)   becomes   join (filter on answers (calls (semi-join (a, b))), b)
 */
public class CallsAfterOthers extends Rule {
    private final String function;

    public CallsAfterOthers(String function) {
        this.function = function;
    }

    public TreeNode apply(TreeNode root) {
        LogicalPlan plan = (LogicalPlan) root;
        if (!Plans.areOn() || !Plans.hasCalls(plan, function)) {
            return plan;
        }
        try {
            List whole = new ArrayList();
            while (true) {
                Rewriting rewriting = new Rewriting(whole);
                LogicalPlan found = rewriting.whole(plan), inPart = rewriting.semiJoins.reducedInPart(found);
                if (inPart == null) {
                    return rewriting.hasMoved() ? clean(found) : plan;
                }
                whole.add(inPart);
            }
        } catch (Throwable fault) {
            return Plans.unchanged(plan, fault);
        }
    }

    private static LogicalPlan clean(LogicalPlan plan) {
        LogicalPlan known = UpdateAttributeNullability$.MODULE$.apply(plan);
        LogicalPlan pruned = ColumnPruning$.MODULE$.apply(CollapseProject$.MODULE$.apply(known));
        return RemoveNoopOperators$.MODULE$.apply(CollapseProject$.MODULE$.apply(pruned));
    }

    private class Rewriting {
        private final SemiJoins semiJoins;
        private final Limits limits = new Limits(function);
        private boolean moved;

        Rewriting(List whole) {
            semiJoins = new SemiJoins(function, whole);
        }

        boolean hasMoved() {
            return moved || semiJoins.moved || limits.moved;
        }

        LogicalPlan whole(LogicalPlan plan) {
            return taken(plan).plan();
        }

        Layered taken(LogicalPlan plan) {
            if (Plans.isOfCalls(plan, function)) {
                return withCalls((ArrowEvalPython) plan);
            }
            if (plan instanceof Project && ((Project) plan).deterministic()) {
                return withColumns((Project) plan);
            }
            if (plan instanceof Filter && ((Filter) plan).condition().deterministic()) {
                return withFilter((Filter) plan);
            }
            if (plan instanceof Join) {
                return withJoin((Join) plan);
            }
            if (plan instanceof Sort || plan instanceof Window || Plans.isLimit(plan)) {
                return plan instanceof LocalLimit
                    ? withLimit((LocalLimit) plan)
                    : withRowsBelow(plan, (LogicalPlan) plan.children().head());
            }
            return new Layered(withNewChildren(plan));
        }

        private LogicalPlan withNewChildren(LogicalPlan plan) {
            List children = Plans.list(plan.children());
            boolean changed = false;
            for (int i = 0; i < children.size(); i++) {
                LogicalPlan child = (LogicalPlan) children.get(i);
                LogicalPlan found = Plans.hasCalls(child, function) ? whole(child) : child;
                changed = changed || found != child;
                children.set(i, found);
            }
            return changed ? (LogicalPlan) plan.withNewChildren(Plans.seq(children)) : plan;
        }

        private Layered withCalls(ArrowEvalPython calls) {
            Layered rows = taken(calls.child());
            List udfs = Plans.list(calls.udfs()), results = Plans.list(calls.resultAttrs());
            List asked = new ArrayList(), answers = new ArrayList(), columns = new ArrayList();
            Values values = new Values(rows.columns);
            for (int i = 0; i < udfs.size(); i++) {
                Expression call = values.in((Expression) udfs.get(i));
                Attribute result = (Attribute) results.get(i), known = rows.answerOf(call);
                if (known == null) {
                    asked.add(call);
                    answers.add(result);
                    columns.add(result);
                } else { // as Spark evaluates a filter's call once more for the output
                    moved = true;
                    columns.add(Layered.alias(known, result.name(), result.exprId()));
                }
            }
            if (!asked.isEmpty()) {
                rows.layers.add(Plans.calls(asked, answers, rows.base, calls.evalType()));
            }
            rows.columns.addAll(columns);
            return rows;
        }

        private Layered withColumns(Project project) {
            Layered rows = taken(project.child());
            if (rows.layers.isEmpty()) {
                return new Layered(Plans.over(project, rows.plan()));
            }
            Values values = new Values(rows.columns);
            List listed = Plans.list(project.projectList()), columns = new ArrayList(), early = new ArrayList();
            for (int i = 0; i < listed.size(); i++) {
                NamedExpression column = (NamedExpression) listed.get(i);
                if (column instanceof Attribute) {
                    columns.add(values.column((Attribute) column));
                } else if (rows.isBelow((Expression) column)) {
                    early.add(column);
                    columns.add(column.toAttribute());
                } else {
                    columns.add(values.in((Expression) column));
                }
            }
            rows.addBelow(early);
            rows.columns = columns;
            return rows;
        }

        private Layered withFilter(Filter filter) {
            Layered rows = taken(filter.child());
            if (rows.layers.isEmpty()) {
                return new Layered(Plans.over(filter, rows.plan()));
            }
            List conjuncts = Plans.conjuncts(filter.condition()), early = new ArrayList();
            Values values = new Values(rows.columns);
            for (int i = 0; i < conjuncts.size(); i++) {
                Expression conjunct = (Expression) conjuncts.get(i);
                if (rows.isBelow(conjunct)) {
                    early.add(conjunct);
                } else {
                    addFilter(rows, values.in(conjunct));
                }
            }
            moved = moved || !early.isEmpty();
            rows.base = Plans.filtered(rows.base, early);
            return rows;
        }

        /** Puts a filter right after the calls that it needs; others come after it, and ask less. */
        private void addFilter(Layered rows, Expression condition) {
            Filter filter = new Filter(condition, rows.base);
            int place = rows.layers.size();
            while (place > 0 && !needs(condition, rows.layers.get(place - 1))) {
                place--;
            }
            if (place > 0) {
                place = splitAt(rows, place, condition);
            }
            while (place < rows.layers.size() && rows.layers.get(place) instanceof Filter) {
                place++;
            }
            moved = moved || place < rows.layers.size();
            rows.layers.add(place, filter);
            moved = rows.settle(place) || moved;
        }

        /** Sees that the layer below a place has no calls but those that a condition needs; returns the place. */
        private int splitAt(Layered rows, int place, Expression condition) {
            ArrowEvalPython calls = (ArrowEvalPython) rows.layers.get(place - 1);
            List udfs = Plans.list(calls.udfs()), results = Plans.list(calls.resultAttrs());
            List first = new ArrayList(), firstResults = new ArrayList();
            List later = new ArrayList(), laterResults = new ArrayList();
            for (int i = 0; i < udfs.size(); i++) {
                boolean isNeeded = condition.references().contains((Attribute) results.get(i));
                (isNeeded ? first : later).add(udfs.get(i));
                (isNeeded ? firstResults : laterResults).add(results.get(i));
            }
            if (!later.isEmpty()) {
                rows.layers.set(place - 1, Plans.calls(first, firstResults, rows.base, calls.evalType()));
                rows.layers.add(place, Plans.calls(later, laterResults, rows.base, calls.evalType()));
            }
            return place;
        }

        private boolean needs(Expression condition, Object layer) {
            return layer instanceof ArrowEvalPython
                && Plans.reads(condition, Plans.list(((ArrowEvalPython) layer).resultAttrs()));
        }

        /** A limit above a filter on answers stays above it, and is told to the calls. */
        private Layered withLimit(LocalLimit plan) {
            Expression limit = plan.limitExpr();
            LogicalPlan child = limits.without(plan.child(), limit);
            LogicalPlan inOrder = sortedBelow(child, limit);
            if (inOrder != null) {
                return new Layered(Plans.over(plan, inOrder));
            }
            Layered rows = withRowsBelow(plan, child);
            if (!rows.layers.isEmpty()) {
                return rows;
            }
            LogicalPlan below = (LogicalPlan) rows.base.children().head(), told = limits.told(below, limit);
            return told == below ? rows : new Layered(Plans.over(rows.base, told));
        }

        /** A sort whose limit stands above, and which a filter on answers keeps above the calls; null where it is not so. */
        private LogicalPlan sortedBelow(LogicalPlan plan, Expression limit) {
            if (plan instanceof Project && ((Project) plan).deterministic()) {
                LogicalPlan found = sortedBelow(((Project) plan).child(), limit);
                return found == null ? null : Plans.over(plan, found);
            }
            if (!(plan instanceof Sort) || !((Sort) plan).global()) {
                return null;
            }
            Layered rows = taken(((Sort) plan).child());
            return rows.hasFilter() ? limits.inOrder((Sort) plan, rows, limit) : null;
        }

        /** A sort, a window, a limit: below the calls, if it needs no answer and no filter on answers is below it. */
        private Layered withRowsBelow(LogicalPlan plan, LogicalPlan child) {
            Layered rows = taken(child);
            if (rows.layers.isEmpty() || rows.hasFilter() || !plan.references().subsetOf(rows.base.outputSet())
                || !isDeterministic(plan)) {
                LogicalPlan below = rows.plan();
                return new Layered(below == child && plan.children().head() == child ? plan : Plans.over(plan, below));
            }
            moved = moved || Plans.isLimit(plan);
            List output = Plans.list(plan.output());
            for (int i = 0; i < output.size(); i++) {
                if (!child.outputSet().contains((Attribute) output.get(i))) {
                    rows.columns.add(output.get(i));
                }
            }
            rows.base = Plans.over(plan, rows.base);
            return rows;
        }

        private boolean isDeterministic(LogicalPlan plan) {
            List expressions = Plans.list(plan.expressions());
            for (int i = 0; i < expressions.size(); i++) {
                if (!((Expression) expressions.get(i)).deterministic()) {
                    return false;
                }
            }
            return true;
        }

        /**
         * A semi-join or anti-join keeps rows of the left side as they are, so it goes below the calls there. Another join
         * may repeat rows, which would all be handed to the function: there calls stay, and their rows are reduced.
         */
        private Layered withJoin(Join join) {
            JoinType type = join.joinType();
            boolean isInner = type == Inner$.MODULE$ || type == Cross$.MODULE$;
            boolean keepsLeft = type == LeftSemi$.MODULE$ || type == LeftAnti$.MODULE$;
            LogicalPlan ofLeft = join.left(), ofRight = join.right();
            if (isInner && join.condition().isDefined()) {
                List conjuncts = Plans.conjuncts((Expression) join.condition().get());
                ofLeft = semiJoins.reducedParts(ofLeft, ofRight, conjuncts);
                ofRight = semiJoins.reducedParts(ofRight, ofLeft, conjuncts);
            }
            Layered left = taken(ofLeft), right = taken(ofRight);
            if (!left.hasCalls(function) && !right.hasCalls(function)) {
                return joined(join, left.plan(), right.plan());
            }
            List now = new ArrayList(), later = new ArrayList();
            if (join.condition().isDefined()) {
                split((Expression) join.condition().get(), left, right, now, later);
            }
            LogicalPlan rowsOfLeft = left.base, rowsOfRight = right.base;
            if (isInner || keepsLeft || type == LeftOuter$.MODULE$ || type instanceof ExistenceJoin) {
                right = reduced(right, rowsOfLeft, now);
            }
            if (keepsLeft && later.isEmpty() && !left.layers.isEmpty()) {
                moved = true;
                scala.Option condition = now.isEmpty() ? scala.Option.empty() : scala.Option.apply(Plans.allOf(now));
                left.base = new Join(left.base, right.plan(), type, condition, join.hint());
                return left;
            }
            if (isInner || type == LeftSemi$.MODULE$ || type == RightOuter$.MODULE$) {
                left = reduced(left, rowsOfRight, now);
            }
            return joined(join, left.plan(), right.plan());
        }

        private Layered joined(Join join, LogicalPlan left, LogicalPlan right) {
            if (left == join.left() && right == join.right()) {
                return new Layered(join);
            }
            List children = new ArrayList();
            children.add(left);
            children.add(right);
            return new Layered((LogicalPlan) join.withNewChildren(Plans.seq(children)));
        }

        private void split(Expression condition, Layered left, Layered right, List now, List later) {
            Values ofLeft = new Values(left.columns), ofRight = new Values(right.columns);
            List conjuncts = Plans.conjuncts(condition);
            for (int i = 0; i < conjuncts.size(); i++) {
                Expression conjunct = ofRight.in(ofLeft.in((Expression) conjuncts.get(i)));
                boolean isBelow = conjunct.references()
                    .subsetOf(left.base.outputSet().$plus$plus(right.base.outputSet()));
                (isBelow ? now : later).add(conjunct);
            }
        }

        /** With rows below the calls that meet a row of others; all of them, where that can't be said beforehand. */
        private Layered reduced(Layered rows, LogicalPlan others, List conditions) {
            if (conditions.isEmpty() || !rows.hasCalls(function) || !semiJoins.isRepeatable(others)) {
                return rows;
            }
            Expression condition = Plans.allOf(conditions);
            if (rows.layers.isEmpty()) { // the calls are further down, perhaps below an aggregation by the same columns
                LogicalPlan found = reducedDeep(rows.plan(), others, condition);
                return found == null ? rows : new Layered(found);
            }
            rows.base = semiJoins.reduced(rows.base, others, condition);
            return rows;
        }

        private LogicalPlan reducedDeep(LogicalPlan plan, LogicalPlan others, Expression condition) {
            boolean isProject = plan instanceof Project && ((Project) plan).deterministic();
            boolean isFilter = plan instanceof Filter && ((Filter) plan).condition().deterministic();
            if (isProject || isFilter || plan instanceof Aggregate) {
                LogicalPlan child = (LogicalPlan) plan.children().head();
                Expression below = condition;
                if (isProject) {
                    below = new Values(Plans.list(((Project) plan).projectList())).in(condition);
                } else if (plan instanceof Aggregate) {
                    below = new Values(Plans.list(((Aggregate) plan).aggregateExpressions())).in(condition);
                    if (!semiJoins.isOfGroups(below, (Aggregate) plan, others)) {
                        return null;
                    }
                }
                LogicalPlan found = reducedDeep(child, others, below);
                if (found != null) {
                    return Plans.over(plan, found);
                }
                if (plan instanceof Aggregate || !Plans.isOfCalls(child, function)) {
                    return null;
                }
            }
            Layered rows = taken(plan);
            boolean isKnown = condition.references().subsetOf(rows.base.outputSet().$plus$plus(others.outputSet()));
            if (rows.layers.isEmpty() || !isKnown || semiJoins.isReduced(rows.base, condition)) {
                return null;
            }
            rows.base = semiJoins.reduced(rows.base, others, condition);
            return rows.plan();
        }
    }
}
