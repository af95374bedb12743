const { connect, alloc } = require('rsipc');

(async () => {
  const client = await connect('rsipc:guide.large', { codec: 'raw', reconnect: { retries: 50 } });
  const frame = alloc(1920 * 1080); // lies in memory that can be shared
  for (let i = 0; i < 100; i++) await client.send(frame);
  await client.close();
  console.log('sent'); // → sent
})();
