'use strict';

// ioredis, publish and subscribe, through a redis-server of its own on a UNIX socket. What is sent in a tick leaves in one
// pipeline, as ioredis has it with `enableAutoPipelining`; a publisher that is ahead waits for the answers.

const childProcess = require('node:child_process');
const { EventEmitter, once } = require('node:events');
const { mkdtempSync, rmSync } = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { setTimeout: sleep } = require('node:timers/promises');
const { begin, end, next, pin } = require('../../fork/peer.js');

const Redis = require(path.join(__dirname, '../../../.cache/server-rivals/node_modules/ioredis'));

const CHILD = path.join(__dirname, '../../channel/child.js');
const ALL = 'all';
const AHEAD = 8_192; // publications that have no answer yet

const client = (socket) => new Redis({ path: socket, enableAutoPipelining: true });

async function startServer() {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'rsipc-bench-redis-'));
  const socket = path.join(folder, 's');
  const options = ['--port', '0', '--unixsocket', socket, '--save', '', '--appendonly', 'no', '--daemonize', 'no', '--dir', folder, '--client-output-buffer-limit', 'pubsub 0 0 0'];
  const server = childProcess.spawn('redis-server', options, { stdio: 'ignore' });
  process.on('exit', () => {
    server.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });
  // It is nobody's sender or receiver: any core is its own.
  if (os.cpus().length > 1) pin(server.pid, `0-${os.cpus().length - 1}`);
  for (let tries = 0; ; tries++) {
    const probe = new Redis({ path: socket, lazyConnect: true, retryStrategy: null });
    probe.on('error', () => {});
    try {
      await probe.connect();
      probe.disconnect();
      return { socket, server };
    } catch (error) {
      if (tries === 200) throw error;
      await sleep(20);
    }
  }
}

function contender({ childCpu }) {
  return {
    async group(count, [role, kindName], options) {
      const { socket, server } = await startServer();
      const publisher = client(socket);
      const subscriber = client(socket);
      const links = new Map();
      subscriber.on('message', (channel, text) => links.get(channel).emit('message', JSON.parse(text)));
      const children = [];
      while (children.length < count) {
        const name = String(children.length);
        const link = new EventEmitter();
        link.send = (message) => publisher.publish(`to ${name}`, JSON.stringify(message));
        links.set(`from ${name}`, link);
        await subscriber.subscribe(`from ${name}`);
        const child = begin(childProcess.fork, CHILD, [path.relative(path.join(CHILD, '../rivals'), __filename), role, kindName, `${name}\n${socket}`], options);
        await next(link);
        pin(child.pid, childCpu);
        children.push(Object.assign(link, { child }));
      }
      let ahead = 0;
      return {
        children,
        publish(message) {
          ahead++;
          const answered = publisher.publish(ALL, JSON.stringify(message)).then(() => ahead--);
          return ahead < AHEAD ? null : answered;
        },
        async end() {
          await Promise.all(children.map(({ child }) => end(child)));
          publisher.disconnect();
          subscriber.disconnect();
          server.kill();
          await once(server, 'exit');
        },
      };
    },
  };
}

/** The child's end. */
function join(place) {
  const [name, socket] = place.split('\n');
  const link = new EventEmitter();
  const publisher = client(socket);
  const subscriber = client(socket);
  const ready = subscriber.subscribe(ALL, `to ${name}`);
  subscriber.on('message', (_, text) => link.emit('message', JSON.parse(text)));
  link.send = (message) => ready.then(() => publisher.publish(`from ${name}`, JSON.stringify(message)));
  process.on('disconnect', () => process.exit());
  return link;
}

module.exports = { contender, join };
