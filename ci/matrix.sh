#!/usr/bin/env bash
# The JavaScript tests on every major of Node that rsipc supports, with the one binary, and each as the parent of plain
# children of all the others and of 18: `ci/matrix.sh [major …]`.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ $# -eq 0 ]; then set -- 20 22 24 26; fi
node ci/setup.mjs
nodes=$(bash ci/node-versions.sh "$@")
children=$(bash ci/node-versions.sh 18 "$@")

failed=()
for node in $nodes; do
  log=$(mktemp)
  # In CI `npm test` has run them on the Node that is installed.
  if [ -n "${CI:-}" ] && [ "$("$node" -p process.versions.node.split\(\'.\'\)[0])" = "$(node -p 'process.versions.node.split(".")[0]')" ]; then
    echo "$("$node" --version): run by npm test"
  elif "$node" ci/test.mjs > "$log" 2>&1; then
    tail -n 1 "$log"
  else
    cat "$log"
    failed+=("$("$node" --version)")
  fi
  rm -f "$log"
  # shellcheck disable=SC2086 # a word each
  "$node" __test__/versions/parent.mjs $children || failed+=("$("$node" --version) with children of other versions")
done

if [ ${#failed[@]} -gt 0 ]; then
  echo "matrix: FAILED on ${failed[*]}" >&2
  exit 1
fi
