#!/usr/bin/env bash
# What a fork channel can do, with shared memory demanded of every channel: the files that send the most.
set -euo pipefail
cd "$(dirname "$0")/.."

RSIPC_TRANSPORT=ring node ci/test.mjs fork/backpressure fork/channel-pair fork/disconnect fork/early fork/events \
  fork/messages fork/receipts fork/requests fork/send fork/serialization
