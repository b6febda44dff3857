package gateway_batch;

import java.util.HashMap;
import java.util.List;
import java.util.Map;

import org.apache.spark.sql.catalyst.expressions.Alias;
import org.apache.spark.sql.catalyst.expressions.And;
import org.apache.spark.sql.catalyst.expressions.Attribute;
import org.apache.spark.sql.catalyst.expressions.AttributeReference;
import org.apache.spark.sql.catalyst.expressions.CaseWhen;
import org.apache.spark.sql.catalyst.expressions.Coalesce;
import org.apache.spark.sql.catalyst.expressions.EqualNullSafe;
import org.apache.spark.sql.catalyst.expressions.EqualTo;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.GreaterThan;
import org.apache.spark.sql.catalyst.expressions.GreaterThanOrEqual;
import org.apache.spark.sql.catalyst.expressions.HigherOrderFunction;
import org.apache.spark.sql.catalyst.expressions.If;
import org.apache.spark.sql.catalyst.expressions.In;
import org.apache.spark.sql.catalyst.expressions.InSet;
import org.apache.spark.sql.catalyst.expressions.IsNotNull;
import org.apache.spark.sql.catalyst.expressions.IsNull;
import org.apache.spark.sql.catalyst.expressions.LessThan;
import org.apache.spark.sql.catalyst.expressions.LessThanOrEqual;
import org.apache.spark.sql.catalyst.expressions.Literal;
import org.apache.spark.sql.catalyst.expressions.NamedExpression;
import org.apache.spark.sql.catalyst.expressions.Not;
import org.apache.spark.sql.catalyst.expressions.Or;
import org.apache.spark.sql.catalyst.expressions.PythonUDF;
import org.apache.spark.sql.catalyst.expressions.StringPredicate;
import org.apache.spark.sql.catalyst.expressions.TryEval;
import org.apache.spark.sql.catalyst.expressions.aggregate.AggregateExpression;
import org.apache.spark.sql.catalyst.plans.logical.Aggregate;
import org.apache.spark.sql.catalyst.plans.logical.ArrowEvalPython;
import org.apache.spark.sql.catalyst.plans.logical.Filter;
import org.apache.spark.sql.catalyst.plans.logical.GlobalLimit;
import org.apache.spark.sql.catalyst.plans.logical.Join;
import org.apache.spark.sql.catalyst.plans.logical.LocalLimit;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.plans.logical.Offset;
import org.apache.spark.sql.catalyst.plans.logical.Project;
import org.apache.spark.sql.catalyst.plans.logical.RepartitionOperation;
import org.apache.spark.sql.catalyst.plans.logical.Sample;
import org.apache.spark.sql.catalyst.plans.logical.Sort;
import org.apache.spark.sql.catalyst.plans.logical.Window;
import org.apache.spark.sql.catalyst.plans.logical.WindowGroupLimit;
import org.apache.spark.sql.catalyst.rules.Rule;
import org.apache.spark.sql.catalyst.trees.TreeNode;

/**
 * Asks only where an answer is read: CASE WHEN c THEN call END asks for the rows where c is true.
 *
 * Spark takes Python functions out of the expressions that they are in, and evaluates them for all rows. From the root
 * down, this rule finds for each column the condition under which it is read (the branches of CASE, IF and COALESCE, the
 * other side of AND and OR, the FILTER of an aggregate; of several uses any), and makes a call's request NULL where it
 * isn't true. Conditions are true, false or NULL, and only true counts: an answer in `THEN` is read where its WHEN is
 * true, one in ELSE where none is. A condition that is not known where the call stands, or too long, is left out, so
 * that more is asked, and never less.
 */
public class CallsWhereRead extends Rule {
    private static final int MOST_NODES = 200;

    private final String function;

    public CallsWhereRead(String function) {
        this.function = function;
    }

    public TreeNode apply(TreeNode root) {
        LogicalPlan plan = (LogicalPlan) root;
        if (!Plans.areOn() || !Plans.hasCalls(plan, function)) {
            return plan;
        }
        try {
            return guarded(plan, always(plan));
        } catch (Throwable fault) {
            return Plans.unchanged(plan, fault);
        }
    }

    /** A plan whose calls are asked only as far as it takes for its output. */
    private LogicalPlan guarded(LogicalPlan plan, Reads reads) {
        List children = Plans.list(plan.children());
        if (children.isEmpty()) {
            return plan;
        }
        LogicalPlan own = plan instanceof ArrowEvalPython ? withGuards((ArrowEvalPython) plan, reads) : plan;
        boolean changed = own != plan;
        for (int i = 0; i < children.size(); i++) {
            LogicalPlan child = (LogicalPlan) children.get(i);
            if (Plans.hasCalls(child, function)) {
                LogicalPlan below = guarded(child, readsOf(own, child, reads));
                changed = changed || below != child;
                children.set(i, below);
            }
        }
        return changed ? (LogicalPlan) own.withNewChildren(Plans.seq(children)) : plan;
    }

    private LogicalPlan withGuards(ArrowEvalPython calls, Reads reads) {
        List udfs = Plans.list(calls.udfs()), results = Plans.list(calls.resultAttrs());
        boolean changed = false;
        for (int i = 0; i < udfs.size(); i++) {
            if (!Plans.isCall(udfs.get(i), function)) {
                continue;
            }
            Expression condition = known(reads.of((Attribute) results.get(i)), calls.child());
            if (condition != null) {
                PythonUDF call = (PythonUDF) udfs.get(i);
                PythonUDF guarded = Plans.sentWhere(call, isSafe(condition) ? condition : new TryEval(condition), function);
                changed = changed || guarded != call;
                udfs.set(i, guarded);
            }
        }
        return changed ? Plans.calls(udfs, Plans.list(calls.resultAttrs()), calls.child(), calls.evalType()) : calls;
    }

    /** How the columns of a node's child are read, from how its own are. */
    private Reads readsOf(LogicalPlan plan, LogicalPlan child, Reads reads) {
        if (plan instanceof Project) {
            return readsOfProject((Project) plan, reads);
        }
        Reads found = new Reads();
        if (plan instanceof Aggregate) {
            addAll(plan, found);
        } else if (passesOn(plan)) {
            List output = Plans.list(child.output());
            for (int i = 0; i < output.size(); i++) {
                Attribute column = (Attribute) output.get(i);
                if (reads.has(column)) {
                    found.add(column, reads.of(column));
                }
            }
            addAll(plan, found);
        } else {
            return always(child);
        }
        return found;
    }

    /** Whether a node hands on its children's columns as they are, besides what its expressions read. */
    private boolean passesOn(LogicalPlan plan) {
        return plan instanceof ArrowEvalPython || plan instanceof Filter || plan instanceof Join || plan instanceof Sort
            || plan instanceof GlobalLimit || plan instanceof LocalLimit || plan instanceof Offset
            || plan instanceof Window || plan instanceof WindowGroupLimit || plan instanceof Sample || plan instanceof RepartitionOperation;
    }

    private void addAll(LogicalPlan plan, Reads found) {
        List expressions = Plans.list(plan.expressions());
        for (int i = 0; i < expressions.size(); i++) {
            if (plan instanceof Filter || plan instanceof Join) {
                collectTruth((Expression) expressions.get(i), null, found);
            } else {
                collect((Expression) expressions.get(i), null, found);
            }
        }
    }

    private Reads readsOfProject(Project project, Reads reads) {
        List columns = Plans.list(project.projectList());
        Inside inside = new Inside(columns);
        Reads found = new Reads();
        for (int i = 0; i < columns.size(); i++) {
            NamedExpression column = (NamedExpression) columns.get(i);
            if (reads.has(column.toAttribute())) {
                Expression condition = reads.of(column.toAttribute());
                Expression below = condition == null ? null : (Expression) condition.transformUp(inside);
                collect((Expression) column, below != null && below.deterministic() ? below : null, found);
            }
        }
        return found;
    }

    private static Reads always(LogicalPlan plan) {
        Reads found = new Reads();
        List output = Plans.list(plan.output());
        for (int i = 0; i < output.size(); i++) {
            found.add((Attribute) output.get(i), null);
        }
        return found;
    }

    /** Adds the columns that an expression reads where a condition is true; a condition that is null always is. */
    private void collect(Expression expression, Expression where, Reads found) {
        if (expression instanceof Attribute) {
            found.add((Attribute) expression, where);
        } else if (expression instanceof If) {
            If choice = (If) expression;
            collectTruth(choice.predicate(), where, found);
            collect(choice.trueValue(), both(where, choice.predicate()), found);
            collect(choice.falseValue(), both(where, isNotTrue(choice.predicate())), found);
        } else if (expression instanceof CaseWhen) {
            collectCase((CaseWhen) expression, where, found);
        } else if (expression instanceof Coalesce) {
            List values = Plans.list(expression.children());
            Expression there = where;
            for (int i = 0; i < values.size(); i++) {
                collect((Expression) values.get(i), there, found);
                there = both(there, new IsNull((Expression) values.get(i)));
            }
        } else if (expression instanceof And) {
            And and = (And) expression;
            collect(and.left(), both(where, isNotFalse(early(and.right()))), found);
            collect(and.right(), both(where, isNotFalse(and.left())), found);
        } else if (expression instanceof Or) {
            Or or = (Or) expression;
            collect(or.left(), both(where, isNotTrue(early(or.right()))), found);
            collect(or.right(), both(where, isNotTrue(or.left())), found);
        } else if (expression instanceof AggregateExpression && ((AggregateExpression) expression).filter().isDefined()) {
            Expression filter = (Expression) ((AggregateExpression) expression).filter().get();
            collectTruth(filter, where, found);
            collect(((AggregateExpression) expression).aggregateFunction(), both(where, filter), found);
        } else if (expression instanceof HigherOrderFunction) { // its conditions may be about an element
            List references = Plans.list(expression.references());
            for (int i = 0; i < references.size(); i++) {
                found.add((Attribute) references.get(i), where);
            }
        } else {
            List children = Plans.list(expression.children());
            for (int i = 0; i < children.size(); i++) {
                collect((Expression) children.get(i), where, found);
            }
        }
    }

    /** The same of a condition that is only asked whether it is true: false and NULL are one. */
    private void collectTruth(Expression condition, Expression where, Reads found) {
        if (condition instanceof And) {
            And and = (And) condition;
            collectTruth(and.left(), both(where, early(and.right())), found);
            collectTruth(and.right(), both(where, and.left()), found);
        } else if (condition instanceof Or) {
            Or or = (Or) condition;
            collectTruth(or.left(), both(where, isNotTrue(early(or.right()))), found);
            collectTruth(or.right(), both(where, isNotTrue(or.left())), found);
        } else {
            collect(condition, where, found);
        }
    }

    private void collectCase(CaseWhen choice, Expression where, Reads found) {
        Expression there = where;
        List branches = Plans.list(choice.branches());
        for (int i = 0; i < branches.size(); i++) {
            scala.Tuple2 branch = (scala.Tuple2) branches.get(i);
            Expression condition = (Expression) branch._1();
            collectTruth(condition, there, found);
            collect((Expression) branch._2(), both(there, condition), found);
            there = both(there, isNotTrue(condition));
        }
        if (choice.elseValue().isDefined()) {
            collect((Expression) choice.elseValue().get(), there, found);
        }
    }

    /** The part of a condition that is known among a plan's columns; null where nothing is, and it may be true. */
    private Expression known(Expression condition, LogicalPlan plan) {
        if (condition == null || !condition.deterministic()) {
            return null;
        }
        if (Plans.isOver(condition, plan)) {
            return condition;
        }
        if (condition instanceof And) {
            return both(known(((And) condition).left(), plan), known(((And) condition).right(), plan));
        }
        if (condition instanceof Or) {
            return any(known(((Or) condition).left(), plan), known(((Or) condition).right(), plan));
        }
        return null;
    }

    private static Expression both(Expression left, Expression right) {
        return left == null ? right : right == null ? left : new And(left, right);
    }

    private static Expression any(Expression left, Expression right) {
        if (left == null || right == null) {
            return null;
        }
        return left.semanticEquals(right) ? left : new Or(early(left), early(right)); // one may fail, and the other be true
    }

    private static Expression isNotTrue(Expression condition) {
        return new Not(new EqualNullSafe(condition, Literal.TrueLiteral()));
    }

    private static Expression isNotFalse(Expression condition) {
        return new Not(new EqualNullSafe(condition, Literal.FalseLiteral()));
    }

    /** What is evaluated before its turn: where it fails, it is NULL, and fails in its turn. */
    private static Expression early(Expression condition) {
        return isSafe(condition) ? condition : new TryEval(condition);
    }

    /** Whether an expression can't fail, whatever a row has. */
    private static boolean isSafe(Expression expression) {
        boolean known = expression instanceof Attribute || expression instanceof Literal || expression instanceof And
            || expression instanceof Or || expression instanceof Not || expression instanceof IsNull
            || expression instanceof IsNotNull || expression instanceof EqualTo || expression instanceof EqualNullSafe
            || expression instanceof LessThan || expression instanceof LessThanOrEqual
            || expression instanceof GreaterThan || expression instanceof GreaterThanOrEqual
            || expression instanceof In || expression instanceof InSet || expression instanceof StringPredicate
            || expression instanceof TryEval;
        if (!known || expression instanceof TryEval) {
            return known;
        }
        List children = Plans.list(expression.children());
        for (int i = 0; i < children.size(); i++) {
            if (!isSafe((Expression) children.get(i))) {
                return false;
            }
        }
        return true;
    }

    /** Where each column is read: a condition, or null for always; not at all, where there is no entry. */
    private static class Reads {
        private final Map conditions = new HashMap();

        boolean has(Attribute column) {
            return conditions.containsKey(column.exprId());
        }

        Expression of(Attribute column) {
            return (Expression) conditions.get(column.exprId());
        }

        void add(Attribute column, Expression condition) {
            Expression all = has(column) ? any(of(column), condition) : condition;
            conditions.put(column.exprId(), all != null && size(all) <= MOST_NODES ? all : null);
        }

        private static int size(Expression expression) {
            int nodes = 1;
            List children = Plans.list(expression.children());
            for (int i = 0; i < children.size() && nodes <= MOST_NODES; i++) {
                nodes += size((Expression) children.get(i));
            }
            return nodes;
        }
    }

    /** A condition over a projection's columns as one over the columns that the projection reads. */
    private static class Inside extends scala.runtime.AbstractPartialFunction {
        private final Map values = new HashMap();

        Inside(List columns) {
            for (int i = 0; i < columns.size(); i++) {
                if (columns.get(i) instanceof Alias) {
                    Alias alias = (Alias) columns.get(i);
                    values.put(alias.exprId(), alias.child());
                }
            }
        }

        public boolean isDefinedAt(Object expression) {
            return expression instanceof AttributeReference
                && values.containsKey(((AttributeReference) expression).exprId());
        }

        public Object applyOrElse(Object expression, scala.Function1 otherwise) {
            return isDefinedAt(expression)
                ? values.get(((AttributeReference) expression).exprId()) : otherwise.apply(expression);
        }
    }
}
