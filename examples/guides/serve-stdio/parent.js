const { spawn } = require('node:child_process');
const { connect } = require('rsipc');

(async () => {
  const child = spawn(process.execPath, [`${__dirname}/child.js`], { stdio: ['pipe', 'pipe', 'ignore'] });
  const tool = await connect(child, { codec: 'lines', jsonRpc: true });
  console.log(await tool.request('tools/call', { name: 'add', arguments: [1, 2] })); // → { content: 3 }
  await tool.close();
})();
