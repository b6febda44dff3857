package gateway_batch;

import java.lang.reflect.Field;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;

import org.apache.spark.sql.catalyst.analysis.NoSuchNamespaceException;
import org.apache.spark.sql.catalyst.analysis.NoSuchTableException;
import org.apache.spark.sql.classic.SparkSession;
import org.apache.spark.sql.connector.catalog.CatalogManager;
import org.apache.spark.sql.connector.catalog.Identifier;
import org.apache.spark.sql.connector.catalog.NamespaceChange;
import org.apache.spark.sql.connector.catalog.SupportsNamespaces;
import org.apache.spark.sql.connector.catalog.Table;
import org.apache.spark.sql.connector.catalog.TableCatalog;
import org.apache.spark.sql.connector.catalog.TableChange;
import org.apache.spark.sql.util.CaseInsensitiveStringMap;

/**
 * The catalog `system` of a session, which has one table: `ai_gateway.usage`. It is the session's usage table, to read.
 *
 * Written for Janino, the compiler that Spark ships: no lambdas, no generics.
 */
public class SystemCatalog implements TableCatalog, SupportsNamespaces {
    private static final String NAME = "system", SCHEMA = "ai_gateway", TABLE = "usage";

    private final SparkSession session;
    private String[] usage = {SCHEMA, TABLE};

    public SystemCatalog(SparkSession session) {
        this.session = session;
    }

    /** Puts it among a session's catalogs; false where the session has another of that name, or can't be changed. */
    public boolean install() throws Exception {
        CatalogManager manager = session.sessionState().catalogManager();
        if (manager.isCatalogRegistered(NAME)) {
            return false;
        }
        for (Class type = manager.getClass(); type != null; type = type.getSuperclass()) {
            Field[] fields = type.getDeclaredFields();
            for (int i = 0; i < fields.length; i++) {
                if (fields[i].getName().endsWith("catalogs")) {
                    fields[i].setAccessible(true);
                    ((scala.collection.mutable.Map) fields[i].get(manager)).put(NAME, this);
                    return true;
                }
            }
        }
        return false;
    }

    /** Says which table it is, by the parts of its name: a schema's, or with a catalog before. */
    public void setUsage(Object[] parts) {
        usage = new String[parts.length];
        for (int i = 0; i < parts.length; i++) {
            usage[i] = (String) parts[i];
        }
    }

    public void initialize(String name, CaseInsensitiveStringMap options) {
    }

    public String name() {
        return NAME;
    }

    public Table loadTable(Identifier table) throws NoSuchTableException {
        check(table);
        return catalog().loadTable(own());
    }

    public Table loadTable(Identifier table, String version) throws NoSuchTableException {
        check(table);
        return catalog().loadTable(own(), version);
    }

    public Table loadTable(Identifier table, long timestamp) throws NoSuchTableException {
        check(table);
        return catalog().loadTable(own(), timestamp);
    }

    public Table loadTable(Identifier table, Set privileges) throws NoSuchTableException {
        throw readOnly();
    }

    public void invalidateTable(Identifier table) {
        catalog().invalidateTable(own());
    }

    public Identifier[] listTables(String[] namespace) throws NoSuchNamespaceException {
        if (!namespaceExists(namespace)) {
            throw new NoSuchNamespaceException(namespace);
        }
        return catalog().tableExists(own())
            ? new Identifier[] {Identifier.of(new String[] {SCHEMA}, TABLE)} : new Identifier[0];
    }

    public String[][] listNamespaces() {
        return new String[][] {{SCHEMA}};
    }

    public String[][] listNamespaces(String[] parent) throws NoSuchNamespaceException {
        if (parent.length == 0) {
            return listNamespaces();
        }
        if (!namespaceExists(parent)) {
            throw new NoSuchNamespaceException(parent);
        }
        return new String[0][];
    }

    public boolean namespaceExists(String[] namespace) {
        return namespace.length == 1 && SCHEMA.equalsIgnoreCase(namespace[0]);
    }

    public Map loadNamespaceMetadata(String[] namespace) throws NoSuchNamespaceException {
        if (!namespaceExists(namespace)) {
            throw new NoSuchNamespaceException(namespace);
        }
        return new HashMap();
    }

    public void createNamespace(String[] namespace, Map metadata) {
        throw readOnly();
    }

    public void alterNamespace(String[] namespace, NamespaceChange[] changes) {
        throw readOnly();
    }

    public boolean dropNamespace(String[] namespace, boolean cascade) {
        throw readOnly();
    }

    public Table createTable(Identifier table, org.apache.spark.sql.connector.catalog.Column[] columns,
        org.apache.spark.sql.connector.expressions.Transform[] partitions, Map properties) {
        throw readOnly();
    }

    public Table alterTable(Identifier table, TableChange[] changes) {
        throw readOnly();
    }

    public boolean dropTable(Identifier table) {
        throw readOnly();
    }

    public void renameTable(Identifier table, Identifier other) {
        throw readOnly();
    }

    private void check(Identifier table) throws NoSuchTableException {
        if (!namespaceExists(table.namespace()) || !TABLE.equalsIgnoreCase(table.name())) {
            throw new NoSuchTableException(table);
        }
    }

    private TableCatalog catalog() {
        CatalogManager manager = session.sessionState().catalogManager();
        return (TableCatalog) manager.catalog(usage.length > 2 ? usage[0] : "spark_catalog");
    }

    private Identifier own() {
        return Identifier.of(new String[] {usage[usage.length - 2]}, usage[usage.length - 1]);
    }

    /** The error of whatever would change something in the catalog. */
    public UnsupportedOperationException readOnly() {
        return new UnsupportedOperationException(
            "the catalog system is read-only: change the usage table by its own name, " + String.join(".", usage));
    }
}
