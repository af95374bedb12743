'use strict';
// Started with the path of service.rs, built: a client in Node of a service in Rust.

const { spawn } = require('node:child_process');
const { once } = require('node:events');
const { connect } = require('../../../index.js');

(async () => {
  const service = spawn(process.argv[2], { stdio: ['ignore', 'inherit', 'inherit'] });
  const client = await connect('rsipc:example.service', { reconnect: { min: 10, max: 100 } });
  const [message] = await once(client, 'message');
  console.log(message); // → { ready: true }
  console.log(await client.request('sum', [1, 2, 3.5])); // → 6.5
  await client.request('other').catch((error) => console.log(error.message)); // → there is no such thing here
  await client.send({ from: 'Node' });
  const exited = once(service, 'exit');
  await client.close();
  await exited;
})();
