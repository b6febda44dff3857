package gateway_batch;

import java.util.ArrayList;
import java.util.List;

import org.apache.spark.sql.catalyst.expressions.Alias;
import org.apache.spark.sql.catalyst.expressions.Attribute;
import org.apache.spark.sql.catalyst.expressions.ExprId;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.plans.logical.ArrowEvalPython;
import org.apache.spark.sql.catalyst.plans.logical.Filter;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.plans.logical.Project;

/** Rows without calls, layers of calls and of filters on answers from the lowest up, and the columns of it all. */
public class Layered {
    public final LogicalPlan whole; // as it was, while there are no layers
    public LogicalPlan base;
    public final List layers = new ArrayList();
    public List columns;

    public Layered(LogicalPlan plan) {
        whole = plan;
        base = plan;
        columns = Plans.list(plan.output());
    }

    /** The answer of a call that is asked already; null for none. */
    public Attribute answerOf(Expression call) {
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

    public boolean hasFilter() {
        for (int i = 0; i < layers.size(); i++) {
            if (layers.get(i) instanceof Filter) {
                return true;
            }
        }
        return false;
    }

    public boolean isBelow(Expression expression) {
        return expression.deterministic() && Plans.isOver(expression, base);
    }

    /**
     * Asks for a filter before another whose prompts are longer: what stands at a place, after its calls, goes with them
     * below the filters and calls before them, as long as these aren't needed. Returns whether it went.
     */
    public boolean settle(int place) {
        int calls = place - 1, before = place - 2;
        while (before >= 0 && layers.get(before) instanceof Filter) {
            before--;
        }
        boolean isPair = calls >= 0 && layers.get(calls) instanceof ArrowEvalPython;
        if (!isPair || before < 0 || before == place - 2) {
            return false;
        }
        ArrowEvalPython own = (ArrowEvalPython) layers.get(calls), earlier = (ArrowEvalPython) layers.get(before);
        if (reads(own, earlier) || !PromptLengths.areShorter(own, earlier, base)) {
            return false;
        }
        Object filter = layers.remove(place);
        layers.add(before, layers.remove(calls));
        layers.add(before + 1, filter);
        settle(before + 1);
        return true;
    }

    private static boolean reads(ArrowEvalPython calls, ArrowEvalPython earlier) {
        List udfs = Plans.list(calls.udfs()), results = Plans.list(earlier.resultAttrs());
        for (int i = 0; i < udfs.size(); i++) {
            if (Plans.reads((Expression) udfs.get(i), results)) {
                return true;
            }
        }
        return false;
    }

    public void addBelow(List columns) {
        if (!columns.isEmpty()) {
            List all = Plans.list(base.output());
            all.addAll(columns);
            base = new Project(Plans.seq(all), base);
        }
    }

    public boolean hasCalls(String function) {
        return !layers.isEmpty() || Plans.hasCalls(base, function);
    }

    public LogicalPlan plan() {
        if (layers.isEmpty()) {
            return whole;
        }
        LogicalPlan plan = base;
        for (int i = 0; i < layers.size(); i++) {
            plan = Plans.over((LogicalPlan) layers.get(i), plan);
        }
        return new Project(Plans.seq(columns), plan);
    }

    public static Alias alias(Expression value, String name, ExprId id) {
        scala.collection.immutable.Seq none = Plans.seq(new ArrayList());
        return new Alias(value, name, id, none, scala.Option.empty(), none);
    }
}
