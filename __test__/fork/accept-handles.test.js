'use strict';
// acceptHandles: kinds that are not named are closed before anybody sees them.

const assert = require('node:assert');
const { test } = require('node:test');
const { rsipc, fixture, environment } = require('../helpers/modules.js');
const { leavesNothing, descriptors } = require('../helpers/leavings.js');
const { happened, until } = require('../helpers/wait.js');

leavesNothing();

async function give(acceptHandles) {
  const child = rsipc.fork(fixture('fork/send-handles'), [], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], env: environment(false), acceptHandles });
  const before = descriptors().size;
  const seen = { handles: 0, without: 0, plain: 0, problems: new Set() };
  child.on('handleProblem', ({ reason }) => seen.problems.add(reason));
  child.on('message', (message, handle) => {
    if (message.plain || message === 'end') seen.plain++;
    else if (handle === undefined) seen.without++;
    else {
      seen.handles++;
      handle.close();
    }
  });
  child.send(20);
  await happened(child, 'exit');
  await until(() => descriptors().size < before, 'the refused descriptors to be closed');
  return { ...seen, problems: [...seen.problems] };
}

test('all of Node\'s kinds are taken by default', async () => {
  assert.deepStrictEqual(await give(undefined), { handles: 20, without: 0, plain: 21, problems: [] });
});

test('a kind that is named is taken', async () => {
  assert.deepStrictEqual(await give(['net.Native']), { handles: 20, without: 0, plain: 21, problems: [] });
});

test('a kind that is not named is closed; its message arrives without it, and the reason is told', async () => {
  const seen = await give(['net.Socket', 'dgram.Socket']);
  assert.deepStrictEqual({ ...seen, problems: seen.problems.length }, { handles: 0, without: 20, plain: 21, problems: 1 });
});

test('an empty list takes none', async () => {
  const seen = await give([]);
  assert.deepStrictEqual([seen.handles, seen.without, seen.plain], [0, 20, 21]);
});
