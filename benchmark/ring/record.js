'use strict';

// Small records: a number in front, and a checksum over the numbers that depends on their order.

const SIZE = 64;

const mix = (checksum, number) => (Math.imul(checksum, 31) + number) >>> 0;

module.exports = { SIZE, mix };
