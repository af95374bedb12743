const { spawn } = require('rsipc');

const child = spawn(process.execPath, [`${__dirname}/child.js`], {
  stdio: ['ignore', 'inherit', 'inherit', 'ipc'], // the 'ipc' entry makes the channel
  serialization: 'advanced', // values as the structured clone algorithm has them
});
child.on('message', (message) => {
  console.log(message); // → Map(1) { 'bytes' => <Buffer 01 02 03> }
});
child.on('close', (code) => console.log('close', code)); // → close 0
