package gateway_batch;

import java.util.List;

import org.apache.spark.sql.catalyst.expressions.Alias;
import org.apache.spark.sql.catalyst.expressions.Attribute;
import org.apache.spark.sql.catalyst.expressions.CaseWhen;
import org.apache.spark.sql.catalyst.expressions.Coalesce;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.If;
import org.apache.spark.sql.catalyst.expressions.Literal;
import org.apache.spark.sql.catalyst.expressions.PythonUDF;
import org.apache.spark.sql.catalyst.expressions.StringRepeat;
import org.apache.spark.sql.catalyst.expressions.Substring;
import org.apache.spark.sql.catalyst.plans.logical.ArrowEvalPython;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.plans.logical.Project;
import org.apache.spark.sql.types.StringType;

/** How long the prompts of calls are, in characters, as far as a plan tells: to ask the shorter of two first. */
public final class PromptLengths {
    private static final double OTHER = 8;
    private static final double TIMES = 4, BY = 100; // else the order of the query stays, which may know better

    private PromptLengths() {
    }

    /** Whether some calls, above the same rows as others, have clearly less to read. */
    public static boolean areShorter(ArrowEvalPython calls, ArrowEvalPython others, LogicalPlan rows) {
        double shared = Math.min(constants(calls), constants(others));
        double own = requests(calls, rows) + constants(calls) - shared;
        double of = requests(others, rows) + constants(others) - shared;
        return of > Math.max(TIMES * own, own + BY);
    }

    /** What all rows of calls share, as instructions and labels: the size of their functions. */
    private static double constants(ArrowEvalPython calls) {
        double sum = 0;
        for (int i = 0; i < calls.udfs().size(); i++) {
            sum += ((PythonUDF) calls.udfs().apply(i)).func().command().size();
        }
        return sum;
    }

    private static double requests(ArrowEvalPython calls, LogicalPlan rows) {
        double sum = 0;
        for (int i = 0; i < calls.udfs().size(); i++) {
            sum += length((Expression) ((PythonUDF) calls.udfs().apply(i)).children().head(), rows);
        }
        return sum;
    }

    private static double length(Expression value, LogicalPlan rows) {
        if (value instanceof Literal) {
            return ((Literal) value).value() == null ? 0 : ((Literal) value).value().toString().length();
        }
        if (value instanceof PythonUDF) { // of an answer nothing is known
            return length((Expression) value.children().head(), rows);
        }
        if (value instanceof Attribute) {
            return ofColumn((Attribute) value, rows);
        }
        List parts = Plans.list(value.children());
        if (value instanceof If) {
            return longest(parts.subList(1, parts.size()), rows);
        }
        if (value instanceof CaseWhen || value instanceof Coalesce) {
            return longest(parts, rows);
        }
        if (value instanceof StringRepeat) {
            return number(((StringRepeat) value).times(), 1) * length(((StringRepeat) value).str(), rows);
        }
        if (value instanceof Substring) {
            return Math.min(number(((Substring) value).len(), Integer.MAX_VALUE),
                length(((Substring) value).str(), rows));
        }
        if (parts.isEmpty()) {
            return value.dataType().defaultSize();
        }
        double sum = 0;
        for (int i = 0; i < parts.size(); i++) {
            sum += length((Expression) parts.get(i), rows);
        }
        return sum;
    }

    /** As its expression below makes it, else what Spark takes for its type. */
    private static double ofColumn(Attribute column, LogicalPlan rows) {
        if (rows instanceof Project) {
            List listed = Plans.list(((Project) rows).projectList());
            for (int i = 0; i < listed.size(); i++) {
                if (listed.get(i) instanceof Alias && ((Alias) listed.get(i)).exprId().equals(column.exprId())) {
                    return length(((Alias) listed.get(i)).child(), ((Project) rows).child());
                }
            }
        }
        List children = Plans.list(rows.children());
        for (int i = 0; i < children.size(); i++) {
            if (((LogicalPlan) children.get(i)).outputSet().contains(column)) {
                return ofColumn(column, (LogicalPlan) children.get(i));
            }
        }
        return column.dataType() instanceof StringType ? column.dataType().defaultSize() : OTHER;
    }

    private static double longest(List values, LogicalPlan rows) {
        double most = 0;
        for (int i = 0; i < values.size(); i++) {
            Expression value = (Expression) values.get(i);
            if (value.dataType() instanceof StringType) {
                most = Math.max(most, length(value, rows));
            }
        }
        return most;
    }

    private static double number(Expression value, double otherwise) {
        boolean isKnown = value instanceof Literal && ((Literal) value).value() instanceof Number;
        return isKnown ? ((Number) ((Literal) value).value()).doubleValue() : otherwise;
    }
}
