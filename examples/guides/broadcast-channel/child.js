const { BroadcastChannel } = require('rsipc');

const channel = new BroadcastChannel('guide');
channel.addEventListener('message', ({ data }) => {
  console.log('the other:', data); // → the other: thanks
  channel.close();
  process.disconnect();
});
channel.postMessage({ theme: 'dark' });
