'use strict';

// Finds the regular files under a folder. Paths are bytes: a name need not be valid UTF-8.

const { readdir } = require('node:fs/promises');
const path = require('node:path');

const SEPARATOR = Buffer.from(path.sep);

/** Resolves to the files' paths, as Buffers, and the number of folders that could not be read. */
async function walk(folder) {
  const files = [];
  let closedFolders = 0;
  const folders = [Buffer.from(folder)];
  while (folders.length > 0) {
    const current = folders.pop();
    let entries;
    try {
      entries = await readdir(current, { withFileTypes: true, encoding: 'buffer' });
    } catch {
      closedFolders++;
      continue;
    }
    for (const entry of entries) {
      // A symbolic link is neither a directory nor a file here, so it is not followed.
      if (entry.isDirectory()) folders.push(Buffer.concat([current, SEPARATOR, entry.name]));
      else if (entry.isFile()) files.push(Buffer.concat([current, SEPARATOR, entry.name]));
    }
  }
  return { files, closedFolders };
}

module.exports = { walk };
