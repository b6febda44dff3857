"""The usage ledger's pure part and its spool: records on their way to the table. No Spark in here."""
