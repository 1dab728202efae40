#!/usr/bin/env bash
# run.sh SCRIPT.py QLORA TRAJECTORY DEPS WORK: runs a comparison in the peers' Python; 77 (skipped) without it.
set -euo pipefail
deps=$4
if [[ ! -x $deps/peers/bin/python ]]; then
    echo "skipped: the Python peers are not installed (./dev test installs them)"
    exit 77
fi
mkdir -p "$5"
export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false QLORA_HOME=$5/home
exec "$deps/peers/bin/python" "$(dirname "$0")/$1" "$2" "$3" "$deps" "$5"
