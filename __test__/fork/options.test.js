'use strict';
// fork()'s arguments and options: the checks, and what a child sees of them.

const path = require('node:path');
const { pathToFileURL } = require('node:url');
const assert = require('node:assert');
const { parity, beyond } = require('../helpers/parity.js');
const { leavesNothing } = require('../helpers/leavings.js');
const { fixture } = require('../helpers/modules.js');
const { outcome } = require('../helpers/show.js');
const { happened, text } = require('../helpers/wait.js');

leavesNothing();

const PROGRAM = fixture('fork/say');

parity('wrong arguments of fork throw what they throw under Node', async (scene) => {
  const calls = {
    'no path': () => scene.cp.fork(),
    'path null': () => scene.cp.fork(null),
    'path a number': () => scene.cp.fork(5),
    'path an object': () => scene.cp.fork({}),
    'path with NUL': () => scene.cp.fork('a\0b'),
    'args a number': () => scene.cp.fork(PROGRAM, 5),
    'args a string': () => scene.cp.fork(PROGRAM, 'args'),
    'args with NUL': () => scene.cp.fork(PROGRAM, ['a\0b']),
    'options a string': () => scene.cp.fork(PROGRAM, [], 'options'),
    'options a number': () => scene.cp.fork(PROGRAM, [], 5),
    'options an array': () => scene.cp.fork(PROGRAM, [], []),
    'execPath a number': () => scene.cp.fork(PROGRAM, [], { execPath: 5 }),
    'execPath with NUL': () => scene.cp.fork(PROGRAM, [], { execPath: 'a\0b' }),
    'execArgv with NUL': () => scene.cp.fork(PROGRAM, [], { execArgv: ['a\0b'] }),
    'serialization unknown': () => scene.cp.fork(PROGRAM, [], { serialization: 'xml' }),
    'serialization a number': () => scene.cp.fork(PROGRAM, [], { serialization: 1 }),
    'stdio twice ipc': () => scene.cp.fork(PROGRAM, [], { stdio: ['ignore', 'ignore', 'ignore', 'ipc', 'ipc'] }),
    'stdio without ipc': () => scene.cp.fork(PROGRAM, [], { stdio: ['ignore', 'ignore', 'ignore'] }),
    'stdio an empty array': () => scene.cp.fork(PROGRAM, [], { stdio: [] }),
    'stdio an unknown word': () => scene.cp.fork(PROGRAM, [], { stdio: 'everything' }),
    'stdio ipc as a word': () => scene.cp.fork(PROGRAM, [], { stdio: 'ipc' }),
    'stdio with an unknown entry': () => scene.cp.fork(PROGRAM, [], { stdio: ['ignore', 'nonsense', 'ignore', 'ipc'] }),
    'stdio with a stream without a handle': () => scene.cp.fork(PROGRAM, [], { stdio: ['ignore', new (require('node:stream').PassThrough)(), 'ignore', 'ipc'] }),
    'stdio with an object': () => scene.cp.fork(PROGRAM, [], { stdio: ['ignore', {}, 'ignore', 'ipc'] }),
    'cwd a number': () => scene.cp.fork(PROGRAM, [], { cwd: 5 }),
    'cwd with NUL': () => scene.cp.fork(PROGRAM, [], { cwd: 'a\0b' }),
    'env with NUL': () => scene.cp.fork(PROGRAM, [], { env: { A: 'a\0b' } }),
    'uid a string': () => scene.cp.fork(PROGRAM, [], { uid: 'root' }),
    'gid a fraction': () => scene.cp.fork(PROGRAM, [], { gid: 1.5 }),
    'detached a number': () => scene.cp.fork(PROGRAM, [], { detached: 1 }),
    'argv0 a number': () => scene.cp.fork(PROGRAM, [], { argv0: 5 }),
    'windowsHide a string': () => scene.cp.fork(PROGRAM, [], { windowsHide: 'yes' }),
    'timeout negative': () => scene.cp.fork(PROGRAM, [], { timeout: -1 }),
    'timeout a string': () => scene.cp.fork(PROGRAM, [], { timeout: 'long' }),
    'killSignal unknown': () => scene.cp.fork(PROGRAM, [], { killSignal: 'SIGNONE' }),
    'killSignal an object': () => scene.cp.fork(PROGRAM, [], { killSignal: {} }),
    'signal a number': () => scene.cp.fork(PROGRAM, [], { signal: 5 }),
  };
  for (const [name, call] of Object.entries(calls)) {
    scene.note(name, outcome(() => {
      scene.adopt(call());
      return 'a child';
    }));
  }
}, { ends: 'parent' });

// The number of an rsipc child's channel is its own choice once it has taken the channel over.
async function report(scene, args, options, withDescriptors = false) {
  const child = scene.fork('fork/report', args, options);
  scene.note('spawnfile', child.spawnfile === process.execPath, 'spawnargs', child.spawnargs.map((arg) => (arg === process.execPath ? '<node>' : path.basename(arg))));
  scene.note('stdio', child.stdio.map((stream) => (stream === null ? 'null' : stream.constructor.name)), Object.keys(child).filter((key) => key.startsWith('std')));
  child.stdout?.resume();
  child.stderr?.resume();
  const [seen] = await happened(child, 'message');
  if (!withDescriptors) delete seen.descriptors;
  scene.note(seen);
  await happened(child, 'exit');
}

const quiet = { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] };

parity('arguments and execArgv reach the child in their places', (scene) =>
  report(scene, ['one', 'two words', ''], { ...quiet, execArgv: ['--no-warnings', '--stack-size=900'] }));

parity('args may be null, undefined or left out', async (scene) => {
  for (const call of [
    (options) => scene.cp.fork(fixture('fork/report'), null, options),
    (options) => scene.cp.fork(fixture('fork/report'), undefined, options),
    (options) => scene.cp.fork(fixture('fork/report'), options),
    (options) => scene.cp.fork(pathToFileURL(fixture('fork/report')), options),
    (options) => scene.cp.fork(Buffer.from(fixture('fork/report')), ['x'], options),
  ]) {
    const child = scene.adopt(call({ ...quiet, env: scene.env() }));
    const [{ args, execArgv, cwd }] = await happened(child, 'message');
    scene.note(args, execArgv, cwd);
    await happened(child, 'exit');
  }
});

parity('cwd, env and argv0 are the child\'s', (scene) =>
  report(scene, [], { ...quiet, cwd: '/', argv0: 'a-name', env: { GREETING: 'hello' } }));

parity('cwd may be a URL', (scene) => report(scene, [], { ...quiet, cwd: pathToFileURL('/usr/') }));

// Node puts its own variables behind the caller's, where `getenv` does not find them.
beyond('a channel in the environment that was passed is not the child\'s', async (scene) => {
  const child = scene.fork('fork/report', [], { ...quiet, env: { NODE_CHANNEL_FD: '99', NODE_CHANNEL_SERIALIZATION_MODE: 'advanced' } });
  const [{ variables }] = await happened(child, 'message');
  assert.deepStrictEqual(variables, []);
  await happened(child, 'exit');
});

parity('detached gives the child a process group of its own', (scene) => report(scene, [], { ...quiet, detached: true }));

parity('the child has its channel and its streams and no other descriptor', async (scene) => {
  await report(scene, [], { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] }, true);
  await report(scene, [], { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'ipc'] }, true);
}, { ends: 'parent' });

parity('channel at another place in stdio, with gaps and pipes around it', async (scene) => {
  await report(scene, [], { stdio: ['ignore', 'pipe', 'ignore', null, 'ipc', 'pipe'] });
  await report(scene, [], { stdio: ['ignore', 'ignore', 'pipe', undefined, undefined, 'ipc'] });
});

for (const options of [{ silent: true }, { stdio: 'pipe' }, { stdio: 'overlapped' }, { silent: false, stdio: 'pipe' }, { silent: true, stdio: ['ignore', 'pipe', 'ignore', 'ipc'] }]) {
  parity(`streams of a child forked with ${JSON.stringify(options)}`, async (scene) => {
    const child = scene.fork('fork/talk', [], options);
    scene.note(child.stdio.map((stream) => (stream === null ? 'null' : stream.constructor.name)));
    const all = Promise.all([child.stdout, child.stderr].map((stream) => (stream ? text(stream) : 'none')));
    scene.record(child, ['spawn', 'close']);
    await happened(child, 'close');
    scene.note(await all);
  });
}

parity('a descriptor and a stream may stand in stdio', async (scene) => {
  const fs = require('node:fs');
  const sink = fs.openSync('/dev/null', 'w');
  const child = scene.record(scene.fork('fork/talk', [], { stdio: ['ignore', sink, process.stderr.fd === 2 ? sink : 'ignore', 'ipc'] }));
  fs.closeSync(sink);
  await happened(child, 'close');
});

parity('abort kills the child and says so with an AbortError', async (scene) => {
  const controller = new AbortController();
  const child = scene.record(scene.fork('fork/ready', [], { signal: controller.signal }));
  await happened(child, 'message');
  child.once('error', (error) => scene.note('cause', error.cause === controller.signal.reason, error.cause?.name, child.killed));
  controller.abort();
  await happened(child, 'close');
});

parity('abort with a reason and another killSignal', async (scene) => {
  const controller = new AbortController();
  const child = scene.record(scene.fork('fork/ready', [], { signal: controller.signal, killSignal: 'SIGKILL' }));
  await happened(child, 'message');
  child.once('error', (error) => scene.note('cause', error.cause));
  controller.abort('enough');
  await happened(child, 'close');
});

parity('a signal that is aborted already ends the child at once', async (scene) => {
  const child = scene.record(scene.fork('fork/ready', [], { signal: AbortSignal.abort() }), ['spawn']);
  await happened(child, 'close');
});

parity('timeout kills the child without an error', async (scene) => {
  const child = scene.record(scene.fork('fork/stay', [], { timeout: 50, killSignal: 'SIGKILL' }), ['message']);
  await happened(child, 'close');
  scene.note(child.killed, child.signalCode);
});

parity('Symbol.dispose kills the child', async (scene) => {
  const child = scene.record(scene.fork('fork/ready'));
  await happened(child, 'message');
  const dispose = Object.getOwnPropertySymbols(Object.getPrototypeOf(child)).find((symbol) => symbol.description === 'Symbol.dispose' || symbol === Symbol.dispose);
  scene.note(typeof dispose);
  child[dispose]();
  scene.note(child.killed);
  await happened(child, 'close');
});

parity('options are read, not changed', async (scene) => {
  const options = Object.freeze({ stdio: Object.freeze(['ignore', 'ignore', 'inherit', 'ipc']), env: Object.freeze(scene.env()), execArgv: Object.freeze([]) });
  const child = scene.adopt(scene.cp.fork(fixture('fork/say'), Object.freeze(['1']), options));
  scene.note((await happened(child, 'message'))[0]);
  await happened(child, 'exit');
});

parity('a grandchild knows nothing of the channel', async (scene) => {
  const child = scene.fork('fork/nested-spawn');
  scene.note((await happened(child, 'message'))[0]);
  await happened(child, 'exit');
});
