"""Other gateways as processes of their own, before the development gateway: a LiteLLM proxy, MLflow's AI gateway."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.pages import ROOT

CHAT, VECTORS = "chat", "vectors"
MODELS = {CHAT: "databricks-gpt-5-4", VECTORS: "databricks-gte-large-en"}
KEY = "sk-of-the-tests"
_READY_WITHIN_S = 120
_MAKE_ENDPOINTS = """
import json, sys
from mlflow.entities.gateway_endpoint import GatewayEndpointModelConfig, GatewayModelLinkageType
from mlflow.store.tracking.rest_store import RestStore
from mlflow.utils.rest_utils import MlflowHostCreds

url, upstream, token, models = sys.argv[1:]
store = RestStore(lambda: MlflowHostCreds(url))
secret = store.create_gateway_secret(
    "upstream", {"api_key": token}, provider="openai", auth_config={"api_base": upstream}
)
for name, model in json.loads(models).items():
    made = store.create_gateway_model_definition(name, secret.secret_id, "openai", model)
    config = GatewayEndpointModelConfig(made.model_definition_id, GatewayModelLinkageType.PRIMARY)
    store.create_gateway_endpoint(name, [config])
"""


@contextmanager
def litellm_running(folder: Path, upstream: str, token: str) -> Iterator[dict[str, dict[str, Any]]]:
    """A LiteLLM proxy of a gateway.

    Args:
        folder: for its configuration and its log.
        upstream: base URL of an OpenAI API.
        token: for it.

    Yields:
        The endpoints that it gives, for the setting.
    """
    models = [
        {"model_name": name, "litellm_params": {"model": f"openai/{model}", "api_base": upstream, "api_key": token}}
        for name, model in MODELS.items()
    ]
    configuration = {
        "model_list": models,
        "litellm_settings": {"num_retries": 0},
        "general_settings": {"master_key": KEY},
    }
    (folder / "litellm.yaml").write_text(json.dumps(configuration))  # JSON is YAML
    port = _free_port()
    command = ["litellm", "--config", "litellm.yaml", "--host", "127.0.0.1", "--port", str(port)]
    with _running(folder, "litellm", command, {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}) as log:
        _wait(f"http://127.0.0.1:{port}/health/liveliness", log)
        base = {"base_url": f"http://127.0.0.1:{port}/v1", "token": "env:LITELLM_KEY"}
        yield {
            "chat": {**base, "model": CHAT},
            "responses": {**base, "model": CHAT, "api": "openai/v1/responses"},
            "messages": {**base, "model": CHAT, "api": "anthropic/v1/messages"},
            "vectors": {**base, "model": VECTORS, "api": "openai/v1/embeddings"},
        }


@contextmanager
def mlflow_running(folder: Path, upstream: str, token: str) -> Iterator[dict[str, dict[str, Any]]]:
    """MLflow's AI gateway before another; as `litellm_running`."""
    port = _free_port()
    store = f"sqlite:///{folder / 'mlflow.sqlite'}"
    command = ["mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--backend-store-uri", store]
    own = {
        "MLFLOW_CRYPTO_KEK_PASSPHRASE": "of the tests",
        "MLFLOW_GATEWAY_API_BASE_ALLOWED_SCHEMES": "http,https",
        "MLFLOW_GATEWAY_API_BASE_ALLOW_PRIVATE_IPS": "true",
    }
    with _running(folder, "mlflow", [*command, "--workers", "1"], own) as log:
        url = f"http://127.0.0.1:{port}"
        _wait(f"{url}/health", log)
        python = str(ROOT / ".tools" / "mlflow" / "bin" / "python")
        subprocess.run([python, "-c", _MAKE_ENDPOINTS, url, upstream, token, json.dumps(MODELS)], check=True)
        openai = {"base_url": f"{url}/gateway/openai/v1"}
        yield {
            "chat": {"base_url": f"{url}/gateway/mlflow/v1", "model": CHAT},
            "passed": {**openai, "model": CHAT, "api": "openai/v1/chat/completions"},
            "responses": {**openai, "model": CHAT, "api": "openai/v1/responses"},
            "vectors": {**openai, "model": VECTORS, "api": "openai/v1/embeddings"},
        }


@contextmanager
def _running(folder: Path, tool: str, command: list[str], environment: dict[str, str]) -> Iterator[Path]:
    log = folder / f"{tool}.log"
    program, *arguments = command
    path = ROOT / ".tools" / tool / "bin"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(path / program), *arguments],
            cwd=folder,
            env={**os.environ, **environment, "PATH": f"{path}:{os.environ['PATH']}"},
            stdout=output,
            stderr=output,
        )
    try:
        yield log
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(url: str, log: Path) -> None:
    until = time.monotonic() + _READY_WITHIN_S
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise RuntimeError(f"{url} does not answer: {log.read_text()[-2000:]}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


Running = Callable[[Path, str, str], Any]
