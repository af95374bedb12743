'use strict';

// The other end of the table: a plain Node program that counts, sends or returns messages.

const { FIRST, flood } = require('./message.js');

const tasks = {
  count({ total }) {
    let counted = 0;
    return ({ seq }) => {
      if (seq === FIRST + counted) counted++;
      // The last one tells that it is over, whether or not all before it came.
      if (seq === FIRST + total - 1) process.send({ counted });
    };
  },
  flood({ total }) {
    flood(process, total);
  },
  echo() {
    return (message) => process.send(message);
  },
};

let work;

process.on('message', (message) => {
  if (message.task === undefined) work(message);
  else work = tasks[message.task](message);
});

process.on('disconnect', () => process.exit());
