const net = require('node:net');
const { fork } = require('rsipc');

const child = fork(`${__dirname}/child.js`);
const server = net.createServer({ pauseOnConnect: true }, (socket) => {
  child.send('take it', socket); // the child has the connection from here on
  child.disconnect(); // what was accepted is still sent
  server.close();
});
server.listen(0, '127.0.0.1', () => {
  net.connect(server.address().port, '127.0.0.1').setEncoding('utf8').on('data', (text) => {
    console.log(text); // → answered by the child
  });
});
