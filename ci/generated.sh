#!/usr/bin/env bash
# What tools write is committed as they write it: the loader and its types, the platform packages, both lock files.
# Rebuilds them in place and compares with the index, so a change has to be added before it counts.
set -euo pipefail
cd "$(dirname "$0")/.."

node ci/setup.mjs
# Without napi's cache of types, which keeps what the sources no longer have. In CI the addon was built so just now.
[ -n "${CI:-}" ] || npm run --silent build -- --no-dts-cache
npx --no-install napi create-npm-dirs
cargo metadata --format-version 1 > /dev/null

# In a container the checkout may belong to another user, which git would refuse to look at.
git() { command git -c safe.directory="$PWD" "$@"; }
files=(lib/native.js lib/native.d.ts npm Cargo.lock package-lock.json)
untracked=$(git ls-files --others --exclude-standard -- "${files[@]}")
if [ -n "$untracked" ] || ! git diff --exit-code -- "${files[@]}"; then
  echo "These differ from what is committed${untracked:+, or are not committed at all: $untracked}" >&2
  exit 1
fi

node ci/versions.mjs
