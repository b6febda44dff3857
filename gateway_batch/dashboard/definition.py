"""What the usage dashboard shows: pages, their widgets, and the filters above them.

Figures are named as in `gateway_batch.dashboard.measures`. The web page and the Databricks dashboard are both made from
this; what one of them can't show, it says.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gateway_batch.figures.sessions import GAP_MINUTES, TOP


@dataclass(frozen=True)
class Dimension:
    """Something that figures are given for each value of.

    Attributes:
        name: of its column in `usage_cells` and `usage_distributions`.
        title: in the heads of tables and on filters.
        none: how a row without a value is called.
    """

    name: str
    title: str
    none: str = "(none)"


@dataclass(frozen=True)
class Filter:
    """A choice above the pages that changes every figure; nothing chosen is everything.

    Attributes:
        name: of the parameter in SQL.
        title: on the page.
        column: that is compared; of the tags, `key=value` of each.
    """

    name: str
    title: str
    column: str


class Mark(StrEnum):
    """How a trend is drawn."""

    LINE = "line"
    AREA = "area"
    BAR = "bar"


@dataclass(frozen=True)
class Tile:
    """A figure of the whole period, with its change against the period before and its course."""

    measure: str


@dataclass(frozen=True)
class Trend:
    """Figures by day.

    Attributes:
        title: what it shows.
        measures: one, or several that have one unit.
        mark: how they are drawn; areas and bars are stacked.
        by: a dimension whose greatest values each get a colour, the others one together; needs a single measure that
            adds up over its values.
    """

    title: str
    measures: tuple[str, ...]
    mark: Mark = Mark.LINE
    by: str | None = None


@dataclass(frozen=True)
class HeatMap:
    """Invocations by weekday and hour of the day, UTC."""

    title: str


@dataclass(frozen=True)
class Table:
    """Figures for each value of some dimensions, greatest first by the first measure."""

    title: str
    dimensions: tuple[str, ...]
    measures: tuple[str, ...]


@dataclass(frozen=True)
class Sessions:
    """The sessions of coding agents that cost most, of the chosen days and requesters.

    Attributes:
        title: what it shows.
        dimensions: what says which session it is, and what it was like.
        measures: its figures.
    """

    title: str
    dimensions: tuple[str, ...] = (
        "coding_agent", "requester", "session_id", "started_at", "minutes", "subagents"
    )  # fmt: skip
    measures: tuple[str, ...] = ("priced_cost_usd", "total_tokens", "requests")


@dataclass(frozen=True)
class Note:
    """A sentence or two for the reader."""

    text: str


Widget = Tile | Trend | HeatMap | Table | Sessions | Note


class Only(StrEnum):
    """Rows that a page is about; the value is a condition in SQL."""

    ALL = "true"
    MCP = "is_mcp"
    AGENTS = "coding_agent IS NOT NULL"
    FRAMEWORKS = "agent_framework IS NOT NULL"
    ROUTED = "smart_router IS NOT NULL"

    @property
    def column(self) -> str | None:
        """The column by which the condition holds: where it is neither NULL nor false. None: it always holds."""
        return {
            Only.ALL: None,
            Only.MCP: "is_mcp",
            Only.AGENTS: "coding_agent",
            Only.FRAMEWORKS: "agent_framework",
            Only.ROUTED: "smart_router",
        }[self]


@dataclass(frozen=True)
class Page:
    """A page.

    Attributes:
        name: in links.
        title: its heading.
        only: the rows that it is about.
        rows: widgets side by side, row by row.
    """

    name: str
    title: str
    only: Only
    rows: tuple[tuple[Widget, ...], ...]


DIMENSIONS = {
    each.name: each
    for each in (
        Dimension("day", "Day"),
        Dimension("workspace_id", "Workspace"),
        Dimension("endpoint_name", "Endpoint"),
        Dimension("model", "Model", "(not routed)"),
        Dimension("requester", "Requester"),
        Dimension("status_code", "Status", "(unknown)"),
        Dimension("tag_key", "Tag", "(untagged)"),
        Dimension("tag_value", "Value", ""),
        Dimension("coding_agent", "Agent"),
        Dimension("is_subagent", "Subagent"),
        Dimension("session_id", "Session"),
        Dimension("started_at", "Began, UTC"),
        Dimension("minutes", "Minutes"),
        Dimension("subagents", "Subagents"),
        Dimension("agent_framework", "Framework", "(not known)"),
        Dimension("smart_router", "Router"),
        Dimension("mcp_server_type", "Kind"),
        Dimension("mcp_method", "Method"),
        Dimension("mcp_tool", "Tool"),
    )
}

FILTERS = (
    Filter("workspaces", "Workspace", "workspace_id"),
    Filter("endpoints", "Endpoint", "endpoint_name"),
    Filter("models", "Model", "model"),
    Filter("requesters", "Requester", "requester"),
    Filter("tags", "Tag", "request_tags"),
    Filter("statuses", "Status", "status_code"),
)
"""Besides the range of days, which is named `days`."""

_VOLUME = ("requests", "error_rate", "input_tokens", "output_tokens", "cache_hit_ratio", "users", "priced_cost_usd")
_COSTS = ("priced_cost_usd", "total_tokens", "unpriced_tokens", "requests")

PAGES = (
    Page("overview", "Overview", Only.ALL, (
        (Tile("requests"), Tile("error_rate"), Tile("total_tokens"), Tile("users"), Tile("priced_cost_usd")),
        (Trend("Requests a day", ("requests",), Mark.BAR),
         Trend("Tokens a day", ("input_tokens", "output_tokens"), Mark.AREA)),
        (Trend("Users a day", ("users",)), HeatMap("Invocations by weekday and hour, UTC")),
        (Table("Top users", ("requester",), ("requests", "error_rate", "total_tokens", "priced_cost_usd")),),
    )),
    Page("performance", "Performance", Only.ALL, (
        (Tile("latency_p50_ms"), Tile("latency_p95_ms"), Tile("latency_p99_ms"), Tile("time_to_first_byte_p50_ms"),
         Tile("error_rate")),
        (Trend("Latency", ("latency_p50_ms", "latency_p90_ms", "latency_p95_ms", "latency_p99_ms")),
         Trend("Time to first byte", ("time_to_first_byte_p50_ms", "time_to_first_byte_p90_ms",
                                      "time_to_first_byte_p95_ms", "time_to_first_byte_p99_ms"))),
        (Trend("Error rate", ("error_rate",)),
         Trend("Invocations by status", ("invocations",), Mark.BAR, by="status_code")),
        (Table("Status codes", ("status_code",), ("invocations", "requests")),
         Table("Endpoints and models", ("endpoint_name", "model"),
               ("requests", "error_rate", "latency_p50_ms", "latency_p90_ms", "latency_p95_ms", "latency_p99_ms",
                "time_to_first_byte_p50_ms"))),
    )),
    Page("usage", "Usage", Only.ALL, (
        (Tile("requests"), Tile("input_tokens"), Tile("output_tokens"), Tile("cache_read_input_tokens"),
         Tile("cache_hit_ratio")),
        (Trend("Tokens by endpoint", ("total_tokens",), Mark.AREA, by="endpoint_name"),
         Trend("Cache hit ratio", ("cache_hit_ratio",))),
        (Table("Endpoints", ("endpoint_name",), _VOLUME),),
        (Table("Models", ("model",), _VOLUME),),
        (Table("Workspaces", ("workspace_id",), _VOLUME),),
        (Table("Requesters", ("requester",), tuple(name for name in _VOLUME if name != "users")),),
        (Table("Tags", ("tag_key", "tag_value"), _VOLUME),),
        (Note("A request with several tags counts for each of them: the rows of tags don't add up."),),
    )),
    Page("cost", "Cost Analysis", Only.ALL, (
        (Tile("priced_cost_usd"), Tile("untagged_cost_usd"), Tile("untagged_share"), Tile("unpriced_tokens")),
        (Trend("Cost by endpoint", ("priced_cost_usd",), Mark.AREA, by="endpoint_name"),
         Trend("Cost by model", ("priced_cost_usd",), Mark.AREA, by="model")),
        (Table("Endpoints", ("endpoint_name",), _COSTS), Table("Models", ("model",), _COSTS)),
        (Table("Requesters", ("requester",), _COSTS), Table("Tags", ("tag_key", "tag_value"), _COSTS)),
        (Note("Costs are estimates by the table of prices: no discounts, no dearer tiers for long prompts, no "
              "provisioned throughput. Tokens without a price are unknown costs, not none."),),
    )),
    Page("mcp", "External MCP Server", Only.MCP, (
        (Tile("requests"), Tile("error_rate"), Tile("users"), Tile("latency_p50_ms"), Tile("latency_p95_ms")),
        (Trend("Requests by server", ("requests",), Mark.BAR, by="endpoint_name"),
         Trend("Error rate", ("error_rate",))),
        (Table("Servers and tools", ("endpoint_name", "mcp_server_type", "mcp_method", "mcp_tool"),
               ("requests", "error_rate", "users", "latency_p50_ms", "latency_p95_ms")),),
        (Table("Users", ("requester",), ("requests", "error_rate", "active_days")),),
        (Note("Errors inside an MCP answer of status 200 are in no usage table."),),
    )),
    Page("agents", "Coding Agents", Only.AGENTS, (
        (Tile("users"), Tile("active_days"), Tile("requests"), Tile("total_tokens"), Tile("priced_cost_usd")),
        (Trend("Requests by agent", ("requests",), Mark.BAR, by="coding_agent"),
         Trend("Tokens by agent", ("total_tokens",), Mark.AREA, by="coding_agent")),
        (Table("Agents", ("coding_agent",), ("users", "active_days", *_VOLUME[:5], "priced_cost_usd")),),
        (Table("Models", ("coding_agent", "model"), ("requests", "total_tokens", "priced_cost_usd")),),
        (Table("Users", ("requester", "coding_agent"),
               ("active_days", "requests", "total_tokens", "priced_cost_usd")),),
        (Table("Subagents", ("coding_agent", "is_subagent"), ("requests", "total_tokens", "priced_cost_usd")),),
        (Sessions("Most expensive sessions"),),
        (Note(f"Sessions are what callers name, else calls with no {GAP_MINUTES} minutes in between; the {TOP:,} that "
              "cost most. Of the filters, days and requesters hold for them. Commits and lines of code are in no usage "
              "table."),),
    )),
    Page("frameworks", "Agent Frameworks", Only.FRAMEWORKS, (
        (Tile("requests"), Tile("error_rate"), Tile("users"), Tile("total_tokens"), Tile("priced_cost_usd")),
        (Trend("Requests by framework", ("requests",), Mark.BAR, by="agent_framework"),
         Trend("Tokens by framework", ("total_tokens",), Mark.AREA, by="agent_framework")),
        (Table("Frameworks", ("agent_framework",), _VOLUME),),
        (Table("Models", ("agent_framework", "model"), ("requests", "total_tokens", "priced_cost_usd")),),
        (Note("A framework is known by the User-Agent of its calls; one that sends a vendor's is not in here."),),
    )),
    Page("routing", "Smart Routing", Only.ROUTED, (
        (Tile("requests"), Tile("error_rate"), Tile("users"), Tile("total_tokens"), Tile("priced_cost_usd")),
        (Trend("Requests by model", ("requests",), Mark.BAR, by="model"),
         Trend("Cost by model", ("priced_cost_usd",), Mark.AREA, by="model")),
        (Table("Routers", ("smart_router",), _VOLUME),),
        (Table("Models chosen", ("smart_router", "model"),
               ("requests", "error_rate", "total_tokens", "latency_p50_ms", "priced_cost_usd")),),
        (Table("Endpoints", ("endpoint_name", "smart_router"), ("requests", "error_rate", "priced_cost_usd")),),
    )),
)  # fmt: skip
"""The pages, as the built-in dashboard of Databricks has them."""
