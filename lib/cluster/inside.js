'use strict';
// Preloaded into a cluster's worker, whose program and whose cluster stay Node's: what Node's protocol does not have.
//
// It takes a claim on each connection before Node uses it, so that the primary can give to another worker what this one
// was too busy to take. It says how many connections there are, or how busy the loop is, when the primary chooses by
// that. And it lets connections go in good order before the worker is replaced: a kept-alive one with its next answer.

const { execArgv } = process;
const own = execArgv.indexOf(__filename);
if (own > 0) execArgv.splice(own - 1, 2); // what the program's own children and threads get
delete require.cache[__filename];

const REPORT_EVERY = 1; // ms, at most
const LOOK_EVERY = 100; // ms, at how busy the loop is

const wanted = process.env.RSIPC_CLUSTER;
delete process.env.RSIPC_CLUSTER;
// A thread that is a worker has its own beginning; one that a worker has started is none.
const isWorker = process.env.RSIPC_THREAD !== undefined || require('node:worker_threads').isMainThread;
if (wanted !== undefined && process.send !== undefined && isWorker) begin();

function begin() {
  // Below `send`, which a program may replace, and which rsipc does replace where the program loads it.
  const send = (message) => {
    if (process.connected) process._send(message, undefined, { swallowErrors: true });
  };
  const tell = (act, fields) => send({ cmd: 'NODE_RSIPC_CLUSTER', act, ...fields });
  const connections = { open: 0, changed: () => {} };
  let drained; // called with the last connection

  const channels = require('node:diagnostics_channel');
  channels.subscribe('net.server.socket', ({ socket }) => {
    connections.open++;
    connections.changed();
    socket.once('close', () => {
      connections.open--;
      connections.changed();
      if (connections.open === 0) drained?.();
    });
  });

  const { takeClaim, Intake } = additions();
  const direct = directly(Intake, channels, tell);
  process.prependListener('internalMessage', (message, handle) => {
    if (message.cmd === 'NODE_CLUSTER' && message.act === 'newconn') {
      direct?.see(message.key, handle);
      if (takeClaim !== undefined && handle?.fd >= 0 && !takeClaim(handle.fd, message.seq)) {
        // Another worker has it. Node's cluster is not to see it.
        message.act = 'withdrawn';
        handle.close();
        send({ cmd: 'NODE_CLUSTER', ack: message.seq, accepted: false, seq: 0 });
      }
    } else if (message.cmd === 'NODE_RSIPC_CLUSTER' && message.act === 'intake') {
      direct?.open(handle);
      handle?.close();
    } else if (message.cmd === 'NODE_RSIPC_CLUSTER' && message.act === 'drain' && drained === undefined) {
      drained = () => tell('drained');
      channels.subscribe('http.server.request.start', ({ response }) => {
        response.shouldKeepAlive = false;
      });
      if (connections.open === 0) drained();
    }
  });
  tell('here', { claims: takeClaim !== undefined });
  if (wanted === 'connections') reportConnections(connections, tell);
  else if (wanted === 'load') reportLoad(tell);
}

// The native functions, where they can be had: a program that never asked for the addon is not to hear of that.
function additions() {
  if (process.platform !== 'linux') return {};
  try {
    return require('../native.js');
  } catch {
    return {};
  }
}

// Connections that come beside the channel, without a message for each. The first of a server's comes as Node brings it,
// and shows which server has that key; the primary is told, and further ones are given to that server as Node's cluster
// would. A server that is closed takes none, and the next one with its key begins anew.
function directly(Intake, channels, tell) {
  if (Intake === undefined) return undefined;
  const { closeFd } = require('../native.js');
  const places = []; // { server, handle, Wrap }
  const known = new WeakSet(); // handles of servers that have a place
  let asked = false;
  let intake;
  let seen; // what Node's cluster is about to use

  channels.subscribe('net.server.socket', ({ socket }) => {
    if (seen === undefined || socket._handle !== seen.handle) return;
    const { key, handle: { constructor: Wrap } } = seen;
    seen = undefined;
    const { server } = socket;
    const handle = server?._handle;
    if (typeof handle?.onconnection !== 'function' || known.has(handle)) return;
    known.add(handle);
    places.forEach((place, at) => { if (place !== undefined && place.server._handle !== place.handle) places[at] = undefined; });
    tell('direct', { key, place: places.push({ server, handle, Wrap }) - 1 });
  });

  // Whether Node's cluster would take a connection for this server.
  const takes = ({ server, handle }) => server._handle === handle &&
    !(server.maxConnections != null && server._connections >= server.maxConnections && !server.dropMaxConnection);

  function next() {
    const place = places[intake.place()];
    if (place === undefined || !takes(place)) {
      intake.refuse();
      return;
    }
    const fd = intake.adopt();
    if (fd < 0) return; // another worker has it
    const connection = new place.Wrap(0); // a socket's, not a server's
    if (connection.open(fd) === 0) place.handle.onconnection(0, connection);
    else closeFd(fd);
  }

  return {
    see(key, handle) {
      if (!asked) tell('intake'); // one that gets no connections may disconnect at any time, and then takes no descriptor
      asked = true;
      seen = intake === undefined || handle === undefined ? undefined : { key, handle };
    },
    open(handle) {
      if (intake !== undefined || !(handle?.fd >= 0)) return;
      try {
        intake = Intake.open(handle.fd, process.channel?.fd ?? -1, (count) => {
          for (; count > 0; count--) next();
        });
      } catch {
        // Then they come as Node brings them.
      }
    },
  };
}

function reportConnections(connections, tell) {
  let timer = null;
  let reported = 0;
  connections.changed = () => {
    // The primary counts those that it gives: it needs to hear of those that end.
    if (timer !== null || connections.open >= reported) {
      reported = Math.max(reported, connections.open);
      return;
    }
    timer = setTimeout(() => {
      timer = null;
      reported = connections.open;
      tell('load', { load: reported });
    }, REPORT_EVERY).unref();
  };
}

function reportLoad(tell) {
  const { performance } = require('node:perf_hooks');
  let before = performance.eventLoopUtilization();
  let reported = 0;
  setInterval(() => {
    const now = performance.eventLoopUtilization();
    const load = Math.round(100 * performance.eventLoopUtilization(now, before).utilization);
    before = now;
    if (Math.abs(load - reported) < 5) return;
    reported = load;
    tell('load', { load });
  }, LOOK_EVERY).unref();
}
