#!/usr/bin/env bash
# Node's own tests of fork, spawn, cluster and passed handles, held against rsipc: `ci/node-suite.sh [major …]`, 20
# unless said. Each twice, with plain Node children and with rsipc in the children too.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ $# -eq 0 ]; then set -- 20; fi
node ci/setup.mjs
jobs=$((2 * $(getconf _NPROCESSORS_ONLN))) # a test of processes waits more than it computes
for major in "$@"; do
  node=$(bash ci/node-versions.sh "$major")
  tests=$(sh ci/node-tests.sh "$major")
  for children in stock inherit; do
    echo "Node $major's own tests, $children children"
    node __test__/node/run.mjs --node "$node" --tests "$tests" --set "__test__/node/files-$major.json" \
      --children "$children" --jobs "$jobs"
  done
done
