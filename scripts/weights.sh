#!/bin/sh
# Sees to it that .venv has the weights of the small chat model that `make demo-local` and the tests ask.
set -eu
cd "$(dirname "$0")/.."
for file in .venv/share/gateway-batch/*.gguf; do
    [ -f "$file" ] && exit 0
done
# Before the packages are installed, too.
PYTHONPATH=. exec .venv/bin/python gateway_batch/devgateway/local/weights.py
