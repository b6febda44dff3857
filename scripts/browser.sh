#!/bin/sh
# Sees to it that the tests have a Chromium: the one on PATH, else one of their own in .tools/browser, for which no root
# is needed: Debian's packages unpacked, with the libraries and the font that they need.
set -eu
cd "$(dirname "$0")/.."
tools=$PWD/.tools/browser
browser=$tools/chromium

works() { "$1" --version 2>/dev/null | grep -q 'Chrom.* [0-9]'; }

for name in chromium-headless-shell chromium chromium-browser google-chrome; do
    on_path=$(command -v "$name" 2>/dev/null || true)
    [ -n "$on_path" ] && works "$on_path" && exit 0
done
works "$browser" && exit 0

rm -rf "$tools"
mkdir -p "$tools/deb" "$tools/lists/partial" "$tools/archives/partial"
log=$tools/setup.log
echo "setup: fetching a Chromium for the tests"

own_lists="-o Dir::State::Lists=$tools/lists -o Dir::Cache=$tools -o Dir::Cache::Archives=$tools/archives -o Debug::NoLocking=1"

download() { # what the machine lacks of them, with its lists of packages or with fresh ones of our own
    for package in chromium-headless-shell chromium; do
        names=$(apt-get "$@" install --no-install-recommends --print-uris -qq "$package" fonts-dejavu-core 2>>"$log" |
            sed -n "s/^'[^']*' \([^_]*\)_.*/\1/p")
        # shellcheck disable=SC2086
        [ -n "$names" ] && (cd "$tools/deb" && apt-get "$@" download $names) >>"$log" 2>&1 && return 0
    done
    return 1
}

from_debian() {
    command -v apt-get >/dev/null 2>&1 && command -v dpkg >/dev/null 2>&1 || return 1
    # shellcheck disable=SC2086
    download || { apt-get $own_lists update >>"$log" 2>&1 && download $own_lists; } || return 1
    for package in "$tools"/deb/*.deb; do dpkg -x "$package" "$tools" >>"$log" 2>&1 || return 1; done
    program=$(find "$tools/usr/lib/chromium" -name chromium-headless-shell -o -name chromium -type f | sort -r | head -n 1)
    libraries=$(find "$tools/usr/lib" -name '*.so*' -exec dirname {} + | sort -u | tr '\n' ':')
    cat >"$tools/fonts.conf" <<FONTS
<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>$tools/usr/share/fonts</dir><dir>/usr/share/fonts</dir><cachedir>$tools/fonts</cachedir>
  <match target="pattern"><edit name="family" mode="append_last"><string>DejaVu Sans</string></edit></match>
</fontconfig>
FONTS
    cat >"$browser" <<WRAPPER
#!/bin/sh
LD_LIBRARY_PATH=$libraries FONTCONFIG_FILE=$tools/fonts.conf exec $program "\$@"
WRAPPER
    chmod +x "$browser"
    works "$browser"
}

if from_debian; then
    rm -rf "$tools/deb" "$tools/lists" "$tools/archives"
else
    echo "setup: no Chromium for the tests could be had: install one (Debian: apt-get install chromium); details in .tools/browser/setup.log" >&2
    exit 1
fi
