// The same by `import`, with names and as a whole.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import rsipc, { exec, fork, Fd, version } from 'rsipc';

const require = createRequire(import.meta.url);
assert.equal(require('rsipc').fork, fork);
assert.equal(rsipc.fork, fork);
assert.equal(exec, require('node:child_process').exec);
assert.equal(typeof Fd, 'function');
assert.equal(version, require('rsipc/package.json').version);

const child = fork(fileURLToPath(new URL('child.js', import.meta.url)));
child.send({ last: true });
assert.deepEqual((await once(child, 'message'))[0].echo, { last: true });
assert.deepEqual(await once(child, 'exit'), [0, null]);
console.log('works');
