const { parent } = require('rsipc');

let limit;
process.once('message', (message, semaphore) => {
  limit = semaphore;
});

async function callTheApi() {
  const permit = await limit.acquire(); // sleeps while three others are at it
  try {
    await new Promise((resolve) => setTimeout(resolve, 5));
  } finally {
    permit.release();
  }
}

parent.onRequest(async (calls) => {
  await Promise.all(Array.from({ length: calls }, callTheApi));
  return 'done';
});
