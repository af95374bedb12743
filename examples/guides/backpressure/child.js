let count = 0;
process.on('message', () => {
  if (count++ === 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200); // busy with something else
});
process.on('disconnect', () => console.log('received', count)); // → received 5000
