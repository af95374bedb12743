const { fork } = require('rsipc');

async function main() {
  const child = fork(`${__dirname}/child.js`);
  console.log(await child.request({ divide: [6, 3] })); // → 2

  // What the other side throws arrives as the error it was.
  await child.request({ divide: [1, 0] }).catch((error) => {
    console.log(error instanceof RangeError, error.message, error.code); // → true division by zero EDIVIDE
  });

  // A request that is given up is cancelled over there too.
  await child.request({ sleep: true }, { timeout: 100 }).catch((error) => {
    console.log(error.code); // → ERR_RSIPC_TIMEOUT
  });
  const aborted = new AbortController();
  setTimeout(() => aborted.abort(), 100);
  await child.request({ sleep: true }, { signal: aborted.signal }).catch((error) => {
    console.log(error.name); // → AbortError
  });
  child.disconnect();
}
main();
