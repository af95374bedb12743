'use strict';

// Counts one file: bytes, words and SHA-256, in pieces, so that its size does not matter.

const { createHash } = require('node:crypto');
const { constants, promises: fs } = require('node:fs');

const PIECE = 256 * 1024;

// The file may have been replaced since it was listed: by a link, which is not followed, or by a
// FIFO, on which a plain open would wait for a writer.
const FLAGS = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

/** 1 for the bytes that separate words: space, tab, line feed, vertical tab, form feed, carriage return. */
const BLANK = new Uint8Array(256);
for (const byte of [0x20, 0x09, 0x0a, 0x0b, 0x0c, 0x0d]) BLANK[byte] = 1;

/** Resolves to `{ bytes, words, sha256 }`, or to `{ error }` with the code of what went wrong. */
async function countFile(path) {
  let file;
  try {
    file = await fs.open(path, FLAGS);
    const stats = await file.stat();
    if (!stats.isFile()) return { error: 'NOT_A_FILE' };
    return await countOpen(file, stats.size);
  } catch (error) {
    if (error.code === undefined) throw error;
    return { error: error.code };
  } finally {
    await file?.close();
  }
}

async function countOpen(file, size) {
  // One byte more than the file has: the first read then also tells that it ends here.
  const piece = Buffer.allocUnsafe(Math.min(size + 1, PIECE));
  const hash = createHash('sha256');
  let bytes = 0;
  let words = 0;
  let blankBefore = 1;
  for (;;) {
    const { bytesRead } = await file.read(piece, 0, piece.length, null);
    if (bytesRead === 0) break;
    bytes += bytesRead;
    hash.update(piece.subarray(0, bytesRead));
    for (let index = 0; index < bytesRead; index++) {
      const blank = BLANK[piece[index]];
      words += blankBefore & (blank ^ 1);
      blankBefore = blank;
    }
    if (bytesRead < piece.length && bytes >= size) break;
  }
  return { bytes, words, sha256: hash.digest('hex') };
}

module.exports = { countFile };
