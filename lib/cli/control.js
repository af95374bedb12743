'use strict';
// The control socket of a run: one request of one line, one answer of one line.
//
// The socket is its lock as well: who listens there has the name, and the kernel takes that away with the process. What a
// killed one has left refuses connections, and is removed under a lock of all runs, so that two that find it at the same
// time do not remove each other's. The directory and the socket are this user's alone.

const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { rsipc } = require('../errors.js');
const { names, socketOf } = require('./places.js');

const LONGEST_REQUEST = 4_096;
const LONGEST_ANSWER = 4 * 1024 * 1024;
const MOST_AT_ONCE = 32;
const PATIENCE = 5_000; // with a request that does not come, and with the lock

// Calls `take` with the first line that comes, or with undefined when there is none.
function firstLine(socket, longest, take) {
  let text = '';
  let done = false;
  const settle = (line) => {
    if (done) return;
    done = true;
    take(line);
  };
  socket.setEncoding('utf8');
  socket.on('data', (piece) => {
    if (done) return;
    text += piece;
    const end = text.indexOf('\n');
    if (end !== -1) settle(text.slice(0, end));
    else if (text.length > longest) settle(undefined);
  });
  socket.on('close', () => settle(undefined));
}

// `answers`: a function for each request, which answers what is sent back, or throws.
function serve(answers) {
  const server = net.createServer((socket) => {
    socket.on('error', () => {}); // the asker is gone
    socket.setTimeout(PATIENCE, () => socket.destroy());
    firstLine(socket, LONGEST_REQUEST, async (line) => {
      if (line === undefined) {
        socket.destroy();
        return;
      }
      socket.setTimeout(0);
      let answer;
      try {
        const request = JSON.parse(line);
        const does = request?.does;
        if (typeof does !== 'string' || !Object.hasOwn(answers, does)) throw new Error(`there is no request ${JSON.stringify(does)}`);
        answer = { ok: (await answers[does](request)) ?? null };
      } catch (error) {
        answer = { error: { message: error.message, code: error.code } };
      }
      // Who has asked and neither reads nor goes must not keep this process.
      socket.setTimeout(PATIENCE);
      socket.end(`${JSON.stringify(answer)}\n`, () => socket.destroy());
    });
  });
  server.maxConnections = MOST_AT_ONCE;
  return server;
}

function listen(server, file) {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(file, () => {
      server.removeListener('error', reject);
      fs.chmodSync(file, 0o600);
      resolve();
    });
  });
}

// Whether somebody listens. One that is stopped, or has no room for another connection, does.
function alive(file) {
  return new Promise((resolve) => {
    const socket = net.connect(file);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', ({ code }) => resolve(code !== 'ECONNREFUSED' && code !== 'ENOENT'));
  });
}

async function locked(use) {
  const { Mutex } = require('../shared/index.js');
  const mutex = Mutex.openOrCreate({ name: 'rsipc.run' });
  try {
    return await mutex.with(use, { timeout: PATIENCE });
  } finally {
    mutex.close();
  }
}

// Takes a name, and answers the server that has it; closing it gives the name back.
function claim(name, answers) {
  const file = socketOf(name);
  fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  return locked(async () => {
    if (await alive(file)) {
      throw rsipc.shared('ERR_RSIPC_NAME_TAKEN', name, `it runs already; \`rsipc ps\` shows it, \`rsipc stop ${name}\` ends it, --name gives this one another name`);
    }
    fs.rmSync(file, { force: true });
    const server = serve(answers);
    await listen(server, file);
    return server;
  });
}

// The sockets that killed runs have left.
async function left() {
  const files = [];
  for (const file of names().map(socketOf)) if (fs.existsSync(file) && !await alive(file)) files.push(file);
  return files;
}

// Removes what killed runs have left, and answers how many that were.
async function sweep() {
  if (names().length === 0) return 0;
  return locked(async () => {
    const files = await left();
    for (const file of files) fs.rmSync(file, { force: true });
    return files.length;
  });
}

// Asks the run of that name. Without `timeout` the answer may take as long as it takes.
function ask(name, request, { timeout = 0 } = {}) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(socketOf(name));
    socket.setTimeout(timeout, () => {
      reject(rsipc.timeout(`The run ${name}`, timeout));
      socket.destroy();
    });
    const gone = () => reject(rsipc.shared('ERR_RSIPC_NOT_FOUND', name, 'nothing of that name runs; `rsipc ps` shows what does'));
    let connected = false;
    socket.once('connect', () => {
      connected = true;
      socket.write(`${JSON.stringify(request)}\n`);
    });
    socket.on('error', (error) => {
      if (connected) return; // the end of it is told by 'close'
      if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') gone();
      else reject(error);
    });
    firstLine(socket, LONGEST_ANSWER, (line) => {
      socket.destroy();
      if (!connected) return;
      if (line === undefined) {
        reject(rsipc.shared('ERR_RSIPC_PEER_GONE', name, 'it ended before it had answered'));
        return;
      }
      const { ok, error } = JSON.parse(line);
      if (error === undefined) resolve(ok);
      else reject(Object.assign(new Error(error.message), error.code !== undefined && { code: error.code }));
    });
  });
}

module.exports = { claim, left, sweep, ask };
