// Decides which test file runs when: files of `sequential/` share ports and clocks and run alone, after all others.

const RANK = { fail: 2, pass: 1, skip: 0 };

/**
 * @param {import('./execute.mjs').Session} session
 * @param {string[]} files
 * @param {object} options
 * @param {number} options.jobs   files at a time
 * @param {number} options.repeat times each file runs; one failure decides, and ends the row
 * @param {(file: string, result: object) => void} [options.onResult]
 * @returns {Promise<Map<string, object>>} the result of every file
 */
export async function runAll(session, files, { jobs, repeat, onResult = () => {} }) {
  const results = new Map();
  const one = async (file) => {
    let worst;
    for (let nth = 0; nth < repeat && worst?.status !== 'fail'; nth++) {
      const result = await session.run(file);
      if (worst === undefined || RANK[result.status] > RANK[worst.status]) worst = result;
    }
    results.set(file, worst);
    onResult(file, worst);
  };
  const alone = (file) => file.startsWith('sequential/');
  await drain(files.filter((file) => !alone(file)), jobs, one);
  await drain(files.filter(alone), 1, one);
  return results;
}

async function drain(files, jobs, one) {
  const waiting = files.values();
  await Promise.all(Array.from({ length: jobs }, async () => {
    for (const file of waiting) await one(file);
  }));
}

/** Whatever way this process ends, nothing it started goes on. */
export function closeAtExit(session) {
  process.once('exit', () => session.close());
  for (const [signal, number] of [['SIGHUP', 1], ['SIGINT', 2], ['SIGTERM', 15]]) {
    process.once(signal, () => process.exit(128 + number));
  }
}
