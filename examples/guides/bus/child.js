const { openBus } = require('rsipc');

(async () => {
  // Whichever of the two comes first serves the other: neither has to be started before it.
  const bus = await openBus('rsipc:guide.bus');
  const limit = await new Promise((resolve) => bus.subscribe('config.limit', resolve, { retained: true }));
  console.log('limit', limit); // → limit 10
  await bus.subscribe('orders.*.done', async ({ item }) => {
    console.log('done:', item); // → done: tea
    await bus.close();
  });
  await new Promise((resolve) => bus.subscribe('config.ready', resolve, { retained: true }));
  await bus.publish('orders.new', { item: 'tea' }); // resolves when the broker has passed it on
})();
