// Vitest with its default pool, one fork per file.

import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const here = path.dirname(fileURLToPath(import.meta.url));

export default defineConfig({
  root: here,
  cacheDir: path.join(process.env.CLIENTS_RUN, 'cache'),
  test: {
    include: ['*.suite.mjs'],
    exclude: [],
    pool: 'forks',
    isolate: true,
    maxWorkers: 2,
    watch: false,
    // For a busy machine; the tests that are to time out set their own.
    testTimeout: 30_000,
    reporters: [path.join(here, 'reporter.mjs')],
    // A failing test's message travels whole.
    chaiConfig: { truncateThreshold: 0 },
  },
});
