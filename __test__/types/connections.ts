// Servers and clients have types, and wrong uses of them do not compile.

import { spawn } from 'node:child_process';
import net from 'node:net';
import { Duplex } from 'node:stream';
import { connect, notify, Ring, serve } from '../../index.js';
import type { Codec, Connection, ConnectOptions, Handler, RsipcErrorCode, Server } from '../../index.js';

const codec: Codec = 'v8';
const options: ConnectOptions = { codec, reconnect: { min: 1, jitter: 0 }, signal: AbortSignal.timeout(1), allow: { uid: [1, 2], gid: 3 } };
const double: Handler = (body, { id, resent, signal, connection }) => [body, id.length, !resent, signal.aborted, connection.codec];

async function use(): Promise<void> {
  const server: Server = await serve('unix:/x', { mode: 0o660, allow: 'anyone', slowPeer: 'drop-oldest', maxConnections: 5, payload: 'view', maxSharedBytes: 0, spin: 0 });
  server.handle('double', double).handle('double', null).on('connection', (one: Connection) => one.send({}));
  const count: number = server.broadcast([1]);
  const where: string | null = server.address();
  const client: Connection = await connect(where ?? 'rsipc:x', options);
  await client.send(1, new net.Socket());
  await client.send(1, [new net.Socket(), Ring.open('x')], (error) => error?.message);
  const answer = await client.request('double', count, { timeout: 5 });
  const uid: number | undefined = client.peer?.uid;
  for await (const message of client) message.anything;
  await client.pause().resume().ref().unref().ready({ timeout: uid ?? answer });
  await connect(spawn('x'), { codec: 'lines', jsonRpc: true });
  await connect(new Duplex());
  await connect('udp://239.0.0.1:5', { udp: { interface: '127.0.0.1', ttl: 1, plain: false } });
  await serve('tcp://127.0.0.1:0', { proxy: { from: ['10.0.0.0/8'] } });
  const via: string | undefined = client.peer?.via?.address;
  const told: boolean = notify('READY=1');
  await serve('unix+dgram:/x', { protoAction: 'remove', idleTimeout: 5, codec: 'lines', allow: { uid: 0 } });
  const lost: number | undefined = client.datagrams?.lost;
  await connect('file:/x/', { maxFiles: 5 });
  const sender: string | undefined = client.peer?.sender;
  await serve('file:/x/', { idleTimeout: 5 });
  await client.close({ timeout: 5 });
  await server.close();
  const code: RsipcErrorCode = 'ERR_RSIPC_OUTBOX_FULL';
  // @ts-expect-error not a codec
  await connect('x', { codec: 'xml' });
  // @ts-expect-error not a payload
  await connect('x', { payload: 'move' });
  // @ts-expect-error a server has no reconnect
  await serve('x', { reconnect: true });
  // @ts-expect-error a name is a text
  client.handle(1, double);
  void code;
  void sender;
  void lost;
  void told;
  void via;
}
void use;
