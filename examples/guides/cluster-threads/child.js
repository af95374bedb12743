const cluster = require('node:cluster'); // as in a process
const http = require('node:http');
const { threadId } = require('node:worker_threads');

http.createServer((request, response) => response.end(`worker ${cluster.worker.id}, in thread ${threadId}`)).listen(0);
