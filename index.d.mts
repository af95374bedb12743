// `import … from 'rsipc'`: the names of index.d.ts, and all of them as the default export.

import rsipc from './index.js';

export * from './index.js';
export default rsipc;
