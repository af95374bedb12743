// `import … from 'rsipc/cluster'`: the names of cluster.d.ts, and all of them as the default export.

import cluster from './cluster.js';

export * from './cluster.js';
export default cluster;
