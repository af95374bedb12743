const { parent } = require('rsipc'); // receipts need rsipc at both ends

parent.on('disconnect', () => {}); // a reason to stay
parent.on('message', (message) => {
  console.log('got:', message); // → got: one
  // → got: stop listening
  if (message === 'stop listening') parent.removeAllListeners('message');
});
