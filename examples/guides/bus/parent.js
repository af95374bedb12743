const { openBus } = require('rsipc');

(async () => {
  const bus = await openBus('rsipc:guide.bus');
  await bus.publish('config.limit', 10, { retain: true }); // whoever comes later has it too
  await bus.subscribe('orders.*', async ({ item }, topic) => {
    console.log(topic, item); // → orders.new tea
    await bus.publish('orders.new.done', { item });
    await bus.close();
  });
  await bus.publish('config.ready', true, { retain: true });
})();
