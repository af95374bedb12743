const { connect } = require('rsipc');

async function reader() {
  const client = await connect('unix:@guide.broadcast', { reconnect: { retries: 50 } });
  const message = await new Promise((resolve) => client.once('message', resolve));
  await client.close();
  return message.price;
}

Promise.all([reader(), reader()]).then((prices) => console.log(prices)); // → [ 42, 42 ]
