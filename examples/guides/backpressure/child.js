let count = 0;
process.on('message', () => count++);
process.on('disconnect', () => console.log('received', count)); // → received 5000
