'use strict';
// One scenario, run against node:child_process and against rsipc; what it notes must be the same.
//
// The first pairing, Node on both ends, says what is right. So nothing here is a copy of what some
// version of Node did once: the suite asks the running one.

const assert = require('node:assert');
const { test } = require('node:test');
const { node, rsipc, fixture, environment } = require('./modules.js');
const { show } = require('./show.js');
const { happened, within } = require('./wait.js');

const REFERENCE = { name: 'node:child_process with a plain child', cp: node, ours: false };
const PARENT = { name: 'rsipc with a plain child', cp: rsipc, ours: false };
const BOTH = { name: 'rsipc with an rsipc child', cp: rsipc, ours: true };
const CHILD = { name: 'node:child_process with an rsipc child', cp: node, ours: true };

// What a scenario works with.
class Scene {
  constructor(pairing) {
    this.cp = pairing.cp;
    this.ours = pairing.ours;
    this.trace = [];
    this.children = [];
  }

  note(...values) {
    this.trace.push(values.map(show).join(' '));
  }

  env(extra) {
    return environment(this.ours, extra);
  }

  // A child whose output does not mix with the test's own.
  fork(name, args = [], options = {}) {
    const quiet = options.stdio === undefined && options.silent === undefined ? { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] } : {};
    return this.adopt(this.cp.fork(fixture(name), args, { ...quiet, ...options, env: this.env(options.env) }));
  }

  spawn(file, args, options = {}) {
    return this.adopt(this.cp.spawn(file, args, { ...options, env: this.env(options.env) }));
  }

  adopt(child) {
    this.children.push(child);
    return child;
  }

  // Notes every event of `child` from now on, except those named in `not`.
  record(child, not = []) {
    for (const event of ['spawn', 'message', 'disconnect', 'error', 'exit', 'close']) {
      if (!not.includes(event)) child.on(event, (...values) => this.note(event, ...values.filter((value) => value !== undefined)));
    }
    return child;
  }

  async ended(child) {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) await happened(child, 'exit');
  }

  async finish() {
    for (const child of this.children) {
      if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
        const exited = happened(child, 'exit');
        child.kill('SIGKILL');
        await exited;
      }
      if (child.connected) {
        const gone = happened(child, 'disconnect');
        child.disconnect();
        await gone;
      }
    }
  }
}

async function play(pairing, scenario) {
  const scene = new Scene(pairing);
  try {
    const extra = await within(scenario(scene), `the scenario with ${pairing.name}`);
    if (extra !== undefined) scene.note(extra);
  } catch (error) {
    error.message = `${pairing.name}: ${error.message}\nnoted so far:\n  ${scene.trace.join('\n  ')}`;
    throw error;
  } finally {
    await scene.finish();
  }
  return scene.trace;
}

// Lines that differ, with as much of what both have in common as is needed to find the place.
function assertSame(actual, expected) {
  const length = Math.max(actual.length, expected.length);
  const lines = [];
  for (let i = 0; i < length && lines.length < 24; i++) {
    if (actual[i] === expected[i]) continue;
    if (lines.length === 0 && i > 0) lines.push(`  [${i - 1}]        ${expected[i - 1].slice(0, 300)}`);
    lines.push(`  [${i}] Node:  ${String(expected[i] ?? '(nothing)').slice(0, 600)}`, `  [${i}] here:  ${String(actual[i] ?? '(nothing)').slice(0, 600)}`);
  }
  if (lines.length > 0) assert.fail(`what was noted is not what Node's own module gives:\n${lines.join('\n')}`);
}

// When the end of the channel and the exit are found in the same turn of the loop, Node's order depends on
// its version and on how much there was to read. rsipc's does not: it is the order that Node has otherwise,
// disconnect, exit, close. So a Node trace is put in that order before rsipc is held to it.
function orderly(trace) {
  const rank = (line) => (line === 'disconnect' ? 1 : line.startsWith('exit ') ? 2 : line.startsWith('close ') ? 3 : 0);
  const places = [...trace.keys()].filter((index) => rank(trace[index]) > 0);
  if (places.length > 3 || !places.some((index) => rank(trace[index]) === 2)) return trace;
  const ordered = [...trace];
  const lines = places.map((index) => trace[index]).sort((a, b) => rank(a) - rank(b));
  places.forEach((index, i) => { ordered[index] = lines[i]; });
  return ordered;
}

// `fact` holds for rsipc as it does for Node. `ends`: 'parent' when the child's module cannot matter.
// `ordered`: Node's order of exit, close and disconnect is certain here, and rsipc's is the same.
function parity(fact, scenario, { ends = 'both', ordered = false } = {}) {
  const run = async (pairing) => {
    const trace = await play(pairing, scenario);
    return pairing.cp === node && !ordered ? orderly(trace) : trace;
  };
  test(fact, async (t) => {
    const expected = await run(REFERENCE);
    assert.notStrictEqual(expected.length, 0, 'the scenario noted nothing');
    t.diagnostic(`Node: ${expected.join(' | ').replace(/\s+/g, ' ').slice(0, 400)}`);
    for (const pairing of ends === 'parent' ? [PARENT] : [PARENT, BOTH, CHILD]) {
      await t.test(`as ${pairing.name}`, async () => {
        assertSame(await run(pairing), expected);
      });
    }
  });
}

// `fact` holds for every pairing in which rsipc takes part; Node alone need not have it.
function beyond(fact, scenario, { child = 'both' } = {}) {
  test(fact, async (t) => {
    for (const pairing of child === 'plain' ? [PARENT] : child === 'rsipc' ? [BOTH] : [PARENT, BOTH]) {
      await t.test(`as ${pairing.name}`, () => play(pairing, scenario));
    }
  });
}

module.exports = { parity, beyond };
