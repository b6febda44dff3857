"""Who calls what: the workloads of an invented company that its days of usage are drawn from."""

from __future__ import annotations

from dataclasses import dataclass, field

HOURS = {
    "office": (1, 1, 1, 1, 1, 2, 6, 18, 42, 60, 66, 58, 44, 56, 64, 60, 52, 36, 18, 9, 5, 3, 2, 1),
    "always": (30, 28, 26, 26, 27, 30, 36, 44, 52, 56, 58, 58, 56, 57, 58, 58, 56, 54, 50, 46, 42, 38, 35, 32),
    "night": (20, 60, 80, 60, 40, 10, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 4, 8),
}
"""Share of a UTC day's calls by hour."""

WEEK = {
    "office": (1.0, 1.1, 1.15, 1.1, 0.9, 0.08, 0.05),
    "always": (1.0, 1.0, 1.0, 1.02, 1.05, 0.8, 0.75),
    "night": (1.0, 1.0, 1.0, 1.0, 1.0, 0.3, 0.6),
}
"""Calls of a weekday, Monday first, against an ordinary one's."""

FAILURES = {400: 0.0030, 401: 0.0004, 403: 0.0016, 404: 0.0010, 429: 0.0040, 500: 0.0015, 503: 0.0020, 504: 0.0008}
"""Share of failed calls by status outside bursts."""

REFUSED_BEFORE_ROUTING = (401, 403, 404)
UNKNOWN = 0.0005
"""Share of calls without a status, of workloads whose client records its own requests."""

POLICY_DENIED = 0.0008
"""Share of calls that a policy denies: answered with 200 and no tokens."""

WORKSPACES = ("1653573648247579", "2718281828459045", "3141592653589793")


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One program, agent or group of people that calls one endpoint.

    Attributes:
        weight: calls on an ordinary day, against the other workloads'.
        hours: a key of `HOURS` and `WEEK`.
        models: names that the destination goes by in `destination_model`.
        people: number of requesters, the first ones more often; 0 for a service principal.
        tags: the request tags its calls have, each as often as the others.
        input_tokens, output_tokens: medians; 0 for none.
        first_byte_ms, token_ms: latency is the first and so much for each output token.
        cached: mean share of input tokens read from the provider's cache; 0 where the provider reports no details.
        failing: how much oftener than usual its calls fail.
        agent: `session_metadata.coding_agent`; empty for none.
        routers: smart routers that choose the model, for some sessions each; none chooses for the others.
        tools: of an MCP server.
    """

    name: str
    weight: float
    hours: str
    workspace: str
    endpoint: str
    models: tuple[str, ...]
    api_type: str | None = "mlflow/v1/chat/completions"
    service_name: str | None = None
    destination_type: str | None = "PAY_PER_TOKEN_FOUNDATION_MODEL"
    source: str = "EXTERNAL_CLIENT"
    user_agent: str = "OpenAI/Python 2.13.0"
    people: int = 0
    tags: tuple[dict[str, str], ...] = ({},)
    endpoint_tags: dict[str, str] = field(default_factory=dict)
    input_tokens: int = 900
    output_tokens: int = 180
    first_byte_ms: float = 350.0
    token_ms: float = 9.0
    cached: float = 0.0
    reasoning: float = 0.0
    failing: float = 1.0
    agent: str = ""
    routers: tuple[str, ...] = ()
    has_session: bool = False
    tools: tuple[str, ...] = ()
    records_itself: bool = False


_OURS = "gateway-batch/0.1.0"

WORKLOADS = (
    Workload(
        name="support-chat", weight=22, hours="always", workspace=WORKSPACES[0], endpoint="databricks-gpt-5-4",
        models=("gpt-5-4", "GPT 5.4"), people=40, input_tokens=1400, output_tokens=210, cached=0.6,
        tags=({"project": "chatbot", "team": "support"}, {"project": "chatbot", "team": "support", "env": "prod"}),
        endpoint_tags={"team": "support"},
    ),
    Workload(
        name="search-embeddings", weight=20, hours="always", workspace=WORKSPACES[0],
        endpoint="databricks-gte-large-en",
        models=("gte-large-en",), api_type="mlflow/v1/embeddings", user_agent="python-httpx/0.28.1",
        tags=({"project": "search", "team": "search"},), endpoint_tags={"team": "search"},
        input_tokens=240, output_tokens=0, first_byte_ms=45.0, failing=0.5,
    ),
    Workload(
        name="nightly-summaries", weight=16, hours="night", workspace=WORKSPACES[1],
        endpoint="databricks-meta-llama-3-3-70b-instruct", models=("llama-3-3-70b", "Llama 3.3 70B"), api_type=None,
        source="AI_QUERY", user_agent=_OURS, tags=({"team": "data", "job": "nightly"}, {}), input_tokens=700,
        output_tokens=120, failing=1.5, records_itself=True,
    ),
    Workload(
        name="invoice-extraction", weight=9, hours="night", workspace=WORKSPACES[1],
        endpoint="system.ai.claude-sonnet-4", service_name="system.ai.claude-sonnet-4",
        models=("claude-sonnet-4", "Claude Sonnet 4"), api_type=None,
        source="AI_QUERY", user_agent=_OURS, tags=({"team": "finance", 'cost "center"': "4711 🧾"},),
        input_tokens=2600, output_tokens=420, first_byte_ms=800.0, token_ms=14.0, cached=0.3, records_itself=True,
    ),
    Workload(
        name="claude-code", weight=14, hours="office", workspace=WORKSPACES[2], endpoint="main.ai.coding",
        service_name="main.ai.coding", models=("claude-opus-4-6",), api_type="anthropic/v1/messages",
        user_agent="claude-cli/2.1.3 (external, cli)", people=35, input_tokens=24000, output_tokens=480,
        first_byte_ms=1300.0, token_ms=16.0, cached=0.85, agent="claude-code", has_session=True,
    ),
    Workload(
        name="codex", weight=7, hours="office", workspace=WORKSPACES[2], endpoint="main.ai.codex",
        service_name="main.ai.codex", models=("gpt-5-4-codex", "gpt-5-4"), api_type="openai/v1/responses",
        destination_type="EXTERNAL_FOUNDATION_MODEL", user_agent="codex_cli_rs/0.48.0 (Mac OS 26.1; arm64)", people=22,
        input_tokens=15000, output_tokens=900, first_byte_ms=1800.0, token_ms=11.0, cached=0.75, reasoning=0.5,
        agent="codex", has_session=True, routers=("balanced",),
    ),
    Workload(
        name="gemini-cli", weight=2, hours="office", workspace=WORKSPACES[2], endpoint="main.ai.gemini",
        service_name="main.ai.gemini", models=("gemini-2.5-pro",), api_type="gemini/v1/generateContent",
        destination_type="EXTERNAL_FOUNDATION_MODEL", user_agent="GeminiCLI/0.12.0/gemini-2.5-pro (linux; x64)",
        people=9, input_tokens=18000, output_tokens=520, first_byte_ms=1500.0, cached=0.4, reasoning=0.3,
        has_session=True,
    ),
    Workload(
        name="cursor", weight=3, hours="office", workspace=WORKSPACES[2], endpoint="main.ai.coding",
        service_name="main.ai.coding", models=("claude-opus-4-6",), user_agent="Cursor/2.3.1", people=14,
        input_tokens=11000, output_tokens=350, first_byte_ms=1200.0, token_ms=16.0, cached=0.7,
    ),
    Workload(
        name="opencode", weight=0.5, hours="office", workspace=WORKSPACES[2], endpoint="main.ai.coding",
        service_name="main.ai.coding", models=("claude-opus-4-6",), user_agent="opencode/1.0.140 ai-sdk/5", people=3,
        input_tokens=9000, output_tokens=300, first_byte_ms=1200.0, token_ms=16.0, cached=0.7, has_session=True,
    ),
    Workload(
        name="playground", weight=2, hours="office", workspace=WORKSPACES[0], endpoint="databricks-llama-4-maverick",
        models=("llama-4-maverick", "Llama 4 Maverick"), source="AI_PLAYGROUND", user_agent="Mozilla/5.0 (Macintosh)",
        people=60, input_tokens=300, output_tokens=350, failing=2.0,
    ),
    Workload(
        name="risk-scoring", weight=5, hours="always", workspace=WORKSPACES[1], endpoint="risk-llm",
        models=("risk-llama-ft",), destination_type="PROVISIONED_THROUGHPUT_FOUNDATION_MODEL",
        tags=({"team": "risk", "project": "o'neill \\ scoring"},), input_tokens=1100, output_tokens=12, token_ms=4.0,
        first_byte_ms=120.0,
    ),
    Workload(
        name="research", weight=3, hours="office", workspace=WORKSPACES[0], endpoint="main.research.openai",
        service_name="main.research.openai", models=("o4-mini", "gpt-4.1"), api_type="openai/v1/chat/completions",
        destination_type="EXTERNAL_FOUNDATION_MODEL", user_agent="AsyncOpenAI/Python 2.13.0", people=12,
        tags=({"team": "research"}, {"team": "research", "project": "größe 📏"}, {}, {"team": ""}), input_tokens=1900,
        output_tokens=1400, reasoning=0.6, first_byte_ms=2500.0, cached=0.2, failing=1.5,
    ),
    Workload(
        name="agents", weight=4, hours="always", workspace=WORKSPACES[0], endpoint="databricks-gpt-5-4",
        models=("gpt-5-4",), source="MANAGED_AGENT", user_agent="databricks-agents/1.4", tags=({"agent": "hr-helper"},),
        input_tokens=3800, output_tokens=240, cached=0.5, has_session=True, routers=("balanced", "cheapest"),
    ),
    Workload(
        name="contracts", weight=2, hours="office", workspace=WORKSPACES[1], endpoint="databricks-gpt-5-4",
        models=("gpt-5-4",), user_agent="Agents/Python 0.6.1", people=6, input_tokens=5200, output_tokens=310,
        cached=0.3,
    ),
    Workload(
        name="rag", weight=2, hours="always", workspace=WORKSPACES[0], endpoint="databricks-llama-4-maverick",
        models=("llama-4-maverick",), user_agent="langchain-openai/1.1.0 OpenAI/Python 2.13.0", input_tokens=2100,
        output_tokens=160,
    ),
    Workload(
        name="classification", weight=3, hours="night", workspace=WORKSPACES[1], endpoint="databricks-gpt-oss-120b",
        models=("gpt-oss-120b",), api_type=None, source="AI_FUNCTIONS", user_agent="databricks-ai-functions/1.0",
        input_tokens=600, output_tokens=9,
    ),
    Workload(
        name="mcp-github", weight=4, hours="office", workspace=WORKSPACES[2], endpoint="main.tools.github",
        service_name="main.tools.github", models=(), destination_type=None, api_type="unmanaged",
        user_agent="claude-cli/2.1.3 (external, cli)", people=30, tools=("search_issues", "get_file", "create_issue"),
        input_tokens=0, output_tokens=0, first_byte_ms=220.0, failing=3.0,
    ),
    Workload(
        name="mcp-jira", weight=1.5, hours="office", workspace=WORKSPACES[0], endpoint="main.tools.jira",
        service_name="main.tools.jira", models=(), destination_type=None, api_type="unmanaged",
        user_agent="python-httpx/0.28.1", tools=("jira_search",), input_tokens=0, output_tokens=0,
        first_byte_ms=600.0, failing=5.0,
    ),
)  # fmt: skip

JUDGE = Workload(
    name="guardrail", weight=0, hours="always", workspace=WORKSPACES[0], endpoint="databricks-gpt-oss-20b",
    models=("gpt-oss-20b",), source="GUARDRAIL", user_agent="databricks-guardrails", input_tokens=500, output_tokens=8,
    first_byte_ms=160.0, failing=0.0,
)  # fmt: skip
"""The model that judges calls of others; each of its rows has the request id of the call it judged."""
