package gateway_batch;

import java.util.UUID;

import org.apache.spark.SparkContext;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.rules.Rule;
import org.apache.spark.sql.catalyst.trees.TreeNode;
import org.apache.spark.sql.classic.SparkSession$;

/**
 * Names the plans that have calls, in a local property of the thread that plans. The plan stays as it is.
 *
 * Stages share answers by the execution id of their query. An action on an RDD of a DataFrame has none, in any of its
 * jobs; there they share them by this name.
 */
public class SharedAnswers extends Rule {
    private static final String PLAN = "gateway_batch.plan";

    private final String function;

    public SharedAnswers(String function) {
        this.function = function;
    }

    public TreeNode apply(TreeNode plan) {
        scala.Option session = SparkSession$.MODULE$.getActiveSession();
        if (session.isDefined() && Plans.hasCalls((LogicalPlan) plan, function)) {
            SparkContext context = ((org.apache.spark.sql.classic.SparkSession) session.get()).sparkContext();
            context.setLocalProperty(PLAN, "plan-" + UUID.randomUUID());
        }
        return plan;
    }
}
