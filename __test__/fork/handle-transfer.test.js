'use strict';
// What becomes of a handle at the end that sends it, and of the messages around it.

const assert = require('node:assert');
const dgram = require('node:dgram');
const fs = require('node:fs');
const http = require('node:http');
const net = require('node:net');
const tls = require('node:tls');
const tty = require('node:tty');
const { parity, beyond } = require('../helpers/parity.js');
const { leavesNothing, stopped } = require('../helpers/leavings.js');
const { outcome } = require('../helpers/show.js');
const { listening, closed, make, readAll, connection, HOST } = require('../helpers/handles.js');
const { happened, barrier, until } = require('../helpers/wait.js');

leavesNothing();

async function pair() {
  const server = await listening(net.createServer({ pauseOnConnect: true }), 0, HOST);
  const far = net.connect(server.address().port, HOST);
  return { server, far, near: await connection(server, far) };
}

parity('a socket that was sent is detached and emits no close', async (scene) => {
  const child = scene.fork('fork/take-handle');
  const { server, far, near } = await pair();
  near.on('close', () => scene.note('close'));
  near.on('error', (error) => scene.note('error', error));
  scene.note('before', near.destroyed, near._handle === null, server._connections);
  child.send('socket', near);
  scene.note('after', near.destroyed, near._handle === null, server._connections);
  scene.note('read', await readAll(far));
  await closed(server);
  await barrier();
  child.disconnect();
  await happened(child, 'exit');
}, { ends: 'parent' });

for (const serialization of ['json', 'advanced']) {
  parity(`a child that loads rsipc in the middle of a message with a handle gets both (${serialization})`, async (scene) => {
    for (const kind of ['net.Socket', 'net.Server', undefined]) {
      const child = scene.fork('fork/load-midway', [], { serialization, transport: 'auto' }); // loads it when it is asked, otherwise
      await happened(child, 'message');
      const { handle, probe, done } = kind === undefined ? {} : await make(kind);
      const told = happened(child, 'message');
      child.send('x'.repeat(8_000_000), handle);
      assert.deepStrictEqual(await told, [{ loaded: true, length: 8_000_000, given: kind?.slice(4) ?? 'nothing' }, undefined]);
      scene.note(await probe?.());
      await done?.();
      child.disconnect();
      await happened(child, 'exit');
    }
  }, { ends: 'parent' });
}

parity('keepOpen leaves the socket to both', async (scene) => {
  const child = scene.fork('fork/keep-open');
  const { server, far, near } = await pair();
  child.send('socket', near, { keepOpen: true });
  scene.note('kept', near._handle !== null, near.destroyed, server._connections);
  await happened(child, 'message');
  near.end('from the parent\n');
  scene.note(await readAll(far));
  near.destroy(); // it was never read, so it does not see the end
  await closed(server);
  child.disconnect();
  await happened(child, 'exit');
});

parity('an HTTP request can be handed to the child, and the server goes on', async (scene) => {
  const child = scene.fork('fork/answer-http');
  const server = http.createServer((request, response) => {
    if (request.url !== '/child') {
      response.end(`the parent answers ${request.url}`);
      return;
    }
    child.send({ url: request.url }, request.socket);
    scene.note('handed over', request.socket._handle === null, response.socket === null || response.socket === undefined);
  });
  await listening(server, 0, HOST);
  const get = (path) => new Promise((resolve, reject) => {
    http.get({ port: server.address().port, host: HOST, path, agent: false }, async (response) => resolve(`${response.statusCode} ${await readAll(response)}`)).on('error', reject);
  });
  scene.note(await get('/one'), await get('/child'), await get('/two'), await get('/child'));
  // http's own close() trips over sockets that were given away.
  await new Promise((resolve) => net.Server.prototype.close.call(server, resolve));
  child.disconnect();
  await happened(child, 'exit');
});

const connectionsOf = (server) => new Promise((resolve) => server.getConnections((error, count) => resolve(error ?? count)));

parity('getConnections counts the sockets a child holds, and close waits for them', async (scene) => {
  const child = scene.fork('fork/hold-sockets');
  const server = await listening(net.createServer({ pauseOnConnect: true }), 0, HOST);
  const fars = [];
  for (let i = 0; i < 2; i++) {
    const far = net.connect(server.address().port, HOST);
    const near = await connection(server, far);
    fars.push(far);
    const held = happened(child, 'message');
    child.send('take', near);
    await held;
  }
  const local = net.connect(server.address().port, HOST);
  const kept = await connection(server, local);
  scene.note('connections', await connectionsOf(server));
  server.close(() => scene.note('server closed'));
  kept.destroy();
  local.destroy();
  await barrier();
  child.send('end one');
  scene.note(await readAll(fars[0]));
  await until(async () => await connectionsOf(server) === 2, 'the child to have closed one');
  child.send('end one');
  scene.note(await readAll(fars[1]));
  fars[1].destroy();
  await until(() => scene.trace.includes('server closed'), 'the server to be closed');
  child.disconnect();
  await happened(child, 'exit');
});

parity('a child that exits gives its connections back', async (scene) => {
  const child = scene.fork('fork/hold-sockets');
  const { server, far, near } = await pair();
  const held = happened(child, 'message');
  child.send('take', near);
  await held;
  scene.note('connections', await connectionsOf(server));
  server.close(() => scene.note('server closed'));
  await barrier();
  child.send('exit');
  await happened(child, 'exit');
  scene.note(await readAll(far));
  await until(() => scene.trace.includes('server closed'), 'the server to be closed');
});

parity('asking a child that is gone is an error', async (scene) => {
  const child = scene.fork('fork/hold-sockets');
  const { server, far, near } = await pair();
  const held = happened(child, 'message');
  child.send('take', near);
  await held;
  child.send('exit');
  await happened(child, 'disconnect');
  scene.note(await connectionsOf(server));
  await scene.ended(child);
  await readAll(far);
  server.close(); // not waited for: without a list left, Node's never says 'close'
});

parity('many handles and plain messages arrive in the order in which they were sent', async (scene) => {
  const child = scene.fork('fork/list-handles');
  const server = await listening(net.createServer(), 0, HOST);
  for (let i = 0; i < 60; i++) {
    child.send({ i }, server._handle);
    child.send({ i, plain: true });
    if (i % 3 === 0) child.send({ i, again: 'x'.repeat(3_000) });
  }
  child.send('end');
  scene.note((await happened(child, 'message'))[0]);
  await happened(child, 'exit');
  await closed(server);
});

parity('many handles of the child arrive in order at the parent', async (scene) => {
  const child = scene.fork('fork/send-handles');
  child.on('message', (message, handle) => {
    scene.note(message, handle?.constructor.name ?? 'plain');
    handle?.close();
  });
  child.send(40);
  await happened(child, 'exit');
});

parity('many sockets reach the child, each once', async (scene) => {
  const child = scene.fork('fork/take-handle');
  const server = await listening(net.createServer({ pauseOnConnect: true }), 0, HOST);
  const answers = [];
  server.on('connection', (near) => child.send('socket', near));
  for (let i = 0; i < 30; i++) answers.push(readAll(net.connect(server.address().port, HOST)));
  scene.note((await Promise.all(answers)).every((answer) => answer === 'by the taker'));
  await closed(server);
  child.disconnect();
  await happened(child, 'exit');
});

parity('callbacks of handles come in order, with null', async (scene) => {
  const child = scene.fork('fork/list-handles');
  const server = await listening(net.createServer(), 0, HOST);
  const order = [];
  await Promise.all(['a', 'b', 'c', 'd'].map((name, index) => new Promise((resolve) => {
    const sent = child.send(name, index % 2 === 0 ? server._handle : undefined, (error) => resolve(order.push([name, error])));
    scene.note(name, sent);
  })));
  scene.note(order);
  child.send('end');
  await happened(child, 'exit');
  await closed(server);
}, { ends: 'parent' });

parity('the callback of a handle comes after the tick', async (scene) => {
  const child = scene.fork('fork/list-handles');
  const server = await listening(net.createServer(), 0, HOST);
  await new Promise((resolve) => {
    child.send('handle', server._handle, () => resolve(scene.note('callback')));
    process.nextTick(() => scene.note('tick'));
    Promise.resolve().then(() => scene.note('promise'));
  });
  child.send('end');
  await happened(child, 'exit');
  await closed(server);
}, { ends: 'parent' });

parity('a handle that was closed or sent already goes as a plain message', async (scene) => {
  const child = scene.fork('fork/list-handles');
  const { server, far, near } = await pair();
  child.send('first', near);
  scene.note(await new Promise((resolve) => child.send('sent already', near, resolve)));
  await readAll(far);
  const destroyed = new net.Socket();
  destroyed.destroy();
  scene.note(await new Promise((resolve) => child.send('destroyed', destroyed, resolve)));
  await closed(server);
  scene.note(await new Promise((resolve) => child.send('closed server', server, resolve)));
  child.send('never listened', net.createServer());
  child.send('end');
  scene.note((await happened(child, 'message'))[0]);
  await happened(child, 'exit');
}, { ends: 'parent' });

parity('an unbound datagram socket cannot be sent', async (scene) => {
  const child = scene.record(scene.fork('fork/list-handles'));
  const socket = dgram.createSocket('udp4');
  scene.note(await new Promise((resolve) => scene.note('sent', child.send('unbound', socket, resolve))));
  await closed(socket);
  child.send('end');
  await happened(child, 'exit');
}, { ends: 'parent' });

parity('an object that is no handle is refused where it is sent', async (scene) => {
  const child = scene.fork('fork/list-handles');
  for (const [name, thing] of Object.entries({ object: {}, stream: process.stderr === undefined ? {} : new (require('node:stream').PassThrough)(), child, array: [], number: 1, fn: () => {} })) {
    if (name !== 'fn') scene.note(name, outcome(() => child.send('x', thing)));
  }
  child.send('end');
  scene.note((await happened(child, 'message'))[0]);
  await happened(child, 'exit');
}, { ends: 'parent' });

parity('messages behind a handle are written before a disconnect() is done', async (scene) => {
  const child = scene.record(scene.fork('fork/list-handles'));
  const server = await listening(net.createServer(), 0, HOST);
  child.send('one', server._handle);
  child.send('two');
  child.send('three', server._handle);
  child.send('end');
  child.disconnect();
  scene.note(child.connected, child.channel === null);
  await happened(child, 'exit');
  await closed(server);
}, { ends: 'parent' });

beyond('a terminal is refused where it is sent: at a plain reader it would abort the process', async (scene) => {
  const child = scene.fork('fork/list-handles');
  const terminal = new tty.ReadStream(fs.openSync('/dev/ptmx', fs.constants.O_RDWR | fs.constants.O_NOCTTY));
  assert.throws(() => child.send('terminal', terminal), { code: 'ERR_INVALID_HANDLE_TYPE', name: 'TypeError' });
  assert.strictEqual(terminal.destroyed, false);
  await new Promise((resolve) => terminal.destroy().once('close', resolve));
  child.send('end');
  assert.deepStrictEqual((await happened(child, 'message'))[0], []);
  await happened(child, 'exit');
});

beyond('a TLS socket is refused where it is sent: its keys would stay behind', async (scene) => {
  const child = scene.fork('fork/list-handles');
  const { server, far, near } = await pair();
  const secure = new tls.TLSSocket(near, { isServer: true });
  secure.on('error', () => {});
  assert.throws(() => child.send('secure', secure), { code: 'ERR_INVALID_HANDLE_TYPE', name: 'TypeError' });
  secure.destroy();
  far.destroy();
  await closed(server);
  child.send('end');
  assert.deepStrictEqual((await happened(child, 'message'))[0], []);
  await happened(child, 'exit');
});

beyond('messages behind a handle do not wait for the child to answer', async (scene) => {
  const child = scene.fork('fork/take-handle');
  await new Promise((resolve) => child.send('hello', resolve));
  await happened(child, 'message');
  child.kill('SIGSTOP');
  await stopped(child.pid);
  const server = await listening(net.createServer(), 0, HOST);
  await new Promise((resolve) => child.send('handle', server._handle, resolve));
  for (let i = 0; i < 20; i++) child.send(i);
  await barrier();
  const { messages } = child.channel.queued;
  child.kill('SIGCONT');
  assert.ok(messages <= 1, `${messages} messages wait behind the handle`);
  child.kill('SIGKILL');
  await happened(child, 'exit');
  await closed(server);
}, { child: 'plain' });
