// A file that does not load.

import './no-such-module.mjs';
