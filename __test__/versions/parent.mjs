// A parent of this version of Node, with rsipc, and a plain child of each Node binary given as argument, in
// both serializations. Prints a line for each pair; exits with 1 if one of them differs from what was sent.
import assert from 'node:assert';
import { once } from 'node:events';
import net from 'node:net';
import { fileURLToPath } from 'node:url';
import { fork } from '../../index.mjs';

const program = fileURLToPath(new URL('child.js', import.meta.url));
const values = {
  json: [1, 'ü€😀\u2028\u0000"\\', null, true, { a: [{ b: {} }], n: -0.5 }, 'x'.repeat(1_000_000), ''],
  advanced: [new Map([['k', new Set([1n, 2])]]), new Date(0), Buffer.from('bytes'), new Uint16Array([1, 2, 3]), undefined, Buffer.alloc(1 << 20, 7), 'ü€'],
};

function answer(child, what) {
  return new Promise((resolve, reject) => {
    const onMessage = (message, handle) => {
      if (message.what !== what) return;
      child.removeListener('message', onMessage);
      child.removeListener('exit', onExit);
      resolve({ message, handle });
    };
    const onExit = (code, signal) => reject(new Error(`the child ended with ${code ?? signal} before it said ${what}`));
    child.on('message', onMessage);
    child.once('exit', onExit);
  });
}

async function heard(socket) {
  let text = '';
  for await (const part of socket.setEncoding('utf8')) text += part;
  return text;
}

async function pair(execPath, serialization) {
  const child = fork(program, [], { execPath, execArgv: [], serialization });
  const { message: { version, rsipc } } = await answer(child, 'up');
  assert.strictEqual(rsipc, false, 'the child is plain');
  assert.ok(Symbol.for('rsipc.channel') in child, 'the parent is not');

  for (const value of values[serialization]) {
    const reply = answer(child, 'echo');
    child.send({ what: 'echo', value });
    assert.deepStrictEqual((await reply).message.value, value);
  }

  // A burst of handles between plain messages: each connection is answered by the child.
  const server = net.createServer({ pauseOnConnect: true }, (socket) => {
    child.send({ what: 'socket' }, socket);
    child.send({ what: 'echo', value: 'between' });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const texts = await Promise.all(Array.from({ length: 10 }, () => heard(net.connect(server.address().port, '127.0.0.1'))));
  assert.deepStrictEqual(texts, Array(10).fill(`child ${version}`));
  const closed = once(server, 'close');
  server.close();
  await closed;

  // And one the other way.
  const port = answer(child, 'port');
  child.send({ what: 'give' });
  const given = answer(child, 'given');
  const client = net.connect((await port).message.port, '127.0.0.1');
  const { handle } = await given;
  handle.end('from the parent');
  assert.strictEqual(await heard(client), 'from the parent');

  const events = [];
  child.on('disconnect', () => events.push('disconnect'));
  child.on('exit', (code) => events.push(`exit ${code}`));
  child.send({ what: 'end' });
  await once(child, 'close');
  assert.deepStrictEqual(events, ['disconnect', 'exit 0']);
  return version;
}

for (const execPath of process.argv.slice(2)) {
  for (const serialization of ['json', 'advanced']) {
    const version = await pair(execPath, serialization);
    console.log(`ok  parent ${process.version}  plain child ${version}  ${serialization}`);
  }
}
