// The types of rsipc/cluster: Node's code compiles, and the additions have theirs.

import cluster = require('../../cluster.js');
import * as rsipc from '../../index.js';

const same: cluster.Cluster = rsipc.cluster;
if (same.isPrimary) {
  same.setupPrimary({ exec: 'worker.js', silent: true, scheduling: 'least-connections', respawn: { delay: 1 }, dieWithParent: true });
  const worker: cluster.Worker = same.fork({ A: '1' });
  worker.on('listening', (address) => address.port);
  worker.pause().resume();
  worker.process.request({}).then(() => {}, () => {});
  same.on('exit', (other, code, signal) => [other.id, code, signal]);
  for (const each of Object.values(same.workers ?? {})) each?.disconnect();
  const reloaded: Promise<cluster.Worker[]> = same.reload({ timeout: 1, drain: 1 });
  same.broadcast('x', { receipt: true }).then((results) => results.map(({ worker: { id }, error }) => [id, error?.message]), () => {});
  void reloaded;
  same.takeOver('shop', { timeout: 1, drain: 1 }).then((before) => before?.pid.toFixed(), () => {});
  same.on('replaced', () => {});
  same.setupPrimary({ threads: true });
  worker.process.thread?.threadId.toFixed();
  same.setupPrimary({ sticky: { by: 'cookie', name: 'sid' } });
  same.setupPrimary({ sticky: { by: 'ip', timeout: 100 } });
  // @ts-expect-error which cookie
  same.setupPrimary({ sticky: { by: 'cookie' } });
  same.setupPrimary({ scheduling: 'reuseport', stallTimeout: 1000 });
  // @ts-expect-error there is no such scheduling
  same.setupPrimary({ scheduling: 'random' });
  // @ts-expect-error workers speak Node's protocol
  same.setupPrimary({ transport: 'ring' });
} else {
  same.worker?.send('x');
  same.on('channel', (end, id) => end.send({ hello: id }));
  same.once('channel', (end: rsipc.ChannelEnd) => void end.close());
  same.connect(2, { serialization: 'advanced', timeout: 1, signal: AbortSignal.timeout(1) }).then((end: rsipc.ChannelEnd) => end.request(1), () => {});
  same.siblings({ timeout: 1 }).then((ids: number[]) => ids.length, () => {});
  // @ts-expect-error workers have numbers
  same.connect('2');
}
