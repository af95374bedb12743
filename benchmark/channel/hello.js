'use strict';

// A child that knows nothing of rsipc and sends one message at once.

process.send({ cpu: process.cpuUsage() });
