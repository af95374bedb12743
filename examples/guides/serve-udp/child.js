const { connect } = require('rsipc');

(async () => {
  const sensor = await connect('udp://127.0.0.1:47113');
  // Nobody says whether a datagram has arrived, so it is sent until there is an answer.
  const again = setInterval(() => sensor.send({ celsius: 21 }), 50);
  sensor.once('message', async (answer) => {
    clearInterval(again);
    console.log(answer); // → thank you
    console.log('lost:', sensor.datagrams.lost); // → lost: 0
    await sensor.close();
  });
})();
