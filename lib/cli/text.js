'use strict';
// Numbers, times and tables, for people.

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

function size(bytes) {
  if (bytes === undefined) return '?';
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

const plural = (count, word) => `${count} ${word}${count === 1 ? '' : 's'}`;

// Two units at most: "3d 4h", "1m 03s", "12s".
function duration(milliseconds) {
  const seconds = Math.floor(milliseconds / 1000);
  const two = (value) => String(value).padStart(2, '0');
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ${two(seconds % 60)}s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h ${two(Math.floor(seconds / 60) % 60)}m`;
  return `${Math.floor(seconds / 86_400)}d ${Math.floor(seconds / 3600) % 24}h`;
}

const count = (value) => (value === undefined ? '-' : String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ','));

// Columns as wide as what is in them; numbers, in the columns of `right`, to the right.
function table(rows, right) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows.map((row) => row.map((cell, column) => {
    if (right.has(column)) return cell.padStart(widths[column]);
    return column === row.length - 1 ? cell : cell.padEnd(widths[column]);
  }).join('  ')).join('\n');
}

module.exports = { size, plural, duration, count, table };
