'use strict';
// What keeps a process alive, at both ends: exactly what does so under Node.

const fs = require('node:fs');
const { spawn } = require('node:child_process');
const { parity } = require('../helpers/parity.js');
const { fixture, ENTRY, node } = require('../helpers/modules.js');
const { leavesNothing, alive } = require('../helpers/leavings.js');
const { happened, barrier, until } = require('../helpers/wait.js');

leavesNothing();

// 'ends', or 'stays' once every thread of the process sleeps and none has woken up for a while.
async function fate(child) {
  let before;
  let quiet = 0;
  while (child.exitCode === null && child.signalCode === null) {
    await barrier();
    const now = threads(child.pid);
    quiet = now === before && now.split('\n').every((line) => line.startsWith('S ')) ? quiet + 1 : 0;
    if (quiet === 6) return 'stays';
    before = now;
  }
  return 'ends';
}

// State and number of context switches of each thread, a line each: 'S 17'.
function threads(pid) {
  try {
    return fs.readdirSync(`/proc/${pid}/task`).map((thread) => {
      const status = fs.readFileSync(`/proc/${pid}/task/${thread}/status`, 'latin1');
      return `${/^State:\s+(\S)/m.exec(status)[1]} ${/^voluntary_ctxt_switches:\s+(\d+)/m.exec(status)[1]}`;
    }).join('\n');
  } catch {
    return ''; // it is just ending
  }
}

for (const how of ['nothing', 'message', 'removed', 'two, one removed', 'removeAllListeners', 'disconnect', 'once', 'unref', 'unref first', 'ref', 'ref, unref', 'refCounted', 'refCounted twice', 'other event']) {
  parity(`a child ends or stays as under Node: ${how}`, async (scene) => {
    const child = scene.fork('lifecycle/stays-for', [how]);
    await happened(child, 'message');
    scene.note(await fate(child));
  });
}

parity('a once listener lets the child go when its message has come', async (scene) => {
  const child = scene.fork('lifecycle/stays-for', ['once']);
  await happened(child, 'message');
  child.send('the one message');
  scene.note('exit', (await happened(child, 'exit'))[0]);
});

parity('a large message is written to its end before the child goes', async (scene) => {
  const child = scene.fork('lifecycle/stays-for', ['large write']);
  await happened(child, 'message');
  const [message] = await happened(child, 'message');
  scene.note(message.length);
  await scene.ended(child);
});

parity('the parent\'s disconnect() lets a listening child go', async (scene) => {
  const child = scene.fork('lifecycle/stays-for', ['disconnect']);
  await happened(child, 'message');
  child.disconnect();
  scene.note('exit', (await happened(child, 'exit'))[0]);
});

for (const how of ['nothing', 'child.unref', 'channel.unref', 'both', 'both, with a listener', 'both, then ref', 'disconnect']) {
  parity(`a parent of an idle child ends or stays as under Node: ${how}`, async (scene) => {
    const program = spawn(process.execPath, [fixture('lifecycle/parent-stays-for'), how], {
      stdio: ['ignore', 'pipe', 'inherit'], env: scene.env({ RSIPC_TEST_MODULE: scene.cp === node ? 'node:child_process' : ENTRY }),
    });
    const [line] = await happened(program.stdout, 'data');
    const idle = Number(String(line).split(' ')[1]);
    const exited = happened(program, 'exit');
    scene.note(await fate(program));
    program.kill('SIGKILL');
    program.stdout.destroy();
    await exited;
    await until(() => !alive(idle), 'the idle child to notice');
  }, { ends: 'parent' });
}
