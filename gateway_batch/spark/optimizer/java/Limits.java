package gateway_batch;

import java.util.ArrayList;
import java.util.List;

import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.Literal;
import org.apache.spark.sql.catalyst.expressions.PythonUDF;
import org.apache.spark.sql.catalyst.plans.Cross$;
import org.apache.spark.sql.catalyst.plans.Inner$;
import org.apache.spark.sql.catalyst.plans.JoinType;
import org.apache.spark.sql.catalyst.plans.LeftOuter$;
import org.apache.spark.sql.catalyst.plans.LeftSemi$;
import org.apache.spark.sql.catalyst.plans.RightOuter$;
import org.apache.spark.sql.catalyst.plans.logical.ArrowEvalPython;
import org.apache.spark.sql.catalyst.plans.logical.BROADCAST$;
import org.apache.spark.sql.catalyst.plans.logical.Filter;
import org.apache.spark.sql.catalyst.plans.logical.HintInfo;
import org.apache.spark.sql.catalyst.plans.logical.Join;
import org.apache.spark.sql.catalyst.plans.logical.JoinHint;
import org.apache.spark.sql.catalyst.plans.logical.LocalLimit;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.plans.logical.Project;
import org.apache.spark.sql.catalyst.plans.logical.Repartition;
import org.apache.spark.sql.catalyst.plans.logical.Sort;
import org.apache.spark.sql.internal.SQLConf;

/** What calls learn of a limit above them: they are then asked in pieces, until there are enough rows. */
public class Limits {
    private static final int MOST_SORTED = 10000; // rows of a limit for which one task may look alone

    private final String function;
    public boolean moved; // whether any has learned

    public Limits(String function) {
        this.function = function;
    }

    /** Without the same limit further down, where Spark has put it below calls; there it would hide what is below. */
    public LogicalPlan without(LogicalPlan plan, Expression limit) {
        if (plan instanceof LocalLimit && limit.semanticEquals(((LocalLimit) plan).limitExpr())) {
            return without(((LocalLimit) plan).child(), limit);
        }
        if (plan instanceof Project || Plans.isOfCalls(plan, function)) {
            LogicalPlan child = (LogicalPlan) plan.children().head();
            LogicalPlan found = without(child, limit);
            return found == child ? plan : Plans.over(plan, found);
        }
        return plan;
    }

    /** Tells the calls of layers. */
    public void tell(Layered rows, Expression limit) {
        for (int i = 0; i < rows.layers.size(); i++) {
            if (rows.layers.get(i) instanceof ArrowEvalPython) {
                rows.layers.set(i, told((ArrowEvalPython) rows.layers.get(i), rows.base, limit));
            }
        }
    }

    /** With the calls told that stand where rows pass one by one: below filters, and on the streamed side of joins. */
    public LogicalPlan told(LogicalPlan plan, Expression limit) {
        if (plan instanceof Join) {
            return toldBelow((Join) plan, limit);
        }
        if (plan instanceof Project || plan instanceof Filter || Plans.isOfCalls(plan, function)) {
            LogicalPlan child = (LogicalPlan) plan.children().head(), found = told(child, limit);
            if (Plans.isOfCalls(plan, function)) {
                return told((ArrowEvalPython) plan, found, limit);
            }
            return found == child ? plan : Plans.over(plan, found);
        }
        return plan;
    }

    /**
     * Sorted rows that pass a filter on answers, asked in their order: sorted below the calls, in one task, of which the
     * first that pass are taken. They are sorted again above, as Spark reads a sort and its limit together.
     */
    public LogicalPlan inOrder(Sort sort, Layered rows, Expression limit) {
        if (!(limit instanceof Literal) || ((Integer) ((Literal) limit).value()).intValue() > MOST_SORTED) {
            return null;
        }
        Values values = new Values(rows.columns);
        List order = Plans.list(sort.order());
        for (int i = 0; i < order.size(); i++) {
            Expression each = values.in((Expression) order.get(i));
            if (!rows.isBelow(each)) {
                return null;
            }
            order.set(i, each);
        }
        rows.base = sort.copy(Plans.seq(order), false, new Repartition(1, true, rows.base), sort.hint());
        tell(rows, limit);
        return Plans.over(sort, new LocalLimit(limit, rows.plan()));
    }

    private LogicalPlan told(ArrowEvalPython calls, LogicalPlan child, Expression limit) {
        List udfs = Plans.list(calls.udfs());
        for (int i = 0; i < udfs.size(); i++) {
            PythonUDF call = (PythonUDF) udfs.get(i), told = Plans.isLimited(call) ? call : Plans.limited(call, limit);
            moved = moved || told != call;
            udfs.set(i, told);
        }
        return Plans.calls(udfs, Plans.list(calls.resultAttrs()), child, calls.evalType());
    }

    /** A join reads one side row by row where the other is broadcast, which a hint sees to where Spark might do either. */
    private LogicalPlan toldBelow(Join join, Expression limit) {
        JoinType type = join.joinType();
        boolean isInner = type == Inner$.MODULE$ || type == Cross$.MODULE$;
        boolean isOfLeft = isInner || type == LeftSemi$.MODULE$ || type == LeftOuter$.MODULE$;
        boolean isFree = join.hint().equals(JoinHint.NONE());
        scala.Option none = scala.Option.empty(), broadcast = scala.Option.apply(
            new HintInfo(scala.Option.apply(BROADCAST$.MODULE$)));
        if (isOfLeft && isFree && Plans.hasCalls(join.left(), function) && isSmall(join.right())) {
            return join.copy(told(join.left(), limit), join.right(), type, join.condition(),
                isInner ? new JoinHint(none, broadcast) : join.hint());
        }
        boolean isOfRight = isInner || type == RightOuter$.MODULE$;
        if (isOfRight && isFree && Plans.hasCalls(join.right(), function) && isSmall(join.left())) {
            return join.copy(join.left(), told(join.right(), limit), type, join.condition(),
                isInner ? new JoinHint(broadcast, none) : join.hint());
        }
        return join;
    }

    private boolean isSmall(LogicalPlan plan) {
        return plan.stats().sizeInBytes().$less$eq(scala.math.BigInt.apply(SQLConf.get().autoBroadcastJoinThreshold()));
    }
}
