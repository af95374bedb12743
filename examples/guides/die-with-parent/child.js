console.log('child: at work'); // → child: at work
setInterval(() => {}, 1_000); // would go on for ever
process.send('ready');
