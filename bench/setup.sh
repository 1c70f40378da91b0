#!/usr/bin/env bash
<<<<<<< HEAD
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
=======
# Installs the proxies to compare with, and builds the driver and the gateway. Needs root for the packages. Leaves nothing running.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

missing=()
command -v haproxy >/dev/null || [ -x /usr/sbin/haproxy ] || missing+=(haproxy)
command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] || missing+=(nginx)
if [ ${#missing[@]} -gt 0 ]; then
    as_root=()
    if [ "$(id -u)" -ne 0 ]; then as_root=(sudo -n); fi
    "${as_root[@]}" apt-get update -q
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
fi

cargo build --release --locked --manifest-path driver/Cargo.toml --target-dir "${BENCH_TARGET:-driver/target}"
[ -n "${COUNTERSIGN:-}" ] || cargo build --release --locked --manifest-path ../Cargo.toml -p countersign
echo "ready: bench/run.py --check"
>>>>>>> wt-i
