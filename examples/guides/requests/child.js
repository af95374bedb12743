const { parent } = require('rsipc');

parent.onRequest(async (body, { signal }) => {
  if (body.sleep) {
    await new Promise((resolve) => { signal.onabort = resolve; });
    console.log('cancelled'); // → cancelled
    // → cancelled
    return;
  }
  const [a, b] = body.divide;
  if (b === 0) throw Object.assign(new RangeError('division by zero'), { code: 'EDIVIDE' });
  return a / b;
});
