'use strict';
// Connections over streams that Node has: TLS, a child's stdio, any Duplex.

const { test } = require('node:test');
const assert = require('node:assert');
const path = require('node:path');
const { spawn } = require('node:child_process');
const { Duplex } = require('node:stream');
const { leavesNothing } = require('../helpers/leavings.js');
const { happened, until } = require('../helpers/wait.js');
const { CODECS } = require('./places.js');
const { connect } = require('../../index.js');

leavesNothing();

// Two streams, each of which reads what the other writes, `size` bytes at a time.
function joined(size = Infinity) {
  const ends = [0, 1].map((index) => new Duplex({
    read() {},
    write(chunk, encoding, done) {
      for (let at = 0; at < chunk.length; at += size) ends[1 - index].push(chunk.subarray(at, at + size));
      setImmediate(done);
    },
    final(done) {
      ends[1 - index].push(null);
      done();
    },
  }));
  return ends;
}

for (const [codec, { make, number }] of Object.entries(CODECS)) {
  test(`a Duplex that gives one byte at a time: ${codec}`, async () => {
    const [one, other] = joined(1);
    const [near, far] = await Promise.all([connect(one, { codec }), connect(other, { codec })]);
    const got = [];
    far.on('message', (message) => {
      got.push(number(message));
      far.send(message);
    });
    const back = [];
    near.on('message', (message) => back.push(number(message)));
    for (let i = 0; i < 50; i++) near.send(make(i));
    await until(() => back.length === 50, 'all have come back');
    assert.deepStrictEqual(got, back);
    const ended = happened(far, 'close');
    await near.close();
    await ended;
  });
}

test('a child that speaks JSON-RPC on its stdio, whatever its libraries print', async (t) => {
  const child = spawn(process.execPath, [path.join(__dirname, '../fixtures/endpoint/tool.js')], { stdio: ['pipe', 'pipe', 'pipe'] });
  t.after(() => child.kill('SIGKILL'));
  let noise = '';
  child.stderr.setEncoding('utf8').on('data', (text) => { noise += text; });
  const exited = happened(child, 'exit');
  const tool = await connect(child, { codec: 'lines', jsonRpc: true });
  for (let i = 0; i < 200; i++) assert.strictEqual(await tool.request('add', [i, 1]), i + 1);
  assert.strictEqual((await tool.request('big')).length, 1_000_000);
  await tool.close();
  assert.strictEqual((await exited)[0], 0);
  for (const who of ['console.log', 'process.stdout', 'a grandchild', 'a descriptor']) assert.ok(noise.includes(who), `${who} in ${noise.slice(0, 300)}`);
});

test('a stream that breaks ends the connection', async () => {
  const [one, other] = joined();
  const [near, far] = await Promise.all([connect(one), connect(other)]);
  const closed = happened(near, 'close');
  one.destroy(new Error('broken'));
  assert.strictEqual((await closed)[0].code, 'ERR_RSIPC_PEER_GONE');
  far.destroy();
});

test('TLS with a certificate on both sides; a client without one is refused', async (t) => {
  const { execFileSync } = require('node:child_process');
  const fs = require('node:fs');
  const { directory } = require('./places.js');
  const { serve } = require('../../index.js');
  const folder = directory(t);
  const make = (...args) => execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' });
  make('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=ca', '-keyout', 'ca.key', '-out', 'ca.pem');
  for (const name of ['localhost', 'client']) {
    make('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', `/CN=${name}`, '-keyout', `${name}.key`, '-out', `${name}.csr`);
    fs.writeFileSync(path.join(folder, 'ext'), 'subjectAltName=DNS:localhost,IP:127.0.0.1\n');
    make('x509', '-req', '-in', `${name}.csr`, '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-extfile', 'ext', '-out', `${name}.pem`);
  }
  const read = (name) => fs.readFileSync(path.join(folder, name));
  const ca = read('ca.pem');
  const server = await serve('tls://127.0.0.1:0', { tls: { key: read('localhost.key'), cert: read('localhost.pem'), ca, requestCert: true } });
  t.after(() => server.close({ timeout: 500 }));
  server.handle('who', (body, { connection }) => connection.peer.subject.CN);
  const big = { text: 'x'.repeat(2_000_000) };
  server.handle('echo', (body) => body);

  const client = await connect(server.address(), { tls: { ca, key: read('client.key'), cert: read('client.pem') } });
  assert.strictEqual(client.peer.subject.CN, 'localhost');
  assert.strictEqual(await client.request('who'), 'client');
  assert.deepStrictEqual(await client.request('echo', big), big);
  await client.close();

  const refused = happened(server, 'clientError');
  await assert.rejects(connect(server.address(), { tls: { ca } }));
  await refused;
  await assert.rejects(connect(server.address(), { tls: { key: read('client.key'), cert: read('client.pem') } }), { code: /CERT|SELF_SIGNED|UNABLE/ });
  await assert.rejects(serve('tls://127.0.0.1:0'), { code: 'ERR_INVALID_ARG_TYPE' });
});
