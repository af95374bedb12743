#!/usr/bin/env bash
# rsipc in runtimes that are not Node: Bun and Deno, at pinned versions, as the parent and as a plain child. Their
# loop is not libuv, so a thread watches the channel there; the same is tried under Node. They come from npm's packages
# of their binaries, and stay in .cache/runtimes.
set -euo pipefail
cd "$(dirname "$0")/.."

bun=1.4.5
deno=2.9.6

node ci/setup.mjs
folder=.cache/runtimes
if [ "$(cat "$folder/installed" 2> /dev/null)" != "$bun $deno" ]; then
  rm -rf "$folder"
  mkdir -p "$folder"
  echo '{ "private": true }' > "$folder/package.json"
  npm install --prefix "$folder" --no-package-lock --no-audit --no-fund --ignore-scripts "@oven/bun-linux-x64@$bun" "@deno/linux-x64-glibc@$deno"
  echo "$bun $deno" > "$folder/installed"
fi
bun=$PWD/$folder/node_modules/@oven/bun-linux-x64/bin/bun
deno=$PWD/$folder/node_modules/@deno/linux-x64-glibc/deno
chmod +x "$bun" "$deno"

failed=0
# Name, then the parent's command; behind `--`, the child's.
pair() {
  local name=$1 answer
  shift
  answer=$(timeout --kill-after=5 60 "$@" 2>&1) || true
  if [ "$answer" = '{"whole":2002,"total":2002,"code":0,"signal":null,"ours":true}' ]; then
    echo "ok  $name"
  else
    printf 'FAILED  %s\n%s\n' "$name" "$answer" >&2
    failed=1
  fi
}

parent=__test__/runtimes/parent.cjs
pair 'Bun, child Bun' "$bun" $parent
pair 'Bun, child Node' "$bun" $parent "$(command -v node)"
pair 'Deno, child Deno' "$deno" run -A $parent
pair 'Node, child Bun' node $parent "$bun"
pair 'Node, child Deno' node $parent "$deno" run -A
RSIPC_NO_LIBUV=1 pair 'Node without libuv, child Node' node $parent
exit "$failed"
