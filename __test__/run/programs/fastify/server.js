'use strict';
// A Fastify server as anybody would write it. It knows nothing of clusters.

const fastify = require('fastify');

const app = fastify();
app.get('/', (request) => ({ pid: process.pid, url: request.url }));
app.get('/slow', (request, reply) => {
  setTimeout(() => reply.send('slow'), Number(request.query.ms));
});
app.post('/echo', (request, reply) => reply.code(201).send(request.body));
app.get('/large', () => 'x'.repeat(1024 * 1024));
app.listen({ port: Number(process.env.PORT), host: '127.0.0.1' });
