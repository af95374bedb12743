'use strict';
// An Express server as anybody would write it. It knows nothing of clusters.

const express = require('express');

const app = express();
app.use(express.json());
app.get('/', (request, response) => response.json({ pid: process.pid, url: request.originalUrl }));
app.get('/slow', (request, response) => setTimeout(() => response.send('slow'), Number(request.query.ms)));
app.post('/echo', (request, response) => response.status(201).json(request.body));
app.get('/large', (request, response) => response.send('x'.repeat(1024 * 1024)));
app.listen(Number(process.env.PORT));
