// An ordinary Node script: nothing of rsipc is loaded here.
process.on('message', (message) => {
  console.log(message, process.execArgv); // → work []
});
