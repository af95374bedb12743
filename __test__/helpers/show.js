'use strict';
// Values as text, so that what two modules did can be compared line by line. Fixtures use it too.

const { inspect } = require('node:util');

// Otherwise a view shows all of the buffer around it, which is the reader's own affair.
Object.defineProperty(DataView.prototype, inspect.custom, {
  value() {
    return `DataView <${Buffer.from(this.buffer, this.byteOffset, this.byteLength).toString('hex')}>`;
  },
  configurable: true,
});

// Everything a program can see of an error that does not name a file or a line.
function showError(error) {
  const facts = [String(error.stack).split('\n', 1)[0]];
  for (const key of ['name', 'code', 'errno', 'syscall', 'path']) {
    if (error[key] !== undefined) facts.push(`${key}=${error[key]}`);
  }
  return `<${facts.join(' ')}>`;
}

function show(value) {
  if (value instanceof Error) return showError(value);
  if (typeof value === 'string') return value;
  return inspect(value, { depth: 200, breakLength: Infinity, compact: true, maxStringLength: 100, maxArrayLength: 50 }).replace(/\s*\n\s*/g, ' ');
}

// What calling `call` comes to: its value, or its exception.
function outcome(call) {
  try {
    return `returned ${show(call())}`;
  } catch (error) {
    return `threw ${showError(error)}`;
  }
}

module.exports = { show, showError, outcome };
