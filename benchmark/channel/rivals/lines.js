'use strict';

// What a careful program writes by hand: JSON texts in lines over a UNIX socket. What is sent within a tick is written
// at once, in pieces of 64 KiB; `send` tells when the socket is full; lines are cut with indexOf.

const childProcess = require('node:child_process');
const { EventEmitter } = require('node:events');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { begin, end, next, pin } = require('../../fork/peer.js');

const CHILD = path.join(__dirname, '..', 'child.js');
const PIECE = 64 * 1024;

class Lines extends EventEmitter {
  constructor(socket) {
    super();
    this.socket = socket;
    this.text = '';
    this.callbacks = [];
    this.scheduled = false;
    this.rest = '';
    this.flush = this.flush.bind(this);
    socket.setEncoding('utf8');
    socket.on('data', (chunk) => this.receive(chunk));
    socket.on('error', (error) => { throw error; });
  }

  send(message, callback) {
    this.text += `${JSON.stringify(message)}\n`;
    if (callback) this.callbacks.push(callback);
    if (this.text.length >= PIECE) this.flush();
    else if (!this.scheduled) {
      this.scheduled = true;
      process.nextTick(this.flush);
    }
    return !this.socket.writableNeedDrain;
  }

  flush() {
    this.scheduled = false;
    if (this.text === '') return;
    const { text, callbacks } = this;
    this.text = '';
    this.callbacks = [];
    this.socket.write(text, callbacks.length === 0 ? undefined : (error) => callbacks.forEach((callback) => callback(error)));
  }

  receive(chunk) {
    let from = 0;
    for (let at = chunk.indexOf('\n'); at !== -1; at = chunk.indexOf('\n', from)) {
      // The rest is joined once it is complete, so that a long line is not copied with every chunk.
      const line = this.rest + chunk.slice(from, at);
      this.rest = '';
      from = at + 1;
      this.emit('message', JSON.parse(line));
    }
    this.rest += chunk.slice(from);
  }
}

let opened = 0;

function contender({ childCpu }) {
  return {
    async start([role, kindName], options) {
      const address = path.join(os.tmpdir(), `rsipc-bench-${process.pid}-${++opened}.sock`);
      const server = net.createServer();
      await new Promise((resolve) => server.listen(address, resolve));
      const accepted = new Promise((resolve) => server.once('connection', resolve));
      const child = begin(childProcess.fork, CHILD, [path.basename(__filename), role, kindName, address], options);
      const lines = new Lines(await accepted);
      server.close(); // which removes the address
      await next(lines);
      pin(child.pid, childCpu);
      return Object.assign(lines, { child, stdin: child.stdin });
    },
    end({ socket, child }) {
      socket.end();
      return end(child);
    },
  };
}

/** The child's end. */
function join(address) {
  return new Lines(net.connect(address));
}

module.exports = { contender, join };
