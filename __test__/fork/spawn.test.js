'use strict';
// spawn() with 'ipc' among its stdio, and the objects it gives.

const diagnostics = require('node:diagnostics_channel');
const { parity } = require('../helpers/parity.js');
const { leavesNothing } = require('../helpers/leavings.js');
const { fixture } = require('../helpers/modules.js');
const { outcome } = require('../helpers/show.js');
const { happened, text } = require('../helpers/wait.js');

leavesNothing();

parity('ipc at index 4 is a channel on descriptor 4', async (scene) => {
  const child = scene.record(scene.spawn(process.execPath, [fixture('fork/report'), 'arg'], { stdio: ['ignore', 'pipe', 'inherit', 'ignore', 'ipc'] }));
  scene.note(child.stdio.map((stream) => (stream === null ? 'null' : stream.constructor.name)), child.connected, typeof child.send);
  scene.note(child.spawnargs.length, child.spawnfile === process.execPath);
  child.stdout.resume();
  await happened(child, 'close');
}, { ends: 'parent' });

parity('spawn understands serialization', async (scene) => {
  const child = scene.spawn(process.execPath, [fixture('fork/show')], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], serialization: 'advanced' });
  child.send(new Map([[1, new Set([2n])]]));
  scene.note((await happened(child, 'message'))[0]);
  child.disconnect();
  await happened(child, 'exit');
});

parity('any program can be at the other end of a JSON channel', async (scene) => {
  const child = scene.record(scene.spawn('sh', ['-c', 'echo "{\\"from\\":\\"sh\\"}" >&3; read -r line <&3; echo "[$line,1]" >&3'], { transport: 'auto', stdio: ['ignore', 'ignore', 'inherit', 'ipc'] }));
  child.send({ to: 'sh' });
  await happened(child, 'close');
}, { ends: 'parent' });

parity('the channel\'s variables come after those of the caller', async (scene) => {
  const child = scene.spawn('sh', ['-c', 'echo "$NODE_CHANNEL_FD $NODE_CHANNEL_SERIALIZATION_MODE"'], { stdio: ['ignore', 'pipe', 'inherit', null, 'ipc'], serialization: 'advanced', env: { NODE_CHANNEL_FD: '77' } });
  scene.note(await text(child.stdout));
  if (child.exitCode === null) await happened(child, 'exit');
}, { ends: 'parent' });

parity('a shell between spawn and the program passes the channel on', async (scene) => {
  const child = scene.record(scene.spawn(`"${process.execPath}" "${fixture('fork/say')}" 2`, [], { shell: true, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] }));
  await happened(child, 'close');
});

parity('wrong uses of ipc throw what they throw under Node', async (scene) => {
  const { spawn, spawnSync, execFileSync } = scene.cp;
  const calls = {
    'as a word': () => spawn('true', { stdio: 'ipc' }),
    'twice': () => spawn('true', { stdio: ['ipc', 'ipc'] }),
    'with an unknown serialization': () => spawn('true', { stdio: ['ignore', 'ignore', 'ignore', 'ipc'], serialization: 'x' }),
    'in spawnSync': () => spawnSync('true', { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] }).error ?? 'ran',
    'in execFileSync': () => execFileSync('true', { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] }),
    'with a bad neighbour': () => spawn('true', { stdio: ['ipc', 'nonsense'] }),
    'with a bad program': () => spawn('', { stdio: ['ipc'] }),
    'with a bad directory': () => spawn('true', { stdio: ['ipc'], cwd: 5 }),
  };
  for (const [name, call] of Object.entries(calls)) {
    scene.note(name, outcome(() => {
      const result = call();
      if (typeof result?.kill === 'function') scene.adopt(result);
      return typeof result?.kill === 'function' ? 'a child' : result;
    }));
  }
}, { ends: 'parent' });

parity('the child object has the same class and the same enumerable keys', async (scene) => {
  for (const start of [
    () => scene.fork('fork/say'),
    () => scene.spawn(process.execPath, [fixture('fork/say')], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] }),
    () => scene.spawn('true', [], { stdio: 'ignore' }),
  ]) {
    const child = start();
    scene.note(child instanceof require('node:child_process').ChildProcess, child.constructor.name, Object.getPrototypeOf(child) === require('node:child_process').ChildProcess.prototype);
    scene.note(Object.keys(child).sort());
    scene.note(Object.keys({ ...child }).length === Object.keys(child).length);
    await happened(child, 'exit');
  }
}, { ends: 'parent' });

parity('send and disconnect have Node\'s names and lengths', async (scene) => {
  const child = scene.fork('fork/say');
  for (const name of ['send', 'disconnect', '_send', '_disconnect']) scene.note(name, typeof child[name], child[name].length);
  for (const name of ['ref', 'unref', 'refCounted', 'unrefCounted']) scene.note(name, typeof child.channel[name], child.channel[name].length);
  await happened(child, 'exit');
}, { ends: 'parent' });

parity('a fork is published once on the child_process diagnostics channel', async (scene) => {
  const published = [];
  const onPublish = ({ process: child }) => published.push(child);
  diagnostics.subscribe('child_process', onPublish);
  try {
    const child = scene.fork('fork/say');
    scene.note(published.length, published[0] === child);
    await happened(child, 'exit');
  } finally {
    diagnostics.unsubscribe('child_process', onPublish);
  }
}, { ends: 'parent' });

parity('execFile, exec and the sync calls are unaffected', async (scene) => {
  scene.note(String(scene.cp.execFileSync('echo', ['a'])), String(scene.cp.execSync('echo b')), scene.cp.spawnSync('true').status);
  await new Promise((resolve) => scene.cp.exec('echo c', (error, stdout) => resolve(scene.note(error, stdout))));
  await new Promise((resolve) => scene.cp.execFile('false', (error) => resolve(scene.note(error.code))));
}, { ends: 'parent' });
