'use strict';

// What a careful program writes by hand for Buffers: four bytes of length and the bytes, over a UNIX socket. A message is
// copied once to be sent, since the socket may write it later, and once as it arrives.

const childProcess = require('node:child_process');
const { EventEmitter } = require('node:events');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { begin, end, next, pin } = require('../../fork/peer.js');

const CHILD = path.join(__dirname, '../../channel/child.js');
const LARGE = 4_096;

class Frames extends EventEmitter {
  constructor(socket) {
    super();
    this.socket = socket;
    this.head = Buffer.alloc(4);
    this.have = 0; // bytes of the head, or of the body
    this.body = null;
    socket.on('data', (chunk) => this.receive(chunk));
    socket.on('error', (error) => { throw error; });
  }

  send(message, callback) {
    const bytes = Buffer.isBuffer(message) ? message : Buffer.from(JSON.stringify(message));
    const frame = Buffer.allocUnsafe(4 + bytes.length);
    frame.writeUInt32LE(bytes.length);
    bytes.copy(frame, 4);
    this.socket.write(frame, callback);
    return !this.socket.writableNeedDrain;
  }

  receive(chunk) {
    for (let at = 0; at < chunk.length;) {
      if (this.body === null) {
        const taken = chunk.copy(this.head, this.have, at, at + 4 - this.have);
        at += taken;
        this.have += taken;
        if (this.have < 4) return;
        this.body = Buffer.allocUnsafe(this.head.readUInt32LE());
        this.have = 0;
      }
      const taken = chunk.copy(this.body, this.have, at);
      at += taken;
      this.have += taken;
      if (this.have < this.body.length) return;
      const { body } = this;
      this.body = null;
      this.have = 0;
      this.emit('message', body.length >= LARGE ? body : JSON.parse(body));
    }
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
      const child = begin(childProcess.fork, CHILD, [path.relative(path.join(CHILD, '../rivals'), __filename), role, kindName, address], options);
      const frames = new Frames(await accepted);
      server.close();
      await next(frames);
      pin(child.pid, childCpu);
      return Object.assign(frames, { child });
    },
    end({ socket, child }) {
      socket.end();
      return end(child);
    },
  };
}

/** The child's end. */
function join(address) {
  return new Frames(net.connect(address));
}

module.exports = { contender, join };
