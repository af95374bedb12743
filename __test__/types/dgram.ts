// A datagram socket for the other files of this folder.

import { createSocket } from 'node:dgram';

export const dgram = createSocket('udp4');
