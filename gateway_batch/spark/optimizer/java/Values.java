package gateway_batch;

import java.util.HashMap;
import java.util.List;
import java.util.Map;

import org.apache.spark.sql.catalyst.expressions.Alias;
import org.apache.spark.sql.catalyst.expressions.Attribute;
import org.apache.spark.sql.catalyst.expressions.AttributeReference;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.NamedExpression;

/** What a plan's columns are, in the words of the columns below. */
public class Values extends scala.runtime.AbstractPartialFunction {
    private final Map columns = new HashMap();

    public Values(List listed) {
        for (int i = 0; i < listed.size(); i++) {
            NamedExpression column = (NamedExpression) listed.get(i);
            columns.put(column.exprId(), column);
        }
    }

    public NamedExpression column(Attribute attribute) {
        Object found = columns.get(attribute.exprId());
        return found == null ? attribute : (NamedExpression) found;
    }

    public Expression in(Expression expression) {
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
