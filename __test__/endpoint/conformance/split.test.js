'use strict';
// What is cut, at whatever byte: in two pieces of a stream it is the same message, and a packet or a file that is cut off is
// none.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { Duplex } = require('node:stream');
const { test } = require('node:test');
const { leavesNothing } = require('../../helpers/leavings.js');
const { happened, until } = require('../../helpers/wait.js');
const { CODECS } = require('../places.js');
const { combinations } = require('./endpoints.js');
const { End, FarEnd, hosted, client, program, manager } = require('./ends.js');
const { connect } = require('../../../index.js');
const { over } = require('../../../lib/endpoint/over.js');

leavesNothing();

const TIMEOUT = 60_000 + (process.env.EVERY_BYTE ? 120_000 : 0);
const NUMBERS = [0, 1, 2, 3, 4];

function* cuts(length, from = 1) {
  const step = process.env.EVERY_BYTE ? 1 : Math.ceil(length / 30);
  for (let cut = from; cut < length; cut += step) yield cut;
}

// The bytes of five messages: the hello, if there is one, and what follows.
async function recorded(codec) {
  const pieces = [];
  const sink = new Duplex({ read() {}, write: (chunk, _, done) => {
    pieces.push(chunk);
    done();
  } });
  const connection = over(sink, { codec, greet: false });
  for (const number of NUMBERS) connection.send(CODECS[codec].make(number));
  await new Promise(setImmediate);
  connection.destroy();
  const bytes = Buffer.concat(pieces);
  const hello = bytes.toString('latin1', 0, 6) === 'rsipc/' ? bytes.indexOf('\n') + 1 : 0;
  return { hello: bytes.subarray(0, hello), frames: bytes.subarray(hello) };
}

// Where bytes go that are one connection, and the end that reads them.
async function sink(t, { place, codec }) {
  if (place.joined) {
    const stream = new Duplex({ read() {}, write: (chunk, _, done) => done() });
    const connecting = connect(stream, { codec });
    return { write: (bytes) => stream.push(bytes), far: connecting.then((connection) => new End(connection, codec)), end: () => stream.destroy() };
  }
  if (place.program === 'stdio:') {
    const child = program(t, 'stdio:', { codec }, ['pipe', 'pipe', 'inherit', 'ipc']);
    child.stdout.resume();
    return { write: (bytes) => child.stdin.write(bytes), far: new FarEnd(child), end: () => child.stdin.end() };
  }
  // What is left is the fifo:, whose writers are one connection.
  const { endpoint, accepted } = await hosted(t, { place, codec });
  const fd = fs.openSync(endpoint.slice('fifo:'.length), 'w');
  return { write: (bytes) => fs.writeSync(fd, bytes), far: accepted(), end: () => fs.closeSync(fd) };
}

// A client of codec 'raw' says whatever it likes in a packet. Plain datagrams are bare, too.
const stranger = (t, place, endpoint) => {
  const options = place.connect?.() ?? {};
  return client(t, endpoint, { codec: 'raw', ...options, ...(place.scheme.includes('udp') && { udp: { ...options.udp, plain: true } }) });
};

// The packet of one message.
async function packet(t, { place, codec }) {
  const bare = { ...place, serve: () => ({ ...place.serve?.(), codec: 'raw', ...(place.scheme.includes('udp') && { udp: { ...place.serve?.().udp, plain: true } }) }) };
  const { endpoint, accepted } = await hosted(t, { place: bare, codec: 'raw' });
  const sender = await client(t, endpoint, { codec, ...place.connect?.() });
  sender.send(CODECS[codec].make(3));
  const [bytes] = await (await accepted()).next(1);
  return codec === 'lines' ? bytes.subarray(0, -1) : bytes; // a line that a packet ends is one without its end
}

for (const { name, place, codec } of combinations()) {
  const { make, number } = CODECS[codec];

  if (place.unit === 'stream' && place.dial !== undefined) {
    test(`${name} a stream cut at every byte gives the same messages`, { timeout: TIMEOUT }, async (t) => {
      const { hello, frames } = await recorded(codec);
      const bytes = Buffer.concat([hello, frames]);
      const activated = place.program === undefined ? null : await manager(t, { codec, all: true });
      const far = activated === null ? null : new FarEnd(activated.start());
      const { endpoint, accepted } = activated ?? await hosted(t, { place, codec });
      for (const cut of cuts(bytes.length)) {
        const socket = place.dial(endpoint);
        socket.setNoDelay?.(true);
        const closed = happened(socket, 'close');
        socket.resume().write(bytes.subarray(0, cut));
        await new Promise(setImmediate);
        socket.end(bytes.subarray(cut));
        const got = await (far ?? await accepted()).next(NUMBERS.length);
        assert.deepEqual(got.map(number), NUMBERS, `cut at ${cut} of ${bytes.length}`);
        await closed;
      }
    });
  }

  if (place.unit === 'stream' && place.dial === undefined) {
    test(`${name} a stream cut at every byte gives the same messages`, { timeout: TIMEOUT }, async (t) => {
      const { hello, frames } = await recorded(codec);
      const { write, far, end } = await sink(t, { place, codec });
      write(hello);
      for (const cut of cuts(frames.length)) {
        write(frames.subarray(0, cut));
        await new Promise(setImmediate);
        write(frames.subarray(cut));
        const got = await (await far).next(NUMBERS.length);
        assert.deepEqual(got.map(number), NUMBERS, `cut at ${cut} of ${frames.length}`);
      }
      end();
    });
  }

  if (place.unit === 'packets' && codec === 'raw') {
    test(`${name} a packet of every length is a message of that length`, { timeout: TIMEOUT }, async (t) => {
      const { endpoint, accepted } = await hosted(t, { place, codec });
      const sender = await client(t, endpoint, { codec, ...place.connect?.() });
      let far;
      for (const length of cuts(300, 0)) {
        sender.send(Buffer.alloc(length, length));
        far ??= await accepted();
        assert.deepEqual(await far.next(1), [Buffer.alloc(length, length)]);
      }
    });
  } else if (place.unit === 'packets' || place.unit === 'datagrams') {
    test(`${name} a packet cut off at every byte is no message, ${place.bad === 'ends' ? 'and ends its connection alone' : 'and is counted'}`, { timeout: TIMEOUT }, async (t) => {
      const bytes = await packet(t, { place, codec });
      const { server, endpoint, accepted } = await hosted(t, { place, codec });
      const problems = [];
      server.on('clientError', ({ code }) => problems.push(code));
      // What was counted, at the server or at one of its connections.
      const counted = () => [server, ...server.connections].reduce((sum, { datagrams }) => sum + (datagrams === null ? 0 : datagrams.truncated + datagrams.foreign), 0);
      const good = await client(t, endpoint, { codec, ...place.connect?.() });
      good.send(make(0));
      const far = await accepted();
      await far.next(1);
      let bad = await stranger(t, place, endpoint);
      let wrong = 0;
      for (const cut of cuts(bytes.length, codec === 'lines' ? 1 : 0)) { // no lines are no messages
        bad.send(bytes.subarray(0, cut));
        wrong++;
        await until(() => (place.bad === 'ends' ? problems.length : counted()) === wrong, `${cut} bytes of ${bytes.length} to be noticed`);
        if (place.bad === 'ends') bad = await stranger(t, place, endpoint);
      }
      assert.deepEqual(new Set(problems), new Set(place.bad === 'ends' ? ['ERR_RSIPC_MALFORMED_FRAME'] : []));
      good.send(make(1));
      assert.deepEqual(await far.next(1), [make(1)]);
    });
  }

  if (place.unit === 'files') {
    test(`${name} a file cut off at every byte is put aside, and stops no other`, { timeout: TIMEOUT }, async (t) => {
      const { endpoint, accepted, stop, start } = await hosted(t, { place, codec });
      const directory = endpoint.slice('file:'.length);
      await stop();
      const writer = await client(t, endpoint, { codec });
      writer.send(make(5));
      await writer.close();
      const [whole] = fs.readdirSync(directory);
      const bytes = fs.readFileSync(path.join(directory, whole));
      fs.unlinkSync(path.join(directory, whole));
      let files = 0;
      const put = (piece) => fs.writeFileSync(path.join(directory, `00000000000000aa.${String(++files).padStart(12, '0')}.msg`), piece, { mode: 0o600 });
      for (const cut of cuts(bytes.length, 0)) put(bytes.subarray(0, cut));
      put(bytes);
      const problems = [];
      (await start()).on('clientError', ({ code }) => problems.push(code));
      assert.deepEqual(await (await accepted()).next(1), [make(5)]);
      assert.deepEqual(problems, Array.from({ length: files - 1 }, () => 'ERR_RSIPC_TRUNCATED'));
    });
  }
}
