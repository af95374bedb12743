const cluster = require('node:cluster'); // a worker stays as it is
const http = require('node:http');

http.createServer((request, response) => response.end(`worker ${cluster.worker.id}`)).listen(0);
