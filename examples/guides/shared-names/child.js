const { Ring } = require('rsipc');

const producer = Ring.open(process.argv[2]).producer();
producer.tryWrite('from a process without a channel');
setInterval(() => {}, 1_000); // stays until it is killed
