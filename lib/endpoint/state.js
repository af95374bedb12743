'use strict';
// What a link can be. Only an open one takes what the user sends; one that connects keeps it.

module.exports = { CONNECTING: 0, OPEN: 1, CLOSING: 2, CLOSED: 3 };
