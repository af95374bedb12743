#!/usr/bin/env node
'use strict';
// `npx rsipc <command>`: see lib/cli/index.js.

require('../lib/cli/index.js').main(process.argv.slice(2));
