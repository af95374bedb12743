const { parent } = require('rsipc');

parent.once('message', async (role, sibling) => {
  if (role === 'ask') {
    console.log(await sibling.request({ add: [40, 2] })); // → 42
    process.kill(process.pid, 'SIGKILL');
  } else {
    sibling.onRequest(({ add: [x, y] }) => x + y);
    sibling.on('disconnect', () => console.log('the sibling is gone')); // → the sibling is gone
  }
});
