#!/usr/bin/env bash
# Packs the packages as they are published, installs them into empty folders from a registry on the loopback interface,
# and uses them there.
set -euo pipefail
cd "$(dirname "$0")/.."

node ci/setup.mjs
packed=$(mktemp -d)
trap 'rm -rf "$packed"' EXIT

node ci/pack.mjs "$packed"
node --test-reporter=spec __test__/smoke/run.mjs "$packed"
