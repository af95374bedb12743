const { SharedMap } = require('rsipc');

const cache = SharedMap.open(process.argv[2]); // any worker, no server

function user(number) {
  const key = `user ${number}`;
  const known = cache.get(key);
  if (known !== undefined) {
    cache.add('hits');
    return JSON.parse(known);
  }
  cache.add('misses');
  const computed = { name: key };
  // For a minute; version 0 is "not there", so of two that compute it at once one sets it.
  if (cache.compareAndSet(key, 0, JSON.stringify(computed), { ttl: 60_000 })) cache.add('stored');
  return computed;
}

for (let number = 0; number < 100; number++) user(number);
process.disconnect();
