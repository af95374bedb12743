'use strict';
// Starts the Rust program whose path is given, see node_child.rs, and uses it as a child made by fork.

const { spawn } = require('node:child_process');
const net = require('node:net');

const child = spawn(process.argv[2], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });

const texts = ['one two three', 'über den Wolken', ''];
let answers = 0;
child.on('message', ({ words }) => {
  console.log(`${words} words: "${texts[answers]}"`);
  // → 3 words: "one two three"
  // → 3 words: "über den Wolken"
  // → 0 words: ""
  answers += 1;
  if (answers === texts.length) giveConnection();
});
for (const text of texts) child.send(text);

// The child gets a connection this process has accepted, and answers on it.
function giveConnection() {
  const server = net.createServer({ pauseOnConnect: true }, (socket) => {
    child.send('a connection', socket);
    server.close();
  });
  server.listen(0, '127.0.0.1', () => {
    const client = net.connect(server.address().port, '127.0.0.1');
    client.setEncoding('utf8');
    let text = '';
    client.on('data', (data) => { text += data; });
    client.on('end', () => {
      console.log(`on the connection: ${text}`); // → on the connection: 6 words in all
      child.disconnect();
    });
  });
}

child.on('exit', (code) => console.log(`the child ended with ${code}`)); // → the child ended with 0
