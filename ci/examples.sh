#!/usr/bin/env bash
# What a reader is told to type, typed: the demo, every guide and the two Rust examples with what they print.
set -euo pipefail
cd "$(dirname "$0")/.."

npm run --silent demo -- lib --no-rates
cargo build --locked --quiet --package rsipc-core --examples
node examples/guides/check.mjs --rust "${CARGO_TARGET_DIR:-target}/debug/examples"
