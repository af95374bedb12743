const { flushOnSignals, parent } = require('rsipc');

flushOnSignals(['SIGTERM']); // write what is queued, then end as the signal would
parent.on('message', () => {});

parent.send({ text: 'x'.repeat(1_000_000) });
console.log('left:', parent.channel.flushSync({ deadline: 1_000 })); // → left: { messages: 0, bytes: 0 }
parent.send('busy');
parent.send({ text: 'x'.repeat(1_000_000) });
