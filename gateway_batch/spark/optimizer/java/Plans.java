package gateway_batch;

import java.util.ArrayList;
import java.util.List;

import org.apache.spark.sql.catalyst.expressions.And;
import org.apache.spark.sql.catalyst.expressions.Attribute;
import org.apache.spark.sql.catalyst.expressions.AttributeSet;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.If;
import org.apache.spark.sql.catalyst.expressions.Literal;
import org.apache.spark.sql.catalyst.expressions.PythonUDF;
import org.apache.spark.sql.catalyst.plans.logical.ArrowEvalPython;
import org.apache.spark.sql.catalyst.plans.logical.Filter;
import org.apache.spark.sql.catalyst.plans.logical.GlobalLimit;
import org.apache.spark.sql.catalyst.plans.logical.LocalLimit;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.plans.logical.Offset;
import org.apache.spark.sql.catalyst.plans.logical.Sample;
import org.apache.spark.sql.catalyst.plans.logical.WindowGroupLimit;
import org.apache.spark.sql.internal.SQLConf;
import org.apache.spark.sql.types.IntegerType;
import org.slf4j.LoggerFactory;

/**
 * What the rules do to Spark's plans and expressions. A call of ours is a PythonUDF in an ArrowEvalPython; its first
 * argument is the request, and where that is NULL nothing is sent.
 *
 * Written, as all of this folder, for Janino, the compiler that Spark ships: no lambdas, no generics.
 */
public final class Plans {
    private static final String SETTING = "spark.gateway_batch.optimizer";

    private Plans() {
    }

    /** Whether the session wants the rules. */
    public static boolean areOn() {
        return !"false".equalsIgnoreCase(SQLConf.get().getConfString(SETTING, "true"));
    }

    /** A plan that a rule could not change, as it was: a query works without the rule. Tests want to know. */
    public static LogicalPlan unchanged(LogicalPlan plan, Throwable fault) {
        if ("strict".equalsIgnoreCase(SQLConf.get().getConfString(SETTING, "true"))) {
            throw new IllegalStateException(fault);
        }
        LoggerFactory.getLogger(Plans.class).warn("a plan stays as it is, so more may be asked: {}", fault.toString());
        return plan;
    }

    /** Whether a node keeps rows by their number. */
    public static boolean isLimit(LogicalPlan plan) {
        return plan instanceof GlobalLimit || plan instanceof LocalLimit || plan instanceof Offset
            || plan instanceof Sample || plan instanceof WindowGroupLimit;
    }

    public static boolean isCall(Object expression, String function) {
        return expression instanceof PythonUDF && function.equals(((PythonUDF) expression).name());
    }

    /** Whether a node evaluates calls of ours, and no other function, not even for their arguments. */
    public static boolean isOfCalls(LogicalPlan plan, String function) {
        return plan instanceof ArrowEvalPython && areCalls(list(((ArrowEvalPython) plan).udfs()), function);
    }

    private static boolean areCalls(List expressions, String function) {
        for (int i = 0; i < expressions.size(); i++) {
            Expression expression = (Expression) expressions.get(i);
            if (!isCall(expression, function)) {
                return false;
            }
            List arguments = list(expression.children());
            if (arguments.get(0) instanceof PythonUDF && !areCalls(arguments.subList(0, 1), function)) {
                return false;
            }
        }
        return true;
    }

    /** Whether there are calls anywhere in a plan. */
    public static boolean hasCalls(LogicalPlan plan, String function) {
        if (plan instanceof ArrowEvalPython) {
            List udfs = list(((ArrowEvalPython) plan).udfs());
            for (int i = 0; i < udfs.size(); i++) {
                if (isCall(udfs.get(i), function)) {
                    return true;
                }
            }
        }
        List children = list(plan.children());
        for (int i = 0; i < children.size(); i++) {
            if (hasCalls((LogicalPlan) children.get(i), function)) {
                return true;
            }
        }
        return false;
    }

    /** A call that sends nothing where a condition isn't true; the call itself where it can't be made so. */
    public static PythonUDF sentWhere(PythonUDF call, Expression condition, String function) {
        List arguments = list(call.children());
        Expression request = (Expression) arguments.get(0);
        if (request instanceof PythonUDF) { // its answer is the request: without it nothing is sent either
            if (!isCall(request, function)) {
                return call;
            }
            arguments.set(0, sentWhere((PythonUDF) request, condition, function));
        } else if (isSentWhere(request, condition)) {
            return call;
        } else {
            arguments.set(0, new If(condition, request, new Literal(null, request.dataType())));
        }
        return (PythonUDF) call.withNewChildren(seq(arguments));
    }

    /** A call that knows how many rows are wanted of those that pass a filter on its answers. */
    public static PythonUDF limited(PythonUDF call, Expression limit) {
        List arguments = list(call.children());
        if (arguments.get(0) instanceof PythonUDF) { // its argument is evaluated with it
            return call;
        }
        arguments.add(limit);
        return new PythonUDF(call.name(), call.func(), call.dataType(), seq(arguments), call.evalType(),
            call.udfDeterministic(), call.resultId());
    }

    /** Whether it does: no argument of a call's own is an INT. */
    public static boolean isLimited(PythonUDF call) {
        return call.children().last() instanceof Expression
            && ((Expression) call.children().last()).dataType() instanceof IntegerType;
    }

    private static boolean isSentWhere(Expression request, Expression condition) {
        return request instanceof If && ((If) request).predicate().semanticEquals(condition);
    }

    public static ArrowEvalPython calls(List udfs, List results, LogicalPlan child, int evalType) {
        return new ArrowEvalPython(seq(udfs), seq(results), child, evalType);
    }

    /** The conjuncts of a condition. */
    public static List conjuncts(Expression condition) {
        List found = new ArrayList();
        addConjuncts(condition, found);
        return found;
    }

    private static void addConjuncts(Expression condition, List found) {
        if (condition instanceof And) {
            addConjuncts(((And) condition).left(), found);
            addConjuncts(((And) condition).right(), found);
        } else {
            found.add(condition);
        }
    }

    /** Conditions as one; null for none. */
    public static Expression allOf(List conditions) {
        Expression all = null;
        for (int i = 0; i < conditions.size(); i++) {
            Expression each = (Expression) conditions.get(i);
            all = all == null ? each : new And(all, each);
        }
        return all;
    }

    public static LogicalPlan filtered(LogicalPlan plan, List conditions) {
        return conditions.isEmpty() ? plan : new Filter(allOf(conditions), plan);
    }

    /** A node with another child. */
    public static LogicalPlan over(LogicalPlan plan, LogicalPlan child) {
        List children = new ArrayList();
        children.add(child);
        return (LogicalPlan) plan.withNewChildren(seq(children));
    }

    public static boolean isOver(Expression expression, LogicalPlan plan) {
        return expression.references().subsetOf(plan.outputSet());
    }

    public static boolean reads(Expression expression, List attributes) {
        AttributeSet references = expression.references();
        for (int i = 0; i < attributes.size(); i++) {
            if (references.contains((Attribute) attributes.get(i))) {
                return true;
            }
        }
        return false;
    }

    public static List list(scala.collection.Iterable items) {
        List found = new ArrayList();
        scala.collection.Iterator iterator = items.iterator();
        while (iterator.hasNext()) {
            found.add(iterator.next());
        }
        return found;
    }

    public static scala.collection.immutable.Seq seq(List items) {
        scala.collection.immutable.List found = scala.collection.immutable.Nil$.MODULE$;
        for (int i = items.size() - 1; i >= 0; i--) {
            found = found.$colon$colon(items.get(i));
        }
        return found;
    }
}
