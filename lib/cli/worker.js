'use strict';
// Preloaded into the workers of `rsipc run`: tells the primary once a second how the worker is.
//
// It leaves what a program can see of its process as it would be without it, and keeps no process alive. What it sends
// stands among the messages of the cluster, which reach no listener of a program.

const { execArgv } = process;
const own = execArgv.indexOf(__filename);
if (own > 0) execArgv.splice(own - 1, 2); // what the program's own children and threads get
delete require.cache[__filename];

const EVERY = 1000;
const RESOLUTION = 20; // how often the loop is asked whether it comes round, in ms
const MILLION = 1e6;

if (process.connected && require('node:worker_threads').isMainThread) watch();

function watch() {
  const { channel } = require('node:diagnostics_channel');
  const { monitorEventLoopDelay } = require('node:perf_hooks');
  const { memoryUsage } = process;
  const servers = new Set();
  let requests = 0;

  channel('http.server.request.start').subscribe(() => requests++);
  channel('http2.server.stream.start').subscribe(() => requests++); // of later versions of Node
  channel('net.server.socket').subscribe(({ socket }) => {
    if (socket?.server != null) servers.add(socket.server);
  });
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION });
  delay.enable();

  function connections() {
    let open = 0;
    for (const server of servers) {
      if (Number.isInteger(server._connections)) open += server._connections;
      if (!server.listening && server._connections === 0) servers.delete(server);
    }
    return open;
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
    const lag = delay.count === 0 ? 0 : Math.max(0, Math.round(delay.max / MILLION) - RESOLUTION);
    delay.reset();
    const gauges = { requests, connections: connections(), lag, memory: memoryUsage.rss() };
    // Below `send`, which a program may replace.
    process._send({ cmd: 'NODE_RSIPC_CLUSTER', act: 'gauges', ...gauges }, undefined, { swallowErrors: true }, () => (waiting = false));
  }, EVERY);
  timer.unref();
}
