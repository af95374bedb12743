const http = require('node:http');

if (process.env.BROKEN) process.exit(1);
http.createServer((request, response) => response.end('hello')).listen(0);
process.on('message', (message) => console.log(message)); // → { hello: 'all' }
