"""Wire formats. A module for each: `build` and `parse`, both pure."""

from gateway_batch.apis.registry import API_TYPES, Api, api_for, task_of

__all__ = ["API_TYPES", "Api", "api_for", "task_of"]
