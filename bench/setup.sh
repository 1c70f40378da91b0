#!/usr/bin/env bash
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
