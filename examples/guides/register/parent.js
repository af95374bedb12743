const { execFileSync } = require('node:child_process');

// As in a shell: node -r rsipc/register child.js
const run = (env) => execFileSync(process.execPath, ['-r', 'rsipc/register', `${__dirname}/child.js`], { encoding: 'utf8', env });
console.log(run(process.env).trim()); // → requests: function
console.log(run({ ...process.env, RSIPC_DISABLE: '1' }).trim()); // → requests: undefined
