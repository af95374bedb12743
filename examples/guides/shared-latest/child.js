require('rsipc');

process.once('message', async (message, config) => {
  // Never half of one value and half of another, also while somebody sets it.
  console.log(JSON.parse(config.get())); // → { limit: 10 }
  process.send('seen');
  const newer = await config.next({ after: 1 });
  console.log(JSON.parse(newer)); // → { limit: 20 }
  process.send('seen');
  config.close();
});
