process.send(new Map([['bytes', Buffer.from([1, 2, 3])]]));
