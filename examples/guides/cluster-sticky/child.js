const cluster = require('node:cluster');
const http = require('node:http');

http.createServer((request, response) => response.end(`worker ${cluster.worker.id}`)).listen(0);
