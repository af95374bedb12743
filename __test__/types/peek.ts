// What peek answers depends on what it looks for.

import { createServer } from 'node:net';
import { peek, type EndpointErrorCode, type PeekedProxy } from 'rsipc';

createServer({ pauseOnConnect: true }, async (socket) => {
  const request = await peek(socket);
  const method: string = request.method;
  const cookie: string | undefined = request.headers['cookie'];
  const hello = await peek(socket, { for: 'tls', limit: 4096, timeout: Infinity, signal: new AbortController().signal });
  const names: [string | undefined, string[]] = [hello.sni, hello.alpn];
  const front = await peek(socket, { for: 'proxy' });
  const proxy: PeekedProxy = front.proxy;
  const behind = await peek(socket, { for: 'http', proxy: true });
  const port: number | undefined = behind.proxy?.source?.port;
  // @ts-expect-error a ClientHello has no method
  void hello.method;
  // @ts-expect-error nothing else is looked for
  void peek(socket, { for: 'ftp' });
  void [method, cookie, names, proxy, port];
});

const code: EndpointErrorCode = 'ERR_RSIPC_UNEXPECTED_BYTES';
void code;
