"""The gateway as a process: how it starts, refuses to start, and stops."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway_batch.devgateway import RunningGateway, ServiceSettings, Settings, read_services, running, serve
from gateway_batch.errors import ConfigError
from tests.waiting import WITHIN_S, wait_until

from .raw import CHAT, plain_socket, raw_request, status_of

ASK: dict[str, Any] = {"model": "databricks-gpt-5-4", "messages": [{"role": "user", "content": "Name a lake."}]}


def start(settings: Settings) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-m", "gateway_batch.devgateway"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdin is not None
    child.stdin.write(settings.model_dump_json() + "\n")
    child.stdin.flush()
    return child


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"


def test_a_signal_stops_it_after_the_answers_under_way(tmp_path: Path) -> None:
    """Both signals at once, each to a gateway of its own."""
    with ThreadPoolExecutor() as threads:
        stopped = [
            threads.submit(stop_by, number, tmp_path / f"{number.name}.sqlite")
            for number in (signal.SIGTERM, signal.SIGINT)
        ]
        for each in stopped:
            each.result()


def stop_by(number: signal.Signals, ledger: Path) -> None:
    with start(Settings(port=0, latency_ms=1500, ledger=ledger)) as child, ExitStack() as stack:
        assert child.stdout is not None
        line = child.stdout.readline()
        assert line.startswith("gateway-batch development gateway (stand-in models) listening on http://127.0.0.1:")
        assert str(ledger) in line
        url = line.split("listening on ")[1].split()[0]
        started = RunningGateway(host=url, ledger=ledger, pid=child.pid)
        connections = [stack.enter_context(plain_socket(started)) for _ in range(4)]
        for connection in connections:
            connection.sendall(raw_request(ASK))
        wait_until(lambda: started.stats()["in_flight"] == 4)
        child.send_signal(number)
        assert [status_of(connection) for connection in connections] == [200] * 4
        assert child.wait(WITHIN_S) == 0
        assert child.stderr is not None
        assert child.stderr.read() == ""
    assert not Path(f"{ledger}-wal").exists()
    with closing(sqlite3.connect(ledger)) as database:
        assert database.execute("SELECT count(*) FROM usage WHERE status_code = 200").fetchone() == (4,)


def test_it_starts_listens_and_stops_within_a_context() -> None:
    with running(Settings(host="localhost", port=0, token="secret-token")) as gateway:
        assert gateway.host.startswith("http://127.0.0.1:")
        assert gateway.ledger.exists()
        assert gateway.stats()["requests"] == 0
        assert "secret-token" not in repr(gateway)
        command = Path(f"/proc/{gateway.pid}/cmdline").read_bytes() + Path(f"/proc/{gateway.pid}/environ").read_bytes()
        assert b"secret-token" not in command
    assert not is_alive(gateway.pid)
    assert not gateway.ledger.exists()


def test_it_stops_when_the_process_that_started_it_is_killed() -> None:
    code = (
        "import time\nfrom gateway_batch.devgateway import Settings, running\n"
        "with running(Settings(port=0)) as gateway:\n    print(gateway.pid, flush=True)\n    time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.kill()
    wait_until(lambda: not is_alive(pid))


def test_a_port_in_use_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = Settings(port=port)
        expected = f"cannot listen on 127.0.0.1:{port}: Address already in use; choose another port, or 0 for any"
        with pytest.raises(ConfigError, match=expected), running(settings):
            pass
        with pytest.raises(ConfigError, match=expected):
            serve(settings)
        with start(settings) as child:
            assert child.wait(WITHIN_S) == 1
            assert child.stdout is not None
            assert child.stderr is not None
            assert child.stdout.read() == ""
            assert child.stderr.read() == f"error: {expected}\n"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])
def test_beyond_loopback_it_wants_a_token(host: str) -> None:
    for begin in (serve, lambda settings: running(settings).__enter__()):
        with pytest.raises(ConfigError, match=f"refusing to listen on {host} without a token"):
            begin(Settings(host=host, port=0))


def test_an_address_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"cannot listen on 192\.0\.2\.1"):
        serve(Settings(host="192.0.2.1", port=0, token="t"))


def test_a_service_name_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="'support' is no service name"):
        serve(Settings(port=0, services={"support": ServiceSettings()}))


def test_services_come_from_a_file_and_with_a_token_it_listens_beyond_loopback(tmp_path: Path) -> None:
    path = tmp_path / "services.json"
    path.write_text('{"main.default.vectors": {"kind": "embeddings", "rpm": 5, "faults": [{"status": 500}]}}')
    services = read_services(path)
    assert services["main.default.vectors"].rpm == 5
    with running(Settings(host="0.0.0.0", port=0, token="t", services=services)) as gateway:
        url = f"{gateway.host}/ai-gateway/mlflow/v1/embeddings"
        body, headers = {"model": "main.default.vectors", "input": "x"}, {"authorization": "Bearer t"}
        answer = httpx.post(url, json=body, headers=headers, trust_env=False)
        assert answer.status_code == 500


@pytest.mark.parametrize(
    ("content", "named"),
    [("{", "JSON"), ("[]", "should be an object"), ('{"a.b.c": {"rpm": 0}}', r"a\.b\.c\.rpm"), (None, "cannot read")],
)
def test_a_bad_file_of_services_is_refused(tmp_path: Path, content: str | None, named: str) -> None:
    path = tmp_path / "services.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=named):
        read_services(path)


def test_importing_it_imports_neither_spark_nor_the_vocabularies() -> None:
    code = "import sys, gateway_batch.devgateway; print(*(m for m in ('pyspark', 'bpe_openai') if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""


def test_the_same_request_gets_the_same_answer_from_any_gateway(
    open_gateway: RunningGateway, gateway: RunningGateway
) -> None:
    def ask(asked: RunningGateway) -> list[Any]:
        headers = {"authorization": f"Bearer {asked.token}"}
        with httpx.Client(base_url=asked.host, headers=headers, trust_env=False) as client:
            vector = {"model": "databricks-gte-large-en", "input": "Name a lake."}
            chat = client.post(CHAT, json=ASK).json()
            embedded = client.post("/ai-gateway/mlflow/v1/embeddings", json=vector).json()
        return [chat["choices"], chat["usage"], embedded["data"]]

    assert ask(open_gateway) == ask(gateway)
