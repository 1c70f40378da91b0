#!/usr/bin/env bash
# Installs the proxies to compare with and builds the driver and the program. Needs root for the packages; leaves nothing running.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
export BENCH_HOME=${BENCH_HOME:-$HOME/.cache/countersign-bench}
mkdir -p "$BENCH_HOME"
if ! command -v haproxy >/dev/null || ! command -v nginx >/dev/null; then
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends haproxy nginx-light
fi
CARGO_TARGET_DIR=$BENCH_HOME/target cargo build --release --locked --manifest-path driver/Cargo.toml
cargo build --release --locked --manifest-path ../Cargo.toml --package countersign
echo "ready: bench/run.py, from the repository's root"
