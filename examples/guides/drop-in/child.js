// An ordinary Node script: nothing of rsipc is loaded here.
process.on('message', ({ add: [a, b] }) => process.send({ sum: a + b }));
