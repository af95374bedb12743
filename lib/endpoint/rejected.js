'use strict';
// A promise that is rejected, and may be ignored: `send` without `await` must not end the process.

const nothing = () => {};

function rejected(error) {
  const promise = Promise.reject(error);
  promise.catch(nothing);
  return promise;
}

module.exports = { rejected };
