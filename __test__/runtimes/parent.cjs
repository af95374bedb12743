'use strict';
// A parent in whatever runtime runs this, with rsipc, and a plain child in the runtime named by the arguments,
// a program and what goes before the script; without arguments, in the parent's own. Prints what came back.

const path = require('node:path');
const rsipc = require('../../index.js');

const [execPath, ...execArgv] = process.argv.slice(2);
const child = rsipc.fork(path.join(__dirname, 'child.cjs'), [], execPath === undefined ? {} : { execPath, execArgv });
const texts = ['ü€😀\u2028"\\', 'x'.repeat(1_000_000)];
const count = 2_000;
const total = count + texts.length;
let next = 0;
let whole = 0;

child.on('error', (error) => { throw error; });
child.on('message', (message) => {
  if (message.number === next && message.text === (texts[next - count] ?? 'small')) whole++;
  if (++next === total) child.disconnect();
});
child.on('exit', (code, signal) => {
  console.log(JSON.stringify({ whole, total, code, signal, ours: Symbol.for('rsipc.channel') in child }));
});
for (let number = 0; number < total; number++) child.send({ number, text: texts[number - count] ?? 'small' });
