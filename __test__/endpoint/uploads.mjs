// Uploads of 1 MiB that go to one of two children by a header, which is looked at and stays where it is:
// `node __test__/endpoint/uploads.mjs [uploads, 200 unless said] [at a time, 16]`.
//
// Each child answers with the hash of what has arrived. Every tenth client writes its head a byte at a time. Exits with
// 1 when one is not what was sent, or has gone to the other child.
import crypto from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const rsipc = createRequire(import.meta.url)('../../index.js');
const program = fileURLToPath(new URL('../fixtures/endpoint/takes-uploads.js', import.meta.url));

const SIZE = 1 << 20;

async function upload(port, number) {
  const body = crypto.randomBytes(SIZE);
  const shard = number % 2;
  const head = `POST /${number} HTTP/1.1\r\nHost: a.example\r\nX-Shard: ${shard}\r\nConnection: close\r\nContent-Length: ${SIZE}\r\n\r\n`;
  const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
  socket.setEncoding('latin1');
  if (number % 10 === 0) {
    await once(socket, 'connect');
    for (const byte of head) {
      socket.write(byte, 'latin1');
      await new Promise(setImmediate);
    }
    socket.write(body);
  } else {
    // The head and the beginning of the body come together.
    socket.write(Buffer.concat([Buffer.from(head, 'latin1'), body]));
  }
  let answer = '';
  for await (const piece of socket) answer += piece;
  const expected = `${shard} ${crypto.createHash('sha256').update(body).digest('hex')}`;
  const arrived = answer.slice(answer.indexOf('\r\n\r\n') + 4);
  return arrived.includes(expected) ? null : `upload ${number}: ${arrived.slice(0, 100) || 'no answer'}`;
}

export async function run(count, parallel) {
  const faults = [];
  const children = [0, 1].map((name) => rsipc.fork(program, [String(name)], { execArgv: [] }));
  const server = net.createServer({ pauseOnConnect: true }, async (socket) => {
    try {
      const { headers } = await rsipc.peek(socket);
      children[Number(headers['x-shard'])].send('connection', socket);
    } catch (error) {
      faults.push(error.stack);
      socket.destroy();
    }
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  let next = 0;
  const client = async () => {
    while (next < count) {
      const fault = await upload(server.address().port, next++).catch((error) => error.stack);
      if (fault !== null) faults.push(fault);
    }
  };
  await Promise.all(Array.from({ length: parallel }, client));
  server.close();
  for (const child of children) child.disconnect();
  // The connections that are kept open by nobody are closed; the children end by themselves.
  await Promise.all(children.map((child) => child.exitCode === null && once(child, 'exit')));
  return faults;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [count, parallel] = [process.argv[2] ?? 200, process.argv[3] ?? 16].map(Number);
  const begin = performance.now();
  const faults = await run(count, parallel);
  for (const fault of faults.slice(0, 10)) console.log(fault);
  const seconds = (performance.now() - begin) / 1000;
  console.log(`${count} uploads of 1 MiB, ${faults.length} not as they were sent, ${seconds.toFixed(1)} s`);
  process.exitCode = faults.length === 0 ? 0 : 1;
}
