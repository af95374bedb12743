'use strict';
// `fifo:/path`: a named pipe. Who serves reads lines of JSON, from any number of writers and any program; who connects
// writes them.
//
// Both open it for reading and writing: then opening waits for nobody, and a pipe whose last writer has gone has not
// ended. A write of up to 4096 bytes enters the pipe whole, so lines are written one stretch of whole lines at a time.

const { execFile } = require('node:child_process');
const fs = require('node:fs');
const net = require('node:net');
const { Readable, Writable } = require('node:stream');
const { promisify } = require('node:util');
const { node, rsipc } = require('../errors.js');
const { rejected } = require('./rejected.js');
const text = require('./text.js');
const { StreamEnd } = require('./stream-end.js');
const { pathOf, distrust } = require('./media.js');

const { O_RDWR, O_NONBLOCK, O_NOFOLLOW } = fs.constants;
const ATOMIC = 4_096; // PIPE_BUF
const LINE_FEED = 10;

function shape(endpoint, options, check, role) {
  const settings = check({ ...options, codec: options.codec ?? 'lines' });
  if (settings.codec !== 'lines') throw node.invalidValue('options.codec', settings.codec, 'must be \'lines\' for a fifo:, which has nobody who could answer a hello');
  if (settings.jsonRpc) throw node.invalidValue('options.jsonRpc', true, 'needs both directions; messages of a fifo: go one way');
  const request = (link) => {
    throw rsipc.noRequests(link.who());
  };
  settings.form = { ...text, request };
  if (role === 'serve') {
    settings.form.message = (link) => rejected(rsipc.oneWay(link.who()));
    settings.form.encode = () => {
      throw rsipc.oneWay(endpoint);
    };
  }
  return settings;
}

// A socket over the pipe at an endpoint.
function open(endpoint, { allow }, readable) {
  let fd;
  try {
    fd = fs.openSync(pathOf(endpoint), O_RDWR | O_NONBLOCK | O_NOFOLLOW);
  } catch (error) {
    // A socket, a directory, a link, a device without a driver: nothing that is opened like a pipe.
    if (['ELOOP', 'EISDIR', 'ENXIO', 'ENODEV'].includes(error.code)) throw rsipc.untrusted(endpoint, 'is no named pipe');
    throw error;
  }
  try {
    const stat = fs.fstatSync(fd);
    const why = stat.isFIFO() ? distrust(stat, allow) : 'is no named pipe';
    if (why !== null) throw rsipc.untrusted(endpoint, why);
    return new net.Socket({ fd, readable, writable: !readable });
  } catch (error) {
    fs.closeSync(fd);
    throw error;
  }
}

// Where a stretch of whole lines ends, of 4096 bytes at most unless the first line is longer.
function stretch(bytes, from) {
  if (bytes.length - from <= ATOMIC) return bytes.length;
  const last = bytes.lastIndexOf(LINE_FEED, from + ATOMIC - 1);
  if (last >= from) return last + 1;
  const next = bytes.indexOf(LINE_FEED, from + ATOMIC);
  return next === -1 ? bytes.length : next + 1;
}

function writer(socket) {
  const made = new Writable({
    write(bytes, encoding, done) {
      const next = (from) => (error) => {
        if (error || from === bytes.length) {
          done(error);
          return;
        }
        const end = stretch(bytes, from);
        socket.write(bytes.subarray(from, end), next(end));
      };
      next(0)(null);
    },
    destroy(error, done) {
      socket.destroy();
      done(error);
    },
  });
  socket.on('error', (error) => made.destroy(error));
  made.on('error', () => {}); // whoever has the end is told by 'close'
  made.ref = () => socket.ref();
  made.unref = () => socket.unref();
  return made;
}

// One half is a stream that says nothing. `gone` is called when the end has been closed.
class FifoEnd extends StreamEnd {
  #halves;
  #gone;

  constructor(readable, writable, settings, gone) {
    super(readable, writable, settings.native);
    this.#halves = [readable, writable];
    this.#gone = gone;
  }

  // Nobody reads on from a pipe to let a writer go.
  close() {
    super.close();
    for (const half of this.#halves) half.destroy();
    const gone = this.#gone;
    this.#gone = null;
    gone?.();
  }
}

// One connection at a time: writers cannot be told apart. When a line that is none has ended it, another takes over.
class FifoListener {
  #settings;
  #problem;
  #end = null;
  #found = null;

  constructor(endpoint, settings, problem) {
    this.address = endpoint;
    this.#settings = settings;
    this.#problem = problem;
    this.#take();
  }

  #take() {
    const socket = open(this.address, this.#settings, true);
    this.#end = new FifoEnd(socket, new Writable({ write: (chunk, encoding, done) => done() }), this.#settings, () => setImmediate(() => this.#again()));
  }

  #again() {
    if (this.#found === null) return;
    try {
      this.#take();
      this.#found();
    } catch (error) {
      this.#problem(error);
    }
  }

  open(found) {
    this.#found = found;
    setImmediate(found); // when the server's user can listen for it
  }

  accept() {
    const end = this.#end;
    this.#end = null;
    return end;
  }

  pause() {
    return 0;
  }

  resume() {}

  setRef() {} // the connection's

  close() {
    this.#found = null;
    this.#end?.close();
    this.#end = null;
  }
}

async function bind(endpoint, settings, problem) {
  const path = pathOf(endpoint);
  if (!fs.existsSync(path)) {
    // Node makes no named pipes. That of a neighbour who was faster will do as well.
    await promisify(execFile)('mkfifo', ['-m', '0600', '--', path]).catch((error) => {
      if (!fs.existsSync(path)) throw rsipc.protocol('ERR_RSIPC_SYSTEM', `${endpoint}: mkfifo: ${String(error.stderr || error.message).trim()}`);
    });
  }
  return new FifoListener(endpoint, settings, problem);
}

const dialer = (endpoint, settings) => ({
  endpoint,
  open: async () => new FifoEnd(new Readable({ read() {} }), writer(open(endpoint, settings, false)), settings),
});

module.exports = { shape, bind, dialer };
