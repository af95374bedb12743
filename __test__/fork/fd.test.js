'use strict';
// rsipc.Fd: any descriptor as a handle, between two rsipc ends.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { spawn } = require('node:child_process');
const { test } = require('node:test');
const { rsipc } = require('../helpers/modules.js');
const { leavesNothing, temporary } = require('../helpers/leavings.js');
const { happened } = require('../helpers/wait.js');
const { withChild } = require('../helpers/with-child.js');

leavesNothing();

const { Fd } = rsipc;

function file(text) {
  const name = path.join(temporary(), 'file');
  fs.writeFileSync(name, text);
  return name;
}

const open = (name, use) => {
  const fd = fs.openSync(name, 'r');
  try {
    return use(fd);
  } finally {
    fs.closeSync(fd);
  }
};

async function heardAfter(child, fd) {
  await child.request({ what: 'listen' });
  await child.send('an fd', fd, { receipt: true });
  return child.request({ what: 'heard' });
}

test('a file can be read at the other end', () => withChild(async (child) => {
  const fd = open(file('the file\'s text'), (number) => new Fd(number));
  assert.strictEqual(fd.kind, 'file');
  assert.deepStrictEqual(await heardAfter(child, fd), [['an fd', 'Fd', { kind: 'file', text: 'the file\'s text', closed: -1 }]]);
  assert.strictEqual(fd.fd, -1);
}));

test('a FIFO can be read at the other end', () => withChild(async (child) => {
  const writer = spawn('sh', ['-c', 'printf "out of the pipe" >&3'], { stdio: ['ignore', 'ignore', 'ignore', fifo()] });
  await happened(writer, 'exit');
  const fd = takeFifo();
  assert.strictEqual(fd.kind, 'fifo');
  assert.deepStrictEqual((await heardAfter(child, fd)).map(([, , read]) => read), [{ kind: 'fifo', text: 'out of the pipe', closed: -1 }]);
}));

// A FIFO of the file system, opened for both directions so that nothing blocks.
let both = -1;
function fifo() {
  const name = path.join(temporary(), 'fifo');
  require('node:child_process').execFileSync('mkfifo', [name]);
  both = fs.openSync(name, 'r+');
  return both;
}
function takeFifo() {
  const fd = new Fd(both);
  fs.closeSync(both);
  return fd;
}

test('a deleted file still travels: nothing but the descriptor is needed', () => withChild(async (child) => {
  const name = file('still here');
  const fd = open(name, (number) => new Fd(number));
  fs.unlinkSync(name);
  assert.strictEqual((await heardAfter(child, fd))[0][2].text, 'still here');
}));

test('keepOpen leaves our Fd open', () => withChild(async (child) => {
  const fd = open(file('x'), (number) => new Fd(number));
  await child.request({ what: 'listen' });
  await child.send('an fd', fd, { receipt: true, keepOpen: true });
  assert.ok(fd.fd >= 0);
  fd.close();
  assert.strictEqual(fd.fd, -1);
}));

test('an Fd of the child arrives at a parent that accepts the kind', () => withChild(async (child) => {
  const arrived = happened(child, 'message');
  await child.request({ what: 'sendFd', file: file('from the child') });
  const [message, fd] = await arrived;
  assert.strictEqual(message, 'an fd');
  assert.ok(fd instanceof Fd, String(fd));
  const bytes = Buffer.alloc(14);
  fs.readSync(fd.fd, bytes, 0, 14, 0);
  assert.strictEqual(String(bytes), 'from the child');
  fd.close();
}, { acceptHandles: ['fd'] }));

test('a plain child would abort on it, so it is refused there', () => withChild(async (child) => {
  const fd = open(file('x'), (number) => new Fd(number));
  assert.throws(() => child.send('an fd', fd), { code: 'ERR_RSIPC_PLAIN_PEER' });
  await assert.rejects(child.send('an fd', fd, { receipt: true, timeout: 50 }), { code: 'ERR_RSIPC_PLAIN_PEER' });
  assert.ok(fd.fd >= 0, 'it is still ours');
  fd.close();
  child.send('still works');
  assert.deepStrictEqual(await happened(child, 'message'), ['still works', undefined]);
}, { program: 'fork/echo', transport: 'socket' }));

test('an Fd knows its number and its kind, and closes once', () => {
  const fd = open(file('x'), (number) => new Fd(number));
  assert.notStrictEqual(fs.readlinkSync(`/proc/self/fd/${fd.fd}`), undefined);
  fd.close();
  fd.close();
  assert.strictEqual(fd.fd, -1);
  assert.throws(() => fd.kind, { code: 'ERR_RSIPC_FD_CLOSED' });
  assert.throws(() => fd.detach(), { code: 'ERR_RSIPC_FD_CLOSED' });
});

test('an Fd is made of a number or an object with one', async () => {
  const handle = await fs.promises.open(__filename);
  const fd = new Fd(handle);
  assert.notStrictEqual(fd.fd, handle.fd);
  const number = fd.detach();
  fs.closeSync(number);
  await handle.close();
  for (const wrong of ['3', -1, 1.5, null, undefined, {}]) assert.throws(() => new Fd(wrong), { code: 'ERR_INVALID_ARG_TYPE' });
  assert.throws(() => new Fd(99_999), Error);
});

test('an Fd that was closed is refused where it is sent', () => withChild(async (child) => {
  const fd = new Fd(0);
  fd.close();
  assert.throws(() => child.send('late', fd), { code: 'ERR_RSIPC_FD_CLOSED' });
}));
