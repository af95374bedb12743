'use strict';
// Worker threads that are terminated in the middle of everything: each forks children of its own and
// talks to them, or writes to the process's parent, and ends at a random moment.

const path = require('node:path');
const { Worker } = require('node:worker_threads');

// Starts and terminates `count` workers; resolves with how far they had come.
async function terminate(count, next, { width = 4, longest = 150, role = 'parent' } = {}) {
  const result = { terminated: 0, talked: 0, messages: 0, errors: [] };
  let started = 0;
  const one = async () => {
    while (started < count) {
      started++;
      const shared = new SharedArrayBuffer(8);
      const worker = new Worker(path.join(__dirname, 'fixtures', 'worker.js'), { execArgv: ['--no-warnings'], workerData: { shared, role, seed: Math.floor(next() * 2 ** 31) } });
      worker.on('error', (error) => result.errors.push(`${error.code ?? error.name}: ${error.message}`));
      await new Promise((resolve) => {
        // Some end while they load, most while they talk.
        const strike = () => setTimeout(() => worker.terminate().then(resolve), next() * longest);
        if (next() < 0.2) strike();
        else worker.once('message', strike);
        worker.once('exit', resolve);
      });
      const messages = new Uint32Array(shared)[0];
      result.terminated++;
      result.messages += messages;
      if (messages > 0) result.talked++;
    }
  };
  await Promise.all(Array.from({ length: width }, one));
  return result;
}

module.exports = { terminate };
