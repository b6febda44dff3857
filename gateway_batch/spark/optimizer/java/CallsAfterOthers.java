package gateway_batch;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

import org.apache.spark.sql.catalyst.analysis.UpdateAttributeNullability$;
import org.apache.spark.sql.catalyst.expressions.Alias;
import org.apache.spark.sql.catalyst.expressions.Attribute;
import org.apache.spark.sql.catalyst.expressions.AttributeReference;
import org.apache.spark.sql.catalyst.expressions.ExprId;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.If;
import org.apache.spark.sql.catalyst.expressions.Literal;
import org.apache.spark.sql.catalyst.expressions.NamedExpression;
import org.apache.spark.sql.catalyst.expressions.NamedExpression$;
import org.apache.spark.sql.catalyst.expressions.PythonUDF;
import org.apache.spark.sql.catalyst.optimizer.CollapseProject$;
import org.apache.spark.sql.catalyst.optimizer.ColumnPruning$;
import org.apache.spark.sql.catalyst.optimizer.RemoveNoopOperators$;
import org.apache.spark.sql.catalyst.plans.Cross$;
import org.apache.spark.sql.catalyst.plans.Inner$;
import org.apache.spark.sql.catalyst.plans.JoinType;
import org.apache.spark.sql.catalyst.plans.LeftAnti$;
import org.apache.spark.sql.catalyst.plans.LeftOuter$;
import org.apache.spark.sql.catalyst.plans.LeftSemi$;
import org.apache.spark.sql.catalyst.plans.RightOuter$;
import org.apache.spark.sql.catalyst.plans.logical.Aggregate;
import org.apache.spark.sql.catalyst.plans.logical.ArrowEvalPython;
import org.apache.spark.sql.catalyst.plans.logical.Filter;
import org.apache.spark.sql.catalyst.plans.logical.GlobalLimit;
import org.apache.spark.sql.catalyst.plans.logical.Join;
import org.apache.spark.sql.catalyst.plans.logical.JoinHint;
import org.apache.spark.sql.catalyst.plans.logical.LocalLimit;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.plans.logical.Offset;
import org.apache.spark.sql.catalyst.plans.logical.Project;
import org.apache.spark.sql.catalyst.plans.logical.Sample;
import org.apache.spark.sql.catalyst.plans.logical.Sort;
import org.apache.spark.sql.catalyst.plans.logical.Window;
import org.apache.spark.sql.catalyst.plans.logical.WindowGroupLimit;
import org.apache.spark.sql.catalyst.rules.Rule;
import org.apache.spark.sql.catalyst.trees.TreeNode;

/**
 * Asks as late as a plan allows: what removes rows and doesn't need the answers goes first.
 *
 * A plan is taken for rows without calls, then layers of calls and of filters on their answers, then a projection.
 * Filters, joins, windows, sorts and limits that need no answer go below the layers:
 *
 *   join (filter on answers (calls (a)), b)   becomes   filter on answers (calls (join (a, b)))
 *
 * A join may repeat rows, and repeated requests are one where their answers are shared. Where they aren't, and on the
 * sides of a join that can't be changed so, the rows below the calls are reduced to those that meet a row of the other
 * side, by a semi-join.
 */
public class CallsAfterOthers extends Rule {
    private final String function;
    private final String shared;

    /**
     * @param function the name of the calls' Python function
     * @param shared   a text in the pickled function of each call whose answers all tasks share
     */
    public CallsAfterOthers(String function, String shared) {
        this.function = function;
        this.shared = shared;
    }

    public TreeNode apply(TreeNode root) {
        LogicalPlan plan = (LogicalPlan) root;
        if (!Plans.areOn() || !Plans.hasCalls(plan, function)) {
            return plan;
        }
        try {
            Rewriting rewriting = new Rewriting();
            LogicalPlan found = rewriting.whole(plan);
            return rewriting.moved ? clean(found) : plan;
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
        boolean moved;

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
            if (plan instanceof Sort || plan instanceof Window || isLimit(plan)) {
                return withRowsBelow(plan);
            }
            return new Layered(withNewChildren(plan));
        }

        private boolean isLimit(LogicalPlan plan) {
            return plan instanceof GlobalLimit || plan instanceof LocalLimit || plan instanceof Offset
                || plan instanceof Sample || plan instanceof WindowGroupLimit;
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

        /**
         * A sort, a window, a limit: below the calls, if it needs no answer and no filter on answers is below it. A limit
         * above such a filter is told to the calls, which then are asked in pieces until there are enough rows.
         */
        private Layered withRowsBelow(LogicalPlan plan) {
            LogicalPlan child = (LogicalPlan) plan.children().head();
            if (plan instanceof LocalLimit) {
                child = withoutLimit(child, ((LocalLimit) plan).limitExpr());
            }
            Layered rows = taken(child);
            if (plan instanceof LocalLimit && rows.hasFilter() && !rows.isToldLimit()) {
                rows.tellLimit(((LocalLimit) plan).limitExpr());
                moved = true;
            }
            if (rows.layers.isEmpty() || rows.hasFilter() || !plan.references().subsetOf(rows.base.outputSet())
                || !isDeterministic(plan)) {
                LogicalPlan below = rows.plan();
                return new Layered(below == child ? plan : Plans.over(plan, below));
            }
            moved = moved || isLimit(plan);
            List output = Plans.list(plan.output());
            for (int i = 0; i < output.size(); i++) {
                if (!child.outputSet().contains((Attribute) output.get(i))) {
                    rows.columns.add(output.get(i));
                }
            }
            rows.base = Plans.over(plan, rows.base);
            return rows;
        }

        /** Without the same limit further down, where Spark has put it below calls; there it would hide what is below. */
        private LogicalPlan withoutLimit(LogicalPlan plan, Expression limit) {
            if (plan instanceof LocalLimit && limit.semanticEquals(((LocalLimit) plan).limitExpr())) {
                return withoutLimit(((LocalLimit) plan).child(), limit);
            }
            if (plan instanceof Project || Plans.isOfCalls(plan, function)) {
                LogicalPlan child = (LogicalPlan) plan.children().head();
                LogicalPlan found = withoutLimit(child, limit);
                return found == child ? plan : Plans.over(plan, found);
            }
            return plan;
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

        private Layered withJoin(Join join) {
            Layered left = taken(join.left()), right = taken(join.right());
            if (left.layers.isEmpty() && right.layers.isEmpty()
                && !Plans.hasCalls(left.base, function) && !Plans.hasCalls(right.base, function)) {
                return joined(join, left.plan(), right.plan());
            }
            JoinType type = join.joinType();
            boolean isInner = type == Inner$.MODULE$ || type == Cross$.MODULE$;
            boolean keepsLeft = type == LeftSemi$.MODULE$ || type == LeftAnti$.MODULE$;
            boolean isOuter = type == LeftOuter$.MODULE$ || type == RightOuter$.MODULE$;
            Expression condition = join.condition().isDefined() ? (Expression) join.condition().get() : null;
            List now = new ArrayList(), later = new ArrayList();
            if (condition != null) {
                split(condition, left, right, now, later);
            }
            if (!(isInner || keepsLeft || isOuter) || (!later.isEmpty() && !isInner)
                || (condition != null && !condition.deterministic())) {
                return joined(join, left.plan(), right.plan());
            }
            boolean mayReduceLeft = isInner || type == LeftSemi$.MODULE$ || type == RightOuter$.MODULE$;
            boolean mayReduceRight = isInner || keepsLeft || type == LeftOuter$.MODULE$;
            if (later.isEmpty()) {
                LogicalPlan rowsOfLeft = left.base, rowsOfRight = right.base;
                if (mayReduceLeft && left.layers.isEmpty()) {
                    left = reducedDeep(left, rowsOfRight, now);
                }
                if (mayReduceRight && right.layers.isEmpty()) {
                    right = reducedDeep(right, rowsOfLeft, now);
                }
            }
            boolean leftStays = type == RightOuter$.MODULE$ && left.hasFilter();
            boolean rightStays = keepsLeft || (type == LeftOuter$.MODULE$ && right.hasFilter());
            if (!keepsLeft) {
                leftStays = leftStays || !isShared(left);
                rightStays = rightStays || !isShared(right);
            }
            if ((leftStays && !left.layers.isEmpty()) || (rightStays && !right.layers.isEmpty())) {
                if (!later.isEmpty()) {
                    return joined(join, left.plan(), right.plan());
                }
                LogicalPlan rowsOfLeft = left.base, rowsOfRight = right.base;
                if (leftStays && mayReduceLeft && !left.layers.isEmpty()) {
                    left = new Layered(reduced(left, rowsOfRight, now).plan());
                }
                if (rightStays && mayReduceRight && !right.layers.isEmpty()) {
                    right = new Layered(reduced(right, rowsOfLeft, now).plan());
                }
                if (leftStays) {
                    left = new Layered(left.plan());
                }
                if (rightStays) {
                    right = new Layered(right.plan());
                }
            }
            if (left.layers.isEmpty() && right.layers.isEmpty()) {
                return joined(join, left.plan(), right.plan());
            }
            moved = true;
            return together(join, left, right, now, later);
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

        private Layered together(Join join, Layered left, Layered right, List now, List later) {
            JoinType type = join.joinType();
            if (type == LeftOuter$.MODULE$) {
                right.beNullWhereUnmet();
            } else if (type == RightOuter$.MODULE$) {
                left.beNullWhereUnmet();
            }
            boolean keepsLeft = type == LeftSemi$.MODULE$ || type == LeftAnti$.MODULE$;
            scala.Option condition = now.isEmpty() ? scala.Option.empty() : scala.Option.apply(Plans.allOf(now));
            Layered found = new Layered(new Join(left.base, right.base, type, condition, join.hint()));
            boolean rightFirst = !left.hasFilter() && right.hasFilter();
            found.layers.addAll(rightFirst ? right.layers : left.layers);
            found.layers.addAll(rightFirst ? left.layers : right.layers);
            found.columns = new ArrayList(left.columns);
            if (!keepsLeft) {
                found.columns.addAll(right.columns);
            }
            for (int i = 0; i < later.size(); i++) {
                addFilter(found, (Expression) later.get(i));
            }
            return found;
        }

        /** The rows below the calls that meet a row of the other side; all, where that can't be said beforehand. */
        private Layered reduced(Layered rows, LogicalPlan others, List conditions) {
            Expression condition = Plans.allOf(conditions);
            if (condition == null || isReduced(rows.base, condition) || !isRepeatable(others) || others.isStreaming()) {
                return rows;
            }
            moved = true;
            rows.base = new Join(rows.base, others, LeftSemi$.MODULE$, scala.Option.apply(condition), JoinHint.NONE());
            return rows;
        }

        /** The same for calls further down, below an aggregation by the columns of the condition. */
        private Layered reducedDeep(Layered rows, LogicalPlan others, List conditions) {
            if (conditions.isEmpty() || !Plans.hasCalls(rows.base, function)) {
                return rows;
            }
            LogicalPlan found = reducedDeep(rows.plan(), others, Plans.allOf(conditions));
            return found == null ? rows : new Layered(found);
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
                    if (!isOfGroups(below, (Aggregate) plan, others)) {
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
            List conditions = new ArrayList();
            conditions.add(condition);
            boolean isKnown = condition.references().subsetOf(rows.base.outputSet().$plus$plus(others.outputSet()));
            boolean before = moved;
            moved = false;
            LogicalPlan found = rows.layers.isEmpty() || !isKnown ? null : reduced(rows, others, conditions).plan();
            boolean isNew = moved;
            moved = moved || before;
            return isNew ? found : null;
        }

        /** Whether a condition is about other rows and whole groups. */
        private boolean isOfGroups(Expression condition, Aggregate groups, LogicalPlan others) {
            List known = Plans.list(others.output());
            List by = Plans.list(groups.groupingExpressions());
            for (int i = 0; i < by.size(); i++) {
                if (by.get(i) instanceof Attribute) {
                    known.add(by.get(i));
                }
            }
            List references = Plans.list(condition.references());
            for (int i = 0; i < references.size(); i++) {
                boolean isKnown = false;
                for (int k = 0; k < known.size(); k++) {
                    isKnown = isKnown || ((Attribute) known.get(k)).exprId().equals(
                        ((Attribute) references.get(i)).exprId());
                }
                if (!isKnown) {
                    return false;
                }
            }
            return true;
        }

        private boolean isReduced(LogicalPlan plan, Expression condition) {
            if (plan instanceof Join && ((Join) plan).joinType() == LeftSemi$.MODULE$
                && ((Join) plan).condition().isDefined()
                && condition.semanticEquals((Expression) ((Join) plan).condition().get())) {
                return true;
            }
            List children = Plans.list(plan.children());
            for (int i = 0; i < children.size(); i++) {
                if (isReduced((LogicalPlan) children.get(i), condition)) {
                    return true;
                }
            }
            return false;
        }

        /** Whether reading a plan twice gives the same rows. */
        private boolean isRepeatable(LogicalPlan plan) {
            if (isLimit(plan) || !plan.deterministic() || Plans.hasCalls(plan, function)) {
                return false;
            }
            List children = Plans.list(plan.children());
            for (int i = 0; i < children.size(); i++) {
                if (!isRepeatable((LogicalPlan) children.get(i))) {
                    return false;
                }
            }
            return true;
        }

        private boolean isShared(Layered rows) {
            for (int i = 0; i < rows.layers.size(); i++) {
                if (rows.layers.get(i) instanceof ArrowEvalPython) {
                    List udfs = Plans.list(((ArrowEvalPython) rows.layers.get(i)).udfs());
                    for (int k = 0; k < udfs.size(); k++) {
                        if (!Plans.isMarked((PythonUDF) udfs.get(k), shared)) {
                            return false;
                        }
                    }
                }
            }
            return true;
        }
    }

    /** Rows without calls, layers of calls and of filters on answers from the lowest up, and the columns of it all. */
    private static class Layered {
        final LogicalPlan whole; // as it was, while there are no layers
        LogicalPlan base;
        final List layers = new ArrayList();
        List columns;

        Layered(LogicalPlan plan) {
            whole = plan;
            base = plan;
            columns = Plans.list(plan.output());
        }

        /** The answer of a call that is asked already; null for none. */
        Attribute answerOf(Expression call) {
            for (int i = 0; i < layers.size(); i++) {
                if (layers.get(i) instanceof ArrowEvalPython) {
                    List udfs = Plans.list(((ArrowEvalPython) layers.get(i)).udfs());
                    for (int k = 0; k < udfs.size(); k++) {
                        if (call.semanticEquals((Expression) udfs.get(k))) {
                            return (Attribute) ((ArrowEvalPython) layers.get(i)).resultAttrs().apply(k);
                        }
                    }
                }
            }
            return null;
        }

        boolean hasFilter() {
            for (int i = 0; i < layers.size(); i++) {
                if (layers.get(i) instanceof Filter) {
                    return true;
                }
            }
            return false;
        }

        boolean isBelow(Expression expression) {
            return expression.deterministic() && Plans.isOver(expression, base);
        }

        void tellLimit(Expression limit) {
            for (int i = 0; i < layers.size(); i++) {
                if (layers.get(i) instanceof ArrowEvalPython) {
                    ArrowEvalPython calls = (ArrowEvalPython) layers.get(i);
                    List udfs = Plans.list(calls.udfs());
                    for (int k = 0; k < udfs.size(); k++) {
                        udfs.set(k, Plans.limited((PythonUDF) udfs.get(k), limit));
                    }
                    layers.set(i, Plans.calls(udfs, Plans.list(calls.resultAttrs()), base, calls.evalType()));
                }
            }
        }

        boolean isToldLimit() {
            for (int i = 0; i < layers.size(); i++) {
                if (layers.get(i) instanceof ArrowEvalPython
                    && Plans.isLimited((PythonUDF) ((ArrowEvalPython) layers.get(i)).udfs().head())) {
                    return true;
                }
            }
            return false;
        }

        void addBelow(List columns) {
            if (!columns.isEmpty()) {
                List all = Plans.list(base.output());
                all.addAll(columns);
                base = new Project(Plans.seq(all), base);
            }
        }

        /** Makes its columns NULL in the rows that an outer join adds, in which nothing is asked either. */
        void beNullWhereUnmet() {
            if (layers.isEmpty()) {
                return;
            }
            Alias met = alias(Literal.TrueLiteral(), "met", NamedExpression$.MODULE$.newExprId());
            List added = new ArrayList();
            added.add(met);
            addBelow(added);
            Attribute isMet = met.toAttribute().withNullability(true);
            for (int i = 0; i < layers.size(); i++) {
                ArrowEvalPython calls = (ArrowEvalPython) layers.get(i);
                List udfs = Plans.list(calls.udfs());
                for (int k = 0; k < udfs.size(); k++) {
                    PythonUDF udf = (PythonUDF) udfs.get(k);
                    udfs.set(k, Plans.sentWhere(udf, isMet, udf.name()));
                }
                layers.set(i, Plans.calls(udfs, Plans.list(calls.resultAttrs()), base, calls.evalType()));
            }
            for (int i = 0; i < columns.size(); i++) {
                NamedExpression column = (NamedExpression) columns.get(i);
                if (column instanceof Alias) {
                    Expression value = ((Alias) column).child();
                    Expression there = new If(isMet, value, new Literal(null, value.dataType()));
                    columns.set(i, alias(there, column.name(), column.exprId()));
                }
            }
        }

        LogicalPlan plan() {
            if (layers.isEmpty()) {
                return whole;
            }
            LogicalPlan plan = base;
            for (int i = 0; i < layers.size(); i++) {
                plan = Plans.over((LogicalPlan) layers.get(i), plan);
            }
            return new Project(Plans.seq(columns), plan);
        }

        static Alias alias(Expression value, String name, ExprId id) {
            scala.collection.immutable.Seq none = Plans.seq(new ArrayList());
            return new Alias(value, name, id, none, scala.Option.empty(), none);
        }
    }

    /** What a plan's columns are, in the words of the columns below. */
    private static class Values extends scala.runtime.AbstractPartialFunction {
        private final Map columns = new HashMap();

        Values(List listed) {
            for (int i = 0; i < listed.size(); i++) {
                NamedExpression column = (NamedExpression) listed.get(i);
                columns.put(column.exprId(), column);
            }
        }

        NamedExpression column(Attribute attribute) {
            Object found = columns.get(attribute.exprId());
            return found == null ? attribute : (NamedExpression) found;
        }

        Expression in(Expression expression) {
            return (Expression) expression.transformUp(this);
        }

        public boolean isDefinedAt(Object expression) {
            return expression instanceof AttributeReference
                && columns.get(((AttributeReference) expression).exprId()) instanceof Alias;
        }

        public Object applyOrElse(Object expression, scala.Function1 otherwise) {
            return isDefinedAt(expression)
                ? ((Alias) columns.get(((AttributeReference) expression).exprId())).child()
                : otherwise.apply(expression);
        }
    }
}
