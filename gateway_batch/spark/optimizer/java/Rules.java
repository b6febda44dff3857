package gateway_batch;

import org.apache.spark.sql.catalyst.rules.Rule;
import org.apache.spark.sql.classic.SparkSession;
import org.apache.spark.sql.classic.SparkSession$;

/** The rules, and the sessions that have them. */
public class Rules {
    private final String function;

    /** @param function the name of the calls' Python function */
    public Rules(String function) {
        this.function = function;
    }

    /** Adds them to the session that is working, if it hasn't them: one that was made from another has its functions. */
    public void addToActiveSession() {
        scala.Option session = SparkSession$.MODULE$.getActiveSession();
        if (session.isDefined()) {
            addTo((SparkSession) session.get());
        }
    }

    public synchronized void addTo(SparkSession session) {
        scala.collection.immutable.Seq rules = session.experimental().extraOptimizations();
        for (int i = 0; i < rules.size(); i++) { // by name: another Python process of this JVM has its own classes
            if (((Rule) rules.apply(i)).ruleName().equals(CallsAfterOthers.class.getName())) {
                return;
            }
        }
        scala.collection.immutable.Seq first = (scala.collection.immutable.Seq) rules
            .appended(new CallsAfterOthers(function));
        scala.collection.immutable.Seq both = (scala.collection.immutable.Seq) first
            .appended(new CallsWhereRead(function));
        session.experimental().extraOptimizations_$eq(
            (scala.collection.immutable.Seq) both.appended(new SharedAnswers(function)));
    }
}
