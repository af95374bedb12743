'use strict';
// Endpoints to try things at, each in a directory of its own that goes with the test.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

let counter = 0;

function directory(t) {
  const made = fs.mkdtempSync(path.join(os.tmpdir(), `rsipc-test-${process.pid}-`));
  t.after(() => fs.rmSync(made, { recursive: true, force: true }));
  return made;
}

// Endpoints by their scheme; each is a function of the test that answers one nobody has.
const PLACES = {
  'unix:': (t) => `unix:${path.join(directory(t), 's')}`,
  'rsipc:': () => `rsipc:test.${process.pid}.${++counter}`,
  'tcp:': () => 'tcp://127.0.0.1:0',
};

// A value of each codec, and how it is told apart.
const CODECS = {
  json: { make: (number) => ({ number, text: 'é\u2028 "\\' }), number: (message) => message.number },
  v8: { make: (number) => ({ number, map: new Map([[number, 1n]]) }), number: (message) => message.number },
  raw: { make: (number) => Buffer.from(String(number)), number: (message) => Number(message.toString()) },
  lines: { make: (number) => ({ number, text: 'é' }), number: (message) => message.number },
  lsp: { make: (number) => ({ number, text: 'é' }), number: (message) => message.number },
};

// A server and a client of it, closed with the test.
async function pair(t, { place = 'unix:', server: serverOptions = {}, client: clientOptions = {}, ...both } = {}) {
  const { serve, connect } = require('../../index.js');
  const server = await serve(PLACES[place](t), { ...both, ...serverOptions });
  t.after(() => server.close({ timeout: 1_000 }));
  const accepted = new Promise((resolve) => server.once('connection', resolve));
  const client = await connect(server.address(), { ...both, ...clientOptions });
  t.after(() => client.destroy());
  return { server, client, accepted: await accepted, endpoint: server.address() };
}

module.exports = { PLACES, CODECS, pair, directory };
