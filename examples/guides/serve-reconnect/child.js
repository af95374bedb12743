const { connect } = require('rsipc');

(async () => {
  const client = await connect('rsipc:guide.reconnect', { reconnect: { min: 10, max: 500 } });
  console.log(await client.request('order', 'tea')); // → ordered tea

  // The server goes before it has answered: the request is sent again, under the same id.
  client.once('disconnect', (error) => console.log(error.code)); // → ERR_RSIPC_PEER_GONE
  client.once('reconnect', () => console.log('back')); // → back
  console.log(await client.request('order', 'cake')); // → had that one
  await client.request('stop');
  await client.close();
})();
