#!/usr/bin/env bash
# Formatting and lints of both languages. `npm run format` mends what can be mended by a tool.
set -euo pipefail
cd "$(dirname "$0")/.."

node ci/setup.mjs
cargo fmt --all --check
cargo clippy --locked --workspace --all-targets -- -D warnings
(cd fuzz && cargo fmt --check)
npx --no-install oxlint --deny-warnings
