// Installs the rivals of this suite that are packages, as ../channel/install.mjs does those of its own.

import { fileURLToPath } from 'node:url';
import { installedFrom } from '../channel/install.mjs';

const at = (place) => fileURLToPath(new URL(place, import.meta.url));

/** Sees to it that they are there; says what stands in the way, or nothing. */
export const installed = () => installedFrom(at('rivals/'), at('../../.cache/server-rivals/'), 'node-ipc');
