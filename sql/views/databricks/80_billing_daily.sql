-- One row for each UTC day, product, workspace, endpoint and principal that Databricks billed for AI: DBUs and US dollars.
--
-- From system.billing, which exists on Databricks only and is up to 12 hours late. Dollars are by list price, without your
-- discounts. Corrections are in it: retractions are negative. External models are billed by their providers, and not here.
-- Calls of the gateway and ai_query are billed as MODEL_SERVING; ai_classify, ai_extract and ai_parse_document as
-- AI_FUNCTIONS, by compute time.
-- In workspaces that have the Beta spelling of the column, usage_metadata.ai_gateway_endpoint_name, put it in twice below.
CREATE OR REPLACE VIEW {schema}.billing_daily (
  day COMMENT 'Day of usage, as system.billing.usage has it.',
  product COMMENT 'MODEL_SERVING or AI_FUNCTIONS.',
  workspace_id COMMENT 'Workspace.',
  endpoint_name COMMENT 'Endpoint, or the service\'s three-part name; NULL where AI functions have none.',
  run_as COMMENT 'User or service principal that it is billed for.',
  dbus COMMENT 'Databricks units.',
  list_usd COMMENT 'US dollars by list price; NULL where a unit has no list price.'
)
COMMENT 'One row for each UTC day, product, workspace, endpoint and principal that Databricks billed for AI: DBUs and US dollars. By gateway_batch.'
AS
WITH billed AS (
  SELECT
    bill.usage_date AS day,
    bill.billing_origin_product AS product,
    bill.workspace_id,
    bill.usage_metadata.ai_gateway.endpoint_name AS endpoint_name,
    bill.identity_metadata.run_as AS run_as,
    bill.usage_quantity AS dbus,
    -- Two DECIMAL(38, 18) would be multiplied to six places only.
    CAST(bill.usage_quantity AS DECIMAL(19, 12)) * CAST(price.pricing.default AS DECIMAL(18, 9)) AS list_usd
  FROM system.billing.usage AS bill
  LEFT JOIN system.billing.list_prices AS price
    ON bill.cloud = price.cloud AND bill.sku_name = price.sku_name AND bill.usage_unit = price.usage_unit
    AND bill.usage_start_time >= price.price_start_time
    AND (price.price_end_time IS NULL OR bill.usage_end_time <= price.price_end_time)
  WHERE bill.usage_unit = 'DBU' AND (
    bill.billing_origin_product = 'AI_FUNCTIONS'
    OR (bill.billing_origin_product = 'MODEL_SERVING' AND bill.usage_metadata.ai_gateway.endpoint_name IS NOT NULL))
)
SELECT
  day,
  product,
  workspace_id,
  endpoint_name,
  run_as,
  sum(dbus) AS dbus,
  CASE WHEN count(list_usd) = count(*) THEN sum(list_usd) END AS list_usd
FROM billed
GROUP BY day, product, workspace_id, endpoint_name, run_as
