#!/usr/bin/env bash
# Formatting and lints of all languages, and the facts that the pages of docs/ state about the sources. `npm run format`
# mends what can be mended by a tool.
set -euo pipefail
cd "$(dirname "$0")/.."

node ci/setup.mjs
cargo fmt --all --check
(cd fuzz && cargo fmt --check)
npx --no-install oxlint --deny-warnings
node docs/check.mjs
# CI has it; a desk may do without.
if [ -n "${CI:-}" ] || command -v shellcheck > /dev/null; then shellcheck .ci/run ci/*.sh; fi
cargo clippy --locked --workspace --all-targets -- -D warnings
