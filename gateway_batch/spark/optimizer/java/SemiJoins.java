package gateway_batch;

import java.util.ArrayList;
import java.util.List;

import org.apache.spark.sql.catalyst.expressions.Attribute;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.plans.Cross$;
import org.apache.spark.sql.catalyst.plans.Inner$;
import org.apache.spark.sql.catalyst.plans.LeftSemi$;
import org.apache.spark.sql.catalyst.plans.logical.Aggregate;
import org.apache.spark.sql.catalyst.plans.logical.Join;
import org.apache.spark.sql.catalyst.plans.logical.JoinHint;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.plans.logical.Project;

/** Rows reduced to those that meet a row of others. */
public class SemiJoins {
    private final String function;
    private final List whole;
    private final List reduced = new ArrayList();
    public boolean moved; // whether it has reduced any

    /** @param whole rows that are left as they are */
    public SemiJoins(String function, List whole) {
        this.function = function;
        this.whole = whole;
    }

    /**
     * Rows that are reduced at one place of a plan, and at another are not; null for none. Left as they are at both, Spark
     * may evaluate their calls once for both.
     */
    public LogicalPlan reducedInPart(LogicalPlan plan) {
        if (Plans.isOfCalls(plan, function)) {
            LogicalPlan rows = (LogicalPlan) plan.children().head();
            if (isAmong(rows, reduced)) {
                return rows;
            }
        }
        List children = Plans.list(plan.children());
        LogicalPlan found = null;
        for (int i = 0; i < children.size() && found == null; i++) {
            found = reducedInPart((LogicalPlan) children.get(i));
        }
        return found;
    }

    private static boolean isAmong(LogicalPlan plan, List plans) {
        for (int i = 0; i < plans.size(); i++) {
            if (plan.sameResult((LogicalPlan) plans.get(i))) {
                return true;
            }
        }
        return false;
    }

    public LogicalPlan reduced(LogicalPlan rows, LogicalPlan others, Expression condition) {
        if (isReduced(rows, condition) || isAmong(rows, whole)) {
            return rows;
        }
        moved = true;
        reduced.add(rows);
        return new Join(rows, others, LeftSemi$.MODULE$, scala.Option.apply(condition), JoinHint.NONE());
    }

    /** The parts of an inner join that have no calls reduced to rows that meet others, so that they reduce more. */
    public LogicalPlan reducedParts(LogicalPlan plan, LogicalPlan others, List conjuncts) {
        boolean isInner = plan instanceof Join
            && (((Join) plan).joinType() == Inner$.MODULE$ || ((Join) plan).joinType() == Cross$.MODULE$);
        boolean isProject = plan instanceof Project && ((Project) plan).deterministic();
        if (!(isInner || isProject) || !Plans.hasCalls(plan, function) || !isRepeatable(others)) {
            return plan;
        }
        List children = Plans.list(plan.children());
        for (int i = 0; i < children.size(); i++) {
            LogicalPlan child = (LogicalPlan) children.get(i);
            if (Plans.hasCalls(child, function)) {
                children.set(i, reducedParts(child, others, conjuncts));
            } else if (isInner && isRepeatable(child)) {
                List known = new ArrayList();
                for (int k = 0; k < conjuncts.size(); k++) {
                    Expression conjunct = (Expression) conjuncts.get(k);
                    boolean isKnown = conjunct.deterministic() && !Plans.isOver(conjunct, others)
                        && conjunct.references().subsetOf(child.outputSet().$plus$plus(others.outputSet()));
                    if (isKnown) {
                        known.add(conjunct);
                    }
                }
                if (!known.isEmpty()) {
                    children.set(i, reduced(child, others, Plans.allOf(known)));
                }
            }
        }
        return (LogicalPlan) plan.withNewChildren(Plans.seq(children));
    }

    /** Whether a condition is about other rows and whole groups. */
    public boolean isOfGroups(Expression condition, Aggregate groups, LogicalPlan others) {
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

    public boolean isReduced(LogicalPlan plan, Expression condition) {
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
    public boolean isRepeatable(LogicalPlan plan) {
        if (Plans.isLimit(plan) || !plan.deterministic() || plan.isStreaming() || Plans.hasCalls(plan, function)) {
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
}
