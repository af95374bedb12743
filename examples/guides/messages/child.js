process.send({ ready: true, files: 3 });
setImmediate(() => {
  for (const file of ['a.txt', 'b.txt', 'c.txt']) process.send({ file });
});
