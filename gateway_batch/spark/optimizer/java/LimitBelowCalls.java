package gateway_batch;

import org.apache.spark.sql.catalyst.expressions.AttributeMap;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.PythonUDF;
import org.apache.spark.sql.catalyst.optimizer.CollapseProject$;
import org.apache.spark.sql.catalyst.plans.logical.ArrowEvalPython;
import org.apache.spark.sql.catalyst.plans.logical.GlobalLimit;
import org.apache.spark.sql.catalyst.plans.logical.LocalLimit;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.plans.logical.Project;
import org.apache.spark.sql.catalyst.plans.logical.Sort;
import org.apache.spark.sql.catalyst.rules.Rule;
import org.apache.spark.sql.catalyst.trees.TreeNode;

/**
 * Takes the first k rows before they are sent, not after: LIMIT k (calls (rows)) becomes calls (LIMIT k (rows)), and the
 * same with an ORDER BY that doesn't need the answers, whatever becomes of its columns above.
 *
 * Spark itself pushes only the limit of each partition below a Python function, so that a query that is not collected
 * evaluates k rows in every partition, and one with ORDER BY all rows. The function and the projections between give
 * one row for a row and keep the order, so the result is the same. Written for Janino, the compiler that Spark ships:
 * no lambdas, no generics.
 */
public class LimitBelowCalls extends Rule {
    private final String function;

    public LimitBelowCalls(String function) {
        this.function = function;
    }

    public TreeNode apply(TreeNode plan) {
        return ((LogicalPlan) plan).transformDown(new Rewrite());
    }

    /** The plan with its limit below the calls; null if there is no call of ours that the limit can go below. */
    private LogicalPlan lowered(GlobalLimit limit) {
        if (!(limit.child() instanceof LocalLimit)) {
            return null;
        }
        LogicalPlan limited = ((LocalLimit) limit.child()).child();
        LogicalPlan sorted = belowSort(limited, limit);
        return sorted == null ? onTop(limited, limit, null, false) : sorted;
    }

    /** The same for a sort, which may be under projections; null if there is none, or its order needs the answers. */
    private LogicalPlan belowSort(LogicalPlan plan, GlobalLimit limit) {
        if (plan instanceof Sort && ((Sort) plan).global()) {
            return onTop(((Sort) plan).child(), limit, (Sort) plan, false);
        }
        if (plan instanceof Project && ((Project) plan).deterministic()) {
            LogicalPlan below = belowSort(((Project) plan).child(), limit);
            return below == null ? null : over(plan, below);
        }
        return null;
    }

    private LogicalPlan onTop(LogicalPlan plan, GlobalLimit limit, Sort sort, boolean called) {
        if (plan instanceof ArrowEvalPython) {
            ArrowEvalPython calls = (ArrowEvalPython) plan;
            LogicalPlan below = onTop(calls.child(), limit, sort, called || isOurs(calls));
            return below == null ? null : over(plan, below);
        }
        if (plan instanceof Project && ((Project) plan).deterministic()) {
            Sort inside = sort == null ? null : (Sort) sort.mapExpressions(new Inside((Project) plan));
            LogicalPlan below = onTop(((Project) plan).child(), limit, inside, called);
            return below == null ? null : over(plan, below);
        }
        if (!called || (sort != null && !sort.references().subsetOf(plan.outputSet()))) {
            return null;
        }
        LogicalPlan rows = sort == null ? plan : over(sort, plan);
        return over(limit, over(limit.child(), rows));
    }

    private LogicalPlan over(LogicalPlan plan, LogicalPlan child) {
        return (LogicalPlan) plan.withNewChildren(
            (scala.collection.immutable.Seq) scala.collection.immutable.Nil$.MODULE$.$colon$colon(child));
    }

    private boolean isOurs(ArrowEvalPython calls) {
        scala.collection.Iterator udfs = calls.udfs().iterator();
        while (udfs.hasNext()) {
            if (function.equals(((PythonUDF) udfs.next()).name())) {
                return true;
            }
        }
        return false;
    }

    /** An expression over a projection's columns as one over the columns that the projection reads. */
    private static class Inside extends scala.runtime.AbstractFunction1 {
        private final AttributeMap aliases;

        Inside(Project project) {
            aliases = CollapseProject$.MODULE$.getAliasMap(project);
        }

        public Object apply(Object expression) {
            return CollapseProject$.MODULE$.replaceAlias((Expression) expression, aliases);
        }
    }

    private class Rewrite extends scala.runtime.AbstractPartialFunction {
        public boolean isDefinedAt(Object plan) {
            return plan instanceof GlobalLimit && lowered((GlobalLimit) plan) != null;
        }

        public Object applyOrElse(Object plan, scala.Function1 otherwise) {
            return isDefinedAt(plan) ? lowered((GlobalLimit) plan) : otherwise.apply(plan);
        }
    }
}
