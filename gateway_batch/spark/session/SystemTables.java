package gateway_batch;

import org.apache.spark.sql.catalyst.analysis.ResolvedTable;
import org.apache.spark.sql.catalyst.plans.logical.Command;
import org.apache.spark.sql.catalyst.rules.Rule;
import org.apache.spark.sql.catalyst.trees.TreeNode;
import org.apache.spark.sql.classic.SparkSession;

/**
 * Refuses commands that would change a table of the catalog `system`, as TRUNCATE and OPTIMIZE: Spark hands these to the
 * table without asking the catalog.
 */
public class SystemTables extends Rule {
    private static final String[] READING = {"Describe", "Show", "Cache", "Uncache", "Refresh"};

    /** Adds it to a session's optimizer. */
    public void addTo(SparkSession session) {
        scala.collection.immutable.Seq rules = session.experimental().extraOptimizations();
        session.experimental().extraOptimizations_$eq((scala.collection.immutable.Seq) rules.appended(this));
    }

    public TreeNode apply(TreeNode plan) {
        if (plan instanceof Command && !isReading(plan.getClass().getSimpleName())) {
            scala.collection.Iterator nodes = plan.children().iterator();
            while (nodes.hasNext()) {
                Object node = nodes.next();
                if (node instanceof ResolvedTable && ((ResolvedTable) node).catalog() instanceof SystemCatalog) {
                    throw ((SystemCatalog) ((ResolvedTable) node).catalog()).readOnly();
                }
            }
        }
        return plan;
    }

    private static boolean isReading(String command) {
        for (int i = 0; i < READING.length; i++) {
            if (command.startsWith(READING[i])) {
                return true;
            }
        }
        return false;
    }
}
