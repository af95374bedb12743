'use strict';
// Programs that these tests talk to. `ci/packages.sh` installs them; where one is missing at a desk its tests are
// skipped, and in CI they fail.

const { spawnSync } = require('node:child_process');

function needed(...programs) {
  const missing = programs.filter((program) => spawnSync('sh', ['-c', 'command -v "$0"', program]).status !== 0);
  if (missing.length === 0) return {};
  const why = `${missing.join(', ')} is missing; ci/packages.sh installs it`;
  if (process.env.CI) throw new Error(why);
  return { skip: why };
}

module.exports = { needed };
