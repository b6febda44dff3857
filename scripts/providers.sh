#!/bin/sh
# Installs the gateways that `make providers` sends through, each in an environment of its own in .tools.
set -eu
cd "$(dirname "$0")/.."
install() { # name, requirement
    [ -f ".tools/$1/installed" ] && [ "$(cat ".tools/$1/installed")" = "$2" ] && return
    echo "providers: installing $2 into .tools/$1"
    rm -rf ".tools/$1"
    "${PYTHON:-python3}" -m venv ".tools/$1"
    ".tools/$1/bin/pip" install --quiet --disable-pip-version-check "$2"
    echo "$2" >".tools/$1/installed"
}
install litellm 'litellm[proxy]==1.108.7'
install mlflow 'mlflow[genai]==3.17.2'
