#!/usr/bin/env bash
# What a reader is told to type, typed: the demo, every guide with what it prints, the benchmark in short, and the
# facts that the pages of docs/ state about the sources.
set -euo pipefail
cd "$(dirname "$0")/.."

npm run --silent demo -- lib --no-rates
node examples/guides/check.mjs
npm run --silent bench -- fork --quick
node docs/check.mjs
