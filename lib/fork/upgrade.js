'use strict';
// Whether a channel carries enough to deserve more than the socket it began on: the one place that decides to ask a
// child whether it is rsipc, and to offer shared memory to one that is.
//
// A child that was only preloaded loads rsipc when it is asked, which takes it some 15 ms in which it answers nothing,
// and both ends have code to compile: as much as a thousand round trips win, or many more messages one way. So a channel
// with little to do is left alone.

const lanes = require('./lanes.js');

const WORTH = Object.freeze({ messages: 1024, bytes: 1024 * 1024 }); // in both directions together
// A child that was not preloaded, and has not answered, may load rsipc later: it is asked again at so many times the
// traffic, so many times in all.
const AGAIN = 16;
const MOST = 4;

const isWorth = ({ messages, bytes }, times) => messages >= WORTH.messages * times || bytes >= WORTH.bytes * times;

// From here on the traffic of a parent's `link` is looked at. Its child is asked for rsipc up to `asks` times.
function watch(link, asks) {
  if (link.settings.transport === 'socket') return;
  link.watched = true;
  link.asks = asks;
}

// As `watch`, of the end of a pair that offers: the other one is rsipc, and answers when somebody uses it.
function watchEnd(link) {
  watch(link, 0);
  if (link.watched) link.peer.greet();
}

// Called when a watched link may have sent or received something, and when its peer has become known.
function consider(link) {
  const { peer, settings, asked } = link;
  if (peer.heard) {
    if (settings.transport !== 'ring' && !isWorth(link, 1)) return;
    link.watched = false;
    if (peer.lanes) lanes.offer(link);
    else lanes.refused(link);
  } else if (asked < link.asks && isWorth(link, AGAIN ** asked)) {
    // What is waiting already comes first, and is enough to think about.
    if (link.native.queuedBytes > 0 || !link.target.connected) return;
    link.asked++;
    peer.greet();
  }
}

module.exports = { MOST, watch, watchEnd, consider };
