const { BroadcastChannel, fork } = require('rsipc');

const channel = new BroadcastChannel('guide');
channel.onmessage = ({ data }) => {
  console.log(data); // → { theme: 'dark' }
  channel.postMessage('thanks');
  channel.close(); // what was posted is sent first
};

fork(`${__dirname}/child.js`);
