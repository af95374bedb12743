'use strict';
// rsipc/register: a program and every library in it get rsipc where they ask for child_process.

const assert = require('node:assert');
const { execFile } = require('node:child_process');
const { test } = require('node:test');
const { pathToFileURL } = require('node:url');
const { fixture, environment, REGISTER } = require('../helpers/modules.js');
const { leavesNothing } = require('../helpers/leavings.js');

leavesNothing();

const run = (args, extra) => new Promise((resolve, reject) => {
  execFile(process.execPath, [...args, fixture('lifecycle/registered')], { env: environment(false, extra) }, (error, stdout) => (error ? reject(error) : resolve(JSON.parse(stdout))));
});

test('without it both ends are Node\'s', async () => {
  assert.deepStrictEqual(await run([]), { parent: false, child: false });
});

test('-r makes both ends rsipc\'s: a child inherits execArgv', async () => {
  assert.deepStrictEqual(await run(['-r', REGISTER]), { parent: true, child: true });
});

test('--import makes both ends rsipc\'s', async () => {
  assert.deepStrictEqual(await run(['--import', pathToFileURL(REGISTER).href]), { parent: true, child: true });
});

test('NODE_OPTIONS makes both ends rsipc\'s', async () => {
  assert.deepStrictEqual(await run([], { NODE_OPTIONS: `--require=${JSON.stringify(REGISTER)}` }), { parent: true, child: true });
});

test('RSIPC_DISABLE=1 turns it off', async () => {
  assert.deepStrictEqual(await run(['-r', REGISTER], { RSIPC_DISABLE: '1' }), { parent: false, child: false });
});
