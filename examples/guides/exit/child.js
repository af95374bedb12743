require('rsipc');

process.send({ report: 'x'.repeat(5_000_000) });
process.exit(3); // everything that was sent is written first
