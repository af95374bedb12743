const { connect } = require('rsipc');

(async () => {
  const client = await connect('stdio:', { codec: 'lines', jsonRpc: true });
  client.handle('tools/call', ({ arguments: [a, b] }) => {
    console.log('a library that prints'); // goes to stderr: the lines on stdout are the protocol's
    return { content: a + b };
  });
})();
