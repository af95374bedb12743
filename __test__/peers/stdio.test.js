'use strict';
// A tool server on stdio, and a client that knows nothing of rsipc and takes no line that is not the protocol's.

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const path = require('node:path');
const { createInterface } = require('node:readline');
const { test } = require('node:test');
const { leavesNothing } = require('../helpers/leavings.js');
const { until } = require('../helpers/wait.js');

leavesNothing();

const REQUESTS = Number(process.env.REQUESTS ?? 10_000);

test(`${REQUESTS} requests to a server with a noisy dependency: no line is bad`, { timeout: 120_000 }, async (t) => {
  const child = spawn(process.execPath, [path.join(__dirname, '../fixtures/peers/noisy.js')], { stdio: ['pipe', 'pipe', 'pipe'], detached: true });
  t.after(() => {
    try {
      process.kill(-child.pid, 'SIGKILL'); // its grandchild prints on
    } catch {
      // They are gone.
    }
  });
  const missing = new Set(['console.log', 'process.stdout', 'a console of its own', 'the descriptor', 'a grandchild', 'C']);
  let rest = '';
  let printed = 0;
  child.stderr.setEncoding('utf8').on('data', (text) => {
    printed += text.length;
    rest += text;
    for (const who of missing) if (rest.includes(`dependency: ${who}`)) missing.delete(who);
    rest = rest.slice(-100); // longer than what is looked for, which may come in two pieces
  });
  const asked = new Map();
  const bad = [];
  createInterface({ input: child.stdout }).on('line', (line) => {
    let answer;
    try {
      answer = JSON.parse(line);
    } catch {
      answer = null;
    }
    const resolve = asked.get(answer?.id);
    if (answer?.jsonrpc !== '2.0' || resolve === undefined) bad.push(line);
    asked.delete(answer?.id);
    resolve?.(answer);
  });
  let next = 0;
  const request = (method, params) => new Promise((resolve) => {
    const id = ++next;
    asked.set(id, resolve);
    child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`);
  });

  assert.equal((await request('initialize', { protocolVersion: '2025-06-18', capabilities: {} })).result.serverInfo.name, 'noisy');
  child.stdin.write('{"jsonrpc":"2.0","method":"notifications/initialized"}\n');
  assert.equal((await request('tools/list')).result.tools[0].name, 'add');
  for (let done = 0; done < REQUESTS; done += 50) {
    const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => request('tools/call', { name: 'add', arguments: { a: done, b: i } })));
    answers.forEach(({ result }, i) => assert.equal(result.content[0].text, String(done + i)));
  }
  assert.match((await request('tools/call', { name: 'rm', arguments: {} })).error.message, /no tool rm/);
  // Whoever starts slowly prints late, and the answers go on meanwhile.
  await until(async () => (await request('tools/call', { name: 'add', arguments: { a: 1, b: 2 } })).result.content[0].text === '3' && missing.size === 0, 'everybody to have printed');
  assert.deepEqual(bad, []);
  const exited = once(child, 'exit');
  child.stdin.end();
  assert.deepEqual(await exited, [0, null]);
  assert.ok(printed > 50 * REQUESTS, `${printed} characters were printed elsewhere`);
});
