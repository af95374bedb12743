'use strict';

// rsipc: `serve` here, `connect` in the other process. Buffers travel with codec 'raw', everything else with 'json'.

const childProcess = require('node:child_process');
const { EventEmitter, once } = require('node:events');
const os = require('node:os');
const path = require('node:path');
const { KINDS } = require('../../channel/payload.js');
const { begin, end, next, pin } = require('../../fork/peer.js');

const CHILD = path.join(__dirname, '../../channel/child.js');

/** From this size on a message is a Buffer of the scenario, and not a report. */
const LARGE = 4_096;
const codecOf = ({ size }) => (size >= LARGE ? 'raw' : 'json');

async function tell(room, callback) {
  await room;
  callback(null);
}

/** A connection whose `send` answers and calls back as that of a channel does. */
class Json {
  constructor(connection) {
    this.connection = connection;
    this.mark = 128 * 1024;
  }

  send(message, more) {
    if (typeof more === 'object') return this.connection.send(message, more); // a handle
    const room = this.connection.send(message);
    if (more) tell(room, more);
    return this.connection.queued <= this.mark;
  }

  on(name, listener) {
    this.connection.on(name, listener);
    return this;
  }

  once(name, listener) {
    this.connection.once(name, listener);
    return this;
  }

  removeListener(name, listener) {
    this.connection.removeListener(name, listener);
    return this;
  }
}

class Raw extends EventEmitter {
  constructor(connection) {
    super();
    this.connection = connection;
    connection.on('message', (bytes) => this.emit('message', bytes.length >= LARGE ? bytes : JSON.parse(bytes)));
  }

  send(message, callback) {
    const room = this.connection.send(Buffer.isBuffer(message) ? message : Buffer.from(JSON.stringify(message)));
    if (callback) tell(room, callback);
    return this.connection.queued <= 128 * 1024;
  }
}

const around = (connection, kind) => new (codecOf(kind) === 'raw' ? Raw : Json)(connection);

let opened = 0;
const place = () => `unix:${path.join(os.tmpdir(), `rsipc-bench-${process.pid}-${++opened}.sock`)}`;

function contender({ childCpu, moduleName, options: { release, ...ours } = {} }) {
  const rsipc = require(moduleName);
  return {
    async start([role, kindName], options) {
      const endpoint = place();
      const server = await rsipc.serve(endpoint, { codec: codecOf(KINDS[kindName]), ...ours });
      const accepted = new Promise((resolve) => server.once('connection', resolve));
      const child = begin(childProcess.fork, CHILD, [path.relative(path.join(CHILD, '../rivals'), __filename), role, kindName, `${moduleName}\n${endpoint}`], options);
      const link = around(await accepted, KINDS[kindName]);
      await next(link);
      pin(child.pid, childCpu);
      // By view, a program may say when it has done with a Buffer instead of leaving that to the garbage collector.
      if (release) link.release = rsipc.release;
      return Object.assign(link, { child, server });
    },
    /** One server for several children, which sends to all of them with one call. */
    async group(count, [role, kindName], options) {
      const endpoint = place();
      const server = await rsipc.serve(endpoint);
      const children = [];
      while (children.length < count) {
        const child = begin(childProcess.fork, CHILD, [path.relative(path.join(CHILD, '../rivals'), __filename), role, kindName, `${moduleName}\n${endpoint}`], options);
        const [connection] = await once(server, 'connection');
        const link = new Json(connection);
        await next(link);
        pin(child.pid, childCpu);
        children.push(Object.assign(link, { child }));
      }
      return {
        children,
        /** Answers null while there is room, or what to await. */
        publish(message) {
          server.broadcast(message);
          const full = children.filter(({ connection }) => connection.queued > 128 * 1024);
          return full.length === 0 ? null : Promise.all(full.map(({ connection }) => connection.ready()));
        },
        async end() {
          const gone = children.map(({ child }) => end(child));
          await Promise.all([server.close(), ...gone]);
        },
      };
    },
    /** A server for clients that do nothing. */
    async hold(count, file) {
      const server = await rsipc.serve(`unix:${file}`, { maxConnections: count });
      server.on('connection', (connection) => connection.on('message', () => {}));
      return { count: () => server.connections.size };
    },
    async end({ server, child }) {
      const gone = end(child);
      await Promise.all([server.close(), gone]);
    },
  };
}

/** The child's end. What it sends before there is a connection waits for it. */
function join(place, kind) {
  const [moduleName, endpoint] = place.split('\n');
  const { connect } = require(moduleName);
  const later = new EventEmitter();
  const early = [];
  const opening = connect(endpoint, { codec: codecOf(kind) });
  later.send = (...args) => early.push(args);
  opening.then((connection) => {
    const link = around(connection, kind);
    link.on('message', (message, handle) => later.emit('message', message, handle));
    later.send = (message, callback) => link.send(message, callback);
    for (const args of early) link.send(...args);
  });
  return later;
}

module.exports = { contender, join };
