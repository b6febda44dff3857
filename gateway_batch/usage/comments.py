"""What each column of the usage table holds, for those who find it in a catalog."""

from __future__ import annotations

TABLE = (
    "One row for every request that ai_query or gb.Client sent, retries and failures included, and for those of other "
    "clients that were imported from a gateway's own record (client_metadata.outcome = 'imported')."
)

COLUMNS = {
    "account_id": "Databricks account of the caller; NULL elsewhere.",
    "workspace_id": "Databricks workspace of the gateway; NULL elsewhere.",
    "request_id": "The server's id of the request; ours, where it named none.",
    "invocation_id": "Our id of the HTTP attempt, sent as x-client-request-id; unique. The gateway's, if imported.",
    "schema_version": "Version of this layout.",
    "endpoint_id": "Id of the called endpoint, where the gateway reports it.",
    "endpoint_name": "The endpoint as the caller wrote it.",
    "endpoint_tags": "Tags of the endpoint, where the gateway reports them.",
    "endpoint_metadata": "Configuration of the endpoint at that time, where the gateway reports it.",
    "event_time": "When the attempt began, UTC.",
    "latency_ms": "Milliseconds from the begin of the attempt to the end of its answer.",
    "time_to_first_byte_ms": "Milliseconds to the first byte of the answer; NULL where it was not measured.",
    "destination_type": "Kind of model that answered, for a result of a ready-made Databricks service.",
    "destination_name": "Model object that answered, for a result of a ready-made Databricks service.",
    "destination_id": "Its id, where the gateway reports it.",
    "destination_model": "The model that answered, as the answer names it.",
    "requester": "Who sent it: an e-mail address or a service principal.",
    "requester_type": "SERVICE_PRINCIPAL if the requester is a UUID, else USER.",
    "ip_address": "Address of the caller, where the gateway reports it.",
    "url": "URL that was called.",
    "user_agent": "User-Agent that was sent.",
    "api_type": "Wire format of the call, such as mlflow/v1/chat/completions.",
    "request_tags": "Tags that were sent with the request.",
    "input_tokens": "Tokens of the prompt, cached ones included; estimated where a result reports none, else NULL.",
    "output_tokens": "Tokens of the answer, reasoning included; estimated where a result reports none, else NULL.",
    "total_tokens": "Input and output together; NULL for failed calls that report none.",
    "token_details": "Cached and reasoning tokens among them, as reported.",
    "response_content_type": "Content-Type of the answer.",
    "status_code": "HTTP status; NULL if no answer arrived.",
    "routing_information": "Destinations that the gateway tried, where it reports them.",
    "service_type": "MODEL_SERVICE.",
    "service_name": "Three-part name of the model service; NULL where a plain endpoint was called.",
    "service_tags": "Tags of the model service, where the gateway reports them.",
    "mcp_metadata": "Calls of tools only.",
    "invocation_metadata": "Where the call came from, AI_QUERY or EXTERNAL_CLIENT (gb.Client); the service tier.",
    "service_id": "Id of the model service, where the gateway reports it.",
    "session_metadata": "Groups calls of a conversation or a coding agent, where the gateway reports it.",
    "auth_mode": "PAT for a Databricks personal access token; NULL where it is not known.",
    "client_metadata": "What only the caller knows: event id, outcome (imported: another client's request), error, "
    "other usage, Spark query and task, job.",
}

TASKS_TABLE = "One row for each call of ai_query or a task function in an attempt at a Spark task that was not killed."

TASKS_COLUMNS = {
    "summary_id": "Unique.",
    "application_id": "The Spark application.",
    "query_execution_id": "Spark's execution id of the query, as in client_metadata of the usage table.",
    "stage_id": "The Spark stage.",
    "partition_id": "The partition that the task worked on.",
    "task_attempt": "0 for the first attempt at the task.",
    "function": "The SQL function's name: ai_query, ai_summarize, ...",
    "endpoint_name": "The endpoint as the caller wrote it.",
    "model": "The name sent to the gateway.",
    "requester": "Who runs the query.",
    "job_id": "Databricks job that runs it; NULL elsewhere.",
    "job_run_id": "Run of that job; NULL elsewhere.",
    "notebook_path": "Databricks notebook that runs it; NULL elsewhere.",
    "complete": "Whether all rows of the partition were answered.",
    "rows": "Rows handed back to Spark; failed ones and those that sent nothing among them.",
    "requests": "Different requests that the task sent, each counted once; rows, where several share a request.",
    "saved": "In the same unit: not sent, as their answer was there.",
    "failed": "Rows that failed, by kind of error; does_not_fit: the answer is not of the type or schema asked for.",
    "started_at": "When the task began with the call, UTC.",
    "ended_at": "When it ended, UTC.",
    "price": "US dollars for a million of the endpoint's tokens: as configured, else listed; NULL: none is known.",
}
