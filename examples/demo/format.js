'use strict';

// Numbers, names and tables as people read them.

function whole(number) {
  return Math.round(number).toLocaleString('en-US');
}

/** "1 file", "1,200 files". */
function files(number) {
  return `${whole(number)} file${number === 1 ? '' : 's'}`;
}

function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

function seconds(milliseconds) {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}

/** A name as it is, or quoted if it would upset a terminal. */
function printable(name) {
  return /\p{Cc}/u.test(name) ? JSON.stringify(name) : name;
}

/** Lines with the columns under each other: the first to the left, the others to the right. */
function table(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows.map((row) => row.map((cell, column) => column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column])).join('   '));
}

module.exports = { files, megabytes, printable, seconds, table, whole };
