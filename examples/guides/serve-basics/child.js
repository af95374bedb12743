const { connect } = require('rsipc');

(async () => {
  // With reconnect it may be started before the server, and outlives its restarts.
  const client = await connect('rsipc:guide.basics', { reconnect: true });
  console.log(await client.request('add', { a: 1, b: 2 }, { timeout: 5_000 })); // → 3
  client.send('hello');
  for await (const message of client) {
    console.log(message); // → { you: 'hello' }
    break;
  }
  await client.close();
})();
