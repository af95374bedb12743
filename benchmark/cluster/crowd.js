'use strict';
// Connects `count` times to a port while the process `pid` is stopped, and then lets that go on.

const net = require('node:net');

const [pid, port, count] = process.argv.slice(2).map(Number);
process.kill(pid, 'SIGSTOP');
let connected = 0;
for (let i = 0; i < count; i++) {
  net.connect(port, '127.0.0.1', () => { if (++connected === count) process.kill(pid, 'SIGCONT'); })
    .on('error', () => {}).resume();
}
