'use strict';
// Hostile peers: programs that are no Node and hold the child's end of a live rsipc channel.
//
// `hostile()` starts peer.py, which does exactly as told. `replay()` has the system's own `head` and
// `cat` write a file to the channel, for cases that need no descriptors and many processes.

const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const readline = require('node:readline');
const rsipc = require('../../index.js');

const PYTHON = process.env.PYTHON ?? 'python3';
const base64 = (data) => Buffer.from(data).toString('base64');

const living = new Set();

// What a parent sees of a child, in order.
function record(child) {
  const seen = { messages: [], handles: [], errors: [], problems: [], timeouts: [], events: [] };
  child.on('message', (message, handle) => {
    seen.messages.push(message);
    seen.events.push('message');
    if (handle === undefined) return;
    seen.handles.push(handle);
    // As a careful program does: a connection from elsewhere may be broken already.
    if (typeof handle.on === 'function') handle.on('error', () => {});
  });
  child.on('protocolError', (error) => {
    seen.errors.push(error);
    seen.events.push(error.code);
  });
  child.on('handleProblem', (problem) => seen.problems.push(problem));
  child.on('handleTimeout', (timeout) => seen.timeouts.push(timeout));
  child.on('disconnect', () => seen.events.push('disconnect'));
  child.on('exit', () => seen.events.push('exit'));
  child.on('close', () => seen.events.push('close'));
  return seen;
}

function release(handle) {
  if (typeof handle.destroy === 'function') handle.destroy();
  else handle.close();
}

class Hostile {
  #answers = [];
  #silent;

  constructor(options = {}) {
    const { record: recorded = true, ...rest } = options;
    this.child = rsipc.spawn(PYTHON, ['-I', '-S', '-B', path.join(__dirname, 'peer.py')], { stdio: ['pipe', 'pipe', 'inherit', 'ipc'], ...rest });
    living.add(this);
    this.child.stdin.on('error', () => {}); // it may be dead before we are done talking
    if (recorded) Object.assign(this, record(this.child));
    this.closed = once(this.child, 'close');
    this.#silent = once(this.child.stdout, 'close');
    const lines = readline.createInterface({ input: this.child.stdout });
    lines.on('line', (line) => this.#answers.shift()?.resolve(JSON.parse(line)));
    lines.on('close', () => {
      for (const waiting of this.#answers.splice(0)) waiting.resolve({ gone: true });
    });
  }

  // Has the peer run one command; resolves with its answer.
  do(op, fields = {}) {
    return new Promise((resolve) => {
      if (this.child.stdout.destroyed || this.child.stdout.readableEnded) return resolve({ gone: true });
      this.#answers.push({ resolve });
      this.child.stdin.write(`${JSON.stringify({ op, ...fields })}\n`);
    });
  }

  send(data, fields = {}) {
    return this.do('send', { data: base64(data), ...fields });
  }

  parts(parts) {
    return this.do('parts', { parts: parts.map(base64) });
  }

  async received() {
    const answer = await this.do('received');
    return { ...answer, data: Buffer.from(answer.data ?? '', 'base64') };
  }

  // The same without the bytes.
  counted() {
    return this.do('counted');
  }

  // Ends the peer and everything it left with us.
  async end() {
    this.child.stdin.end();
    await this.#silent;
    // One of them may be the channel itself, which ends with its last holder.
    for (const handle of this.handles?.splice(0) ?? []) release(handle);
    await this.closed;
    living.delete(this);
  }
}

// Ends the peers that a failed test has left, so that its failure stays its own.
async function endAll() {
  for (const peer of living) {
    peer.child.kill('SIGKILL');
    await peer.end();
  }
}

// Starts a hostile peer; `options` are those of rsipc's `spawn`.
function hostile(options) {
  return new Hostile(options);
}

// Writes `bytes`, or its first `length`, to a fresh channel and ends.
async function replay(file, length, options = {}) {
  const [program, args] = length === undefined ? ['cat', [file]] : ['head', ['-c', String(length), file]];
  const child = rsipc.spawn(program, args, { stdio: ['ignore', 'ipc', 'inherit'], ...options });
  const seen = record(child);
  await once(child, 'close');
  return seen;
}

let files = 0;

// A temporary file with these bytes, gone when the process ends.
function file(bytes) {
  const name = path.join(os.tmpdir(), `rsipc-hostile-${process.pid}-${files++}`);
  fs.writeFileSync(name, bytes);
  process.once('exit', () => fs.rmSync(name, { force: true }));
  return name;
}

module.exports = { hostile, endAll, replay, record, release, file };
