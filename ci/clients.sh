#!/usr/bin/env bash
# Holds vitest, jest, tinypool and workerpool, at pinned versions, to the same results with
# rsipc/register preloaded as without. Needs a built addon. Installs the clients once, outside
# the project's own node_modules; arguments go to the driver.
set -euo pipefail
cd "$(dirname "$0")/.."

wanted=__test__/clients/package.json
clients=.cache/clients
mkdir -p "$clients"

# The copy is made last, so an install that was interrupted is done again.
if ! cmp -s "$wanted" "$clients/installed.json"; then
  rm -rf "$clients/node_modules"
  cp "$wanted" "$clients/package.json"
  npm install --prefix "$clients" --no-package-lock --ignore-scripts --no-audit --no-fund
  cp "$wanted" "$clients/installed.json"
fi

exec node __test__/clients/run.mjs "$@"
