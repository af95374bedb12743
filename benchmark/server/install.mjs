// Installs the rivals of this suite that are packages, as ../channel/install.mjs does those of its own.

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { installedFrom } from '../channel/install.mjs';

const at = (place) => fileURLToPath(new URL(place, import.meta.url));

/** Sees to it that they are there; says what stands in the way, or nothing. */
export const packages = () => installedFrom(at('rivals/'), at('../../.cache/server-rivals/'), 'node-ipc');

/** The same of ioredis, which needs a redis-server: a package of the system's, whose programs are in the path. */
export function redis() {
  const { status } = spawnSync('redis-server', ['--version'], { stdio: 'ignore' });
  return status === 0 ? packages() : 'there is no redis-server; install the package redis-server';
}
