'use strict';
// Preloaded into the workers of `rsipc run`: tells the primary once a second how the worker is, and when it is to go,
// lets it part from its HTTP clients.
//
// It leaves what a program can see of its process as it would be without it, and keeps no process alive. What it sends
// and gets stands among the messages of Node's cluster, which reach no listener of a program.

const { execArgv } = process;
const own = execArgv.indexOf(__filename);
if (own > 0) execArgv.splice(own - 1, 2); // what the program's own children and threads get
delete require.cache[__filename];

const EVERY = 1000;
const LOOK = 50; // how often a worker that is to go looks whether all have gone, in ms
const RESOLUTION = 20; // how often the loop is asked whether it comes round, in ms
const MILLION = 1e6;

if (process.connected && require('node:worker_threads').isMainThread) watch();

function watch() {
  const { channel } = require('node:diagnostics_channel');
  const { monitorEventLoopDelay, performance } = require('node:perf_hooks');
  const { memoryUsage } = process;
  const servers = new Set();
  let requests = 0;
  let leaving = false;

  channel('http.server.request.start').subscribe(({ response }) => {
    requests++;
    // A client that is told so does not send the next request into a connection that is being closed.
    if (leaving) response.shouldKeepAlive = false;
  });
  channel('http2.server.stream.start').subscribe(() => requests++); // of later versions of Node
  channel('net.server.socket').subscribe(({ socket }) => {
    if (socket?.server != null) servers.add(socket.server);
  });
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION });
  delay.enable();
  let before = performance.eventLoopUtilization();

  function connections() {
    let open = 0;
    for (const server of servers) {
      if (Number.isInteger(server._connections)) open += server._connections;
      if (!server.listening && server._connections === 0) servers.delete(server);
    }
    return open;
  }

  function tell(act, fields, done) {
    process.send({ cmd: 'NODE_CLUSTER', act, ...fields }, undefined, undefined, done);
  }

  let waiting = false; // for the report before: a primary that does not read is not written to
  const timer = setInterval(() => {
    if (!process.connected) {
      clearInterval(timer);
      delay.disable();
      return;
    }
    if (waiting) return;
    waiting = true;
    const now = performance.eventLoopUtilization();
    const lag = delay.count === 0 ? 0 : Math.max(0, Math.round(delay.max / MILLION) - RESOLUTION);
    const busy = performance.eventLoopUtilization(now, before).utilization;
    delay.reset();
    before = now;
    tell('RSIPC_GAUGES', { requests, connections: connections(), lag, busy, memory: memoryUsage.rss() }, () => (waiting = false));
  }, EVERY);
  timer.unref();

  process.on('internalMessage', function onMessage(message) {
    if (message.cmd !== 'NODE_CLUSTER' || message.act !== 'RSIPC_PART') return;
    process.removeListener('internalMessage', onMessage);
    leaving = true;
    const look = setInterval(() => {
      if (process.connected && connections() > 0) return;
      clearInterval(look);
      if (process.connected) tell('RSIPC_PARTED', {}, () => {});
    }, LOOK);
    look.unref();
  });
}
