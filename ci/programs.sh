#!/usr/bin/env bash
# Runs an Express, a Fastify and a socket.io server, as they are, under `rsipc run` and, in a program that uses
# node:cluster, under rsipc/register. Needs a built addon. Each is a package of its own with a lock file, installed once,
# outside the project's node_modules. Arguments name those to run.
set -euo pipefail
cd "$(dirname "$0")/.."

for program in express fastify socketio; do
  source=__test__/run/programs/$program
  place=.cache/programs/$program
  mkdir -p "$place"
  # The copy is made last, so an install that was interrupted is done again.
  if ! cmp -s "$source/package-lock.json" "$place/installed.json"; then
    cp "$source/package.json" "$source/package-lock.json" "$place"
    npm ci --prefix "$place" --ignore-scripts --no-audit --no-fund
    cp "$source/package-lock.json" "$place/installed.json"
  fi
  cp "$source/server.js" __test__/run/programs/cluster.js "$place"
done

exec node __test__/run/programs/run.mjs .cache/programs "$@"
