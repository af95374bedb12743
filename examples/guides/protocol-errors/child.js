const fs = require('node:fs');

// A library that writes to the wrong descriptor: under Node's own fork this ends the parent.
fs.writeSync(Number(process.channel.fd), 'debug: connected\n');
process.send('x'.repeat(2_000));
process.send([[[[[[[[[[[['deep']]]]]]]]]]]]);
process.send('still here');
