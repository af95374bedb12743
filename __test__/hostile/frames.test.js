'use strict';
// Broken, cut, oversized and foreign frames from a child: an error with a code, never a crash, and
// every other child goes on being served.

const assert = require('node:assert');
const { test } = require('node:test');
const { hostile, replay, file } = require('./peer.js');
const { withBystander } = require('./bystander.js');
const { SERIALIZATIONS, frame, withLength, nested } = require('./frames.js');
const { until } = require('./ledger.js');

const MIB = 1024 * 1024;

withBystander();

// A short conversation with what breaks careless readers: characters of two to four bytes, a line
// separator, an escaped line feed, an empty string, a number alone.
const SESSION = ['', 'é€😀', { list: [1, { deep: null }], text: 'a\nb\u2028c' }, 17, [], { cmd: 'NODE_' }];

function session(serialization) {
  const frames = SESSION.map((message) => frame(serialization, message));
  const ends = [];
  frames.reduce((total, bytes) => {
    ends.push(total + bytes.length);
    return total + bytes.length;
  }, 0);
  return { bytes: Buffer.concat(frames), ends };
}

async function inParallel(count, width, run) {
  let next = 0;
  await Promise.all(Array.from({ length: width }, async () => {
    while (next < count) await run(next++);
  }));
}

for (const serialization of SERIALIZATIONS) {
  test(`a session cut at every byte gives its whole messages, one truncation error, then disconnect (${serialization})`, async () => {
    const { bytes, ends } = session(serialization);
    const name = file(bytes);
    await inParallel(bytes.length + 1, 4, async (cut) => {
      const seen = await replay(name, cut, { serialization });
      const whole = ends.filter((end) => end <= cut).length;
      const rest = cut - (whole === 0 ? 0 : ends[whole - 1]);
      assert.deepStrictEqual(seen.messages, SESSION.slice(0, whole), `cut at ${cut}`);
      assert.deepStrictEqual(seen.errors.map((error) => error.code), rest === 0 ? [] : ['ERR_RSIPC_TRUNCATED'], `cut at ${cut}`);
      if (rest > 0) assert.match(seen.errors[0].message, new RegExp(`\\b${rest} bytes\\b`));
      const order = seen.events.filter((event) => event !== 'message');
      const expected = [...(rest === 0 ? [] : ['ERR_RSIPC_TRUNCATED']), 'disconnect', 'exit', 'close'];
      assert.deepStrictEqual(order, expected, `cut at ${cut}`);
      assert.strictEqual(seen.events.lastIndexOf('message') < seen.events.length - expected.length, true);
    });
  });

  test(`a session that arrives byte by byte is the same session (${serialization})`, async () => {
    const peer = hostile({ serialization });
    await peer.send(session(serialization).bytes, { piece: 1, settle: true });
    await peer.end();
    assert.deepStrictEqual(peer.messages, SESSION);
    assert.deepStrictEqual(peer.errors, []);
  });

  test(`an empty frame is malformed, and what follows is read when the policy is to drop (${serialization})`, async () => {
    const empty = serialization === 'json' ? Buffer.from('\n') : Buffer.alloc(4);
    for (const onProtocolError of ['disconnect', 'drop']) {
      const peer = hostile({ serialization, onProtocolError });
      await peer.send(Buffer.concat([frame(serialization, 'before'), empty, frame(serialization, 'after')]));
      await peer.end();
      assert.deepStrictEqual(peer.messages, onProtocolError === 'drop' ? ['before', 'after'] : ['before']);
      assert.deepStrictEqual(peer.errors.map((error) => error.code), ['ERR_RSIPC_MALFORMED_FRAME']);
      assert.strictEqual(peer.events.filter((event) => event === 'disconnect').length, 1);
    }
  });

  test(`a message at the size limit arrives and one byte more does not (${serialization})`, async () => {
    const limit = 1_000;
    const overhead = frame(serialization, 'x'.repeat(500)).length - 500 - (serialization === 'json' ? 1 : 4);
    for (const size of [limit - 1, limit, limit + 1]) {
      const text = 'x'.repeat(size - overhead);
      const peer = hostile({ serialization, maxMessageSize: limit, onProtocolError: 'drop' });
      await peer.send(Buffer.concat([frame(serialization, text), frame(serialization, 'next')]));
      await peer.end();
      assert.deepStrictEqual(peer.messages, size > limit ? ['next'] : [text, 'next']);
      assert.deepStrictEqual(peer.errors.map((error) => error.code), size > limit ? ['ERR_RSIPC_MESSAGE_TOO_LARGE'] : []);
    }
  });

  test(`garbage is an error with a code and ends that channel only (${serialization})`, async () => {
    // A small generator with a fixed seed: the same garbage each time.
    let word = 0x9e3779b9;
    const byte = () => {
      word = (Math.imul(word, 1_664_525) + 1_013_904_223) >>> 0;
      return word >>> 24;
    };
    const texts = ['hello\n', 'undefined\n', '{"a":\n', '{}{}\n', 'NaN\n', '"\\ud8"\n', '\0\n', '{"cmd":"NODE_HANDLE"\n'];
    const inputs = [...texts.map((text) => Buffer.from(text)), ...Array.from({ length: 40 }, (_, index) => Buffer.from({ length: 1 + index * 37 }, byte))];
    await inParallel(inputs.length, 4, async (index) => {
      const seen = await replay(file(inputs[index]), undefined, { serialization });
      assert.notStrictEqual(seen.errors.length, 0, `input ${index}`);
      for (const error of seen.errors) assert.match(error.code, /^ERR_RSIPC_[A-Z_]+$/);
      assert.strictEqual(seen.events.filter((event) => event === 'disconnect').length, 1);
    });
  });

  test(`a child that uses the other serialization is told apart at once (${serialization} here)`, async () => {
    const theirs = SERIALIZATIONS.find((name) => name !== serialization);
    const peer = hostile({ serialization, frameTimeout: 60_000 });
    await peer.send(frame(theirs, { hello: 'world' }));
    await until(() => peer.errors.length > 0, 'the error');
    assert.deepStrictEqual(peer.errors.map((error) => error.code), ['ERR_RSIPC_MALFORMED_FRAME']);
    assert.match(peer.errors[0].message, new RegExp(`seems to use serialization '${theirs}'`));
    await peer.end();
  });

  test(`nesting is counted: the limit passes, one level more and a million do not (${serialization})`, async () => {
    for (const [depth, deep] of [[511, false], [512, false], [513, true], [1_000_000, true]]) {
      const peer = hostile({ serialization, onProtocolError: 'drop' });
      await peer.send(Buffer.concat([nested(serialization, depth), frame(serialization, 'next')]));
      await peer.end();
      assert.strictEqual(peer.messages.at(-1), 'next', `depth ${depth}`);
      assert.strictEqual(peer.messages.length, deep ? 1 : 2, `depth ${depth}`);
      assert.deepStrictEqual(peer.errors.map((error) => error.code), deep ? ['ERR_RSIPC_TOO_DEEP'] : []);
    }
  });

  test(`an error nobody listens for is a process warning (${serialization})`, async () => {
    const warned = new Promise((resolve) => process.once('warning', resolve));
    const peer = hostile({ serialization, record: false });
    await peer.send(serialization === 'json' ? 'hello\n' : Buffer.alloc(4));
    const warning = await warned;
    assert.strictEqual(warning.code, 'ERR_RSIPC_MALFORMED_FRAME');
    await peer.end();
  });

  test(`a child that breaks the protocol is killed when that is the policy (${serialization})`, async () => {
    const peer = hostile({ serialization, onProtocolError: 'kill' });
    await peer.send(serialization === 'json' ? 'hello\n' : Buffer.alloc(4));
    await peer.closed;
    assert.strictEqual(peer.child.signalCode, 'SIGKILL');
    assert.deepStrictEqual(peer.errors.map((error) => error.code), ['ERR_RSIPC_MALFORMED_FRAME']);
    await peer.end();
  });

  test(`a frame that never completes is an error after its time (${serialization})`, async () => {
    const begun = serialization === 'json' ? Buffer.from('{"a":') : withLength(Buffer.from([0xff, 0x0f]), 1_000_000);
    const started = Date.now();
    const peer = hostile({ serialization, frameTimeout: 150 });
    await peer.send(begun);
    // One byte now and then does not buy more time.
    while (peer.errors.length === 0) await peer.send(' ');
    assert.ok(Date.now() - started >= 150);
    assert.deepStrictEqual(peer.errors.map((error) => error.code), ['ERR_RSIPC_FRAME_TIMEOUT']);
    await until(() => peer.events.includes('disconnect'), 'disconnect');
    await peer.end();
  });
}

test('lengths around every border are refused before anything is allocated', async () => {
  const limit = 64 * MIB;
  const lengths = [0, 1, limit - 1, limit, limit + 1, 2 ** 31 - 1, 2 ** 31, 2 ** 31 + 1, 2 ** 32 - 2, 2 ** 32 - 1];
  const base = process.memoryUsage.rss();
  const peers = lengths.map((length) => {
    const peer = hostile({ serialization: 'advanced' });
    peer.length = length;
    return peer;
  });
  for (const peer of peers) await peer.send(withLength(Buffer.alloc(1_000, 0x5f), peer.length));
  const grown = process.memoryUsage.rss() - base;
  for (const peer of peers) await peer.end();
  // Twelve channels and a few bytes each; one believed length would be 64 MiB at least.
  assert.ok(grown < 32 * MIB, `RSS grew by ${grown}`);
  for (const { length, errors, messages } of peers) {
    const [expected] = length > limit ? ['ERR_RSIPC_MESSAGE_TOO_LARGE'] : length < 2 ? ['ERR_RSIPC_MALFORMED_FRAME'] : ['ERR_RSIPC_TRUNCATED'];
    assert.deepStrictEqual(errors.map((error) => error.code), [expected], `length ${length}`);
    assert.deepStrictEqual(messages, []);
  }
});

test('an oversized frame is skipped to its end when the policy is to drop', async () => {
  const peer = hostile({ serialization: 'advanced', maxMessageSize: MIB, onProtocolError: 'drop' });
  await peer.send(withLength(Buffer.alloc(3 * MIB, 0x41)));
  await peer.send(frame('advanced', 'next'));
  await peer.end();
  assert.deepStrictEqual(peer.errors.map((error) => error.code), ['ERR_RSIPC_MESSAGE_TOO_LARGE']);
  assert.deepStrictEqual(peer.messages, ['next']);
});

test('a hundred MiB without a line feed are one error and no memory', async () => {
  const peer = hostile({ maxMessageSize: MIB, onProtocolError: 'drop' });
  await peer.send('"warm"\n');
  await until(() => peer.messages.length === 1, 'the first message');
  const base = process.memoryUsage.rss();
  await peer.send(Buffer.alloc(MIB, 'x'), { times: 100 });
  const grown = process.memoryUsage.rss() - base;
  await peer.send('\n"next"\n');
  await peer.end();
  assert.ok(grown < 32 * MIB, `RSS grew by ${grown}`);
  assert.deepStrictEqual(peer.errors.map((error) => error.code), ['ERR_RSIPC_MESSAGE_TOO_LARGE']);
  assert.deepStrictEqual(peer.messages, ['warm', 'next']);
});

test('strings of every kind read as Node reads them, wherever the kernel splits them', async () => {
  const bytes = (...values) => Buffer.from(values);
  const strings = [
    '', 'a', 'é', '€', '😀', 'a\u0301', '\u2028', '\u2029', '\ufeff', '\ufffd', '\uffff', '\u{10ffff}', '\\u0000', '\\ud800', '\\udc00\\ud800',
    '\\ud83d\\ude00', '\\n', '\\r\\n', '\\"', '\\\\', ' ', '\u007f', '\u0080', 'NODE_HANDLE', '日本語', 'עברית', '👩‍👩‍👧',
  ].map((text) => Buffer.from(text));
  const broken = [
    bytes(0xff), bytes(0xfe), bytes(0x80), bytes(0xbf), bytes(0xc0, 0xaf), bytes(0xc3), bytes(0xe2, 0x82), bytes(0xf0, 0x9f, 0x98),
    bytes(0xed, 0xa0, 0x80), bytes(0xed, 0xb0, 0x80), bytes(0xf4, 0x90, 0x80, 0x80), bytes(0xf8, 0x88, 0x80, 0x80, 0x80), bytes(0xc3, 0x28), bytes(0xef, 0xbb, 0xbf),
  ];
  const frames = [...strings, ...broken].map((content) => Buffer.concat([Buffer.from('"'), content, Buffer.from('"\n')]));
  frames.push(Buffer.from('  "spaces"  \r\n'));
  // Node decodes with replacement, then parses.
  const expected = frames.map((line) => JSON.parse(line.toString('utf8')));
  assert.ok(frames.length > 40);

  const peer = hostile();
  const wanted = [];
  for (const [index, line] of frames.entries()) {
    for (let split = 1; split < line.length; split++) {
      await peer.parts([line.subarray(0, split), line.subarray(split)]);
      wanted.push(expected[index]);
    }
  }
  await peer.end();
  assert.deepStrictEqual(peer.errors, []);
  assert.deepStrictEqual(peer.messages, wanted);
});

test('a byte order mark before a message and a lone carriage return are malformed, as they are to Node', async () => {
  for (const line of ['\ufeff{}\n', '\r\n', '{}\u2028\n', '{}\0\n']) {
    assert.throws(() => JSON.parse(line), SyntaxError);
    const peer = hostile();
    await peer.send(line);
    await peer.end();
    assert.deepStrictEqual(peer.errors.map((error) => error.code), ['ERR_RSIPC_MALFORMED_FRAME'], JSON.stringify(line));
  }
});

test('a peer that uses the other serialization is an error, in either direction', async () => {
  for (const [serialization, other] of [['json', 'advanced'], ['advanced', 'json']]) {
    const peer = hostile({ serialization, frameTimeout: 500 });
    await peer.send(frame(other, { hello: 'there' }));
    await until(() => peer.errors.length > 0, 'an error', 5_000);
    assert.match(peer.errors[0].code, /^ERR_RSIPC_(MALFORMED_FRAME|MESSAGE_TOO_LARGE|FRAME_TIMEOUT)$/);
    await peer.end();
    assert.deepStrictEqual(peer.messages, []);
  }
});
