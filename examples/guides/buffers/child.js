const { parent } = require('rsipc');

parent.channel.payload = 'view';
process.on('message', ({ frame }) => {
  const brightest = frame.reduce((a, b) => Math.max(a, b));
  frame[frame.length - 1]++;
  process.send({ frame, brightest });
});
