#!/usr/bin/env bash
# Builds what most steps of .ci/run need: the addon, the last part of which is one thread's work, and beside it the Rust
# tests. Each says what it has to say in one piece.
set -euo pipefail
cd "$(dirname "$0")/.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT
cargo test --locked --workspace --exclude rsipc --no-run > "$log" 2>&1 &
code=0
node ci/setup.mjs || code=$?
wait $! || code=$?
cat "$log"
exit "$code"
