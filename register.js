'use strict';
// `node -r rsipc/register app.js`, or `--import rsipc/register`: the whole program, libraries included, uses
// rsipc wherever it asks for child_process or cluster. RSIPC_DISABLE=1 turns that off.

if (process.env.RSIPC_DISABLE !== '1') {
  require('./index.js');
  require('./lib/fork/index.js').installEverywhere();
  require('./lib/cluster/index.js').installEverywhere();
}
