// `rsipc/node-ipc`: node-ipc's API and its wire.

/// <reference types="node" />

import type { Socket as DatagramSocket, RemoteInfo } from 'node:dgram';
import type { Server as NetServer, Socket, LookupFunction } from 'node:net';
import type { TlsOptions } from 'node:tls';

// eslint-disable-next-line no-redeclare -- types alone, beside the value of that name
declare namespace nodeIpc {
  interface Tls extends Omit<TlsOptions, 'key' | 'cert' | 'ca' | 'dhparam'> {
    key?: TlsOptions['key'];
    cert?: TlsOptions['cert'];
    ca?: TlsOptions['ca'];
    /** Path of the private key. */
    private?: string;
    /** Path of the certificate. */
    public?: string;
    /** Path of the parameters for Diffie-Hellman. */
    dhparam?: string | false;
    /** Paths of the certificates that are trusted. */
    trustedConnections?: string | string[];
  }

  interface Config {
    /** Prefix of the names of sockets. Default: `'app.'`. */
    appspace: string;
    /** Folder of the sockets. Default: `'/tmp/'`. */
    socketRoot: string;
    /** Name of this process. Default: the host's name. */
    id: string;
    /** Default: `'utf8'`. */
    encoding: BufferEncoding;
    /** Bytes instead of messages, told by `'data'`. Default: false. */
    rawBuffer: boolean;
    /** A client sends when the server has answered. Default: false. */
    sync: boolean;
    /** A server removes the socket that a dead one has left. Default: true. */
    unlink: boolean;
    /** What ends a message. Default: a form feed. */
    delimiter: string;
    /** Default: false. */
    silent: boolean;
    /** Default: 5. */
    logDepth: number;
    /** Default: true. */
    logInColor: boolean;
    /** Default: `console.log`. */
    logger: (text: string) => void;
    /** Connections a server has at a time. Default: 100. */
    maxConnections: number;
    /** Milliseconds before a client connects again. Default: 500. */
    retry: number;
    /** Default: Infinity. */
    maxRetries: number | false;
    /** Ends the client's trying. Default: false. */
    stopRetrying: boolean | number;
    /** TLS instead of TCP. Default: false. */
    tls: Tls | false;
    /** Default: `'127.0.0.1'`. */
    networkHost: string;
    /** Default: 8000. */
    networkPort: number;
    /** Default: false. */
    readableAll: boolean;
    /** Default: false. */
    writableAll: boolean;
    interface: {
      localAddress: string | false;
      localPort: number | false;
      family: number | false;
      hints: number | false;
      lookup: LookupFunction | false;
    };
    /** Characters of one message; a longer one ends the connection. Default: 64 Mi. */
    maxMessageSize: number;
    /** Milliseconds for which a message may be incomplete; then the connection ends. Default: 30,000. */
    frameTimeout: number;
  }

  type Handler = (...args: any[]) => void;

  interface Events {
    /** `'*'` as `type`: every event; its type is the first argument. */
    on(type: string, handler: Handler, once?: boolean): this;
    once(type: string, handler: Handler): this;
    /** `'*'` as `handler`: all of this type. */
    off(type: string, handler: Handler | '*'): this;
    subscribe(type: string, handler: Handler, once?: boolean): this;
    unSubscribe(type: string, handler: Handler | '*'): this;
    /** Calls this end's handlers. */
    publish(type: string, ...args: any[]): this;
    trigger(type: string, ...args: any[]): this;
  }

  interface Client extends Events {
    id: string;
    path: string;
    port?: number;
    socket: Socket;
    config: Config;
    retriesRemaining: number;
    explicitlyDisconnected: boolean;
    connect(): void;
    /** Sends to the server. With `rawBuffer` the first argument is what is sent. */
    emit(type: string | Buffer, data?: any): void;
    on(type: 'connect' | 'disconnect' | 'destroy', handler: () => void): this;
    on(type: 'data', handler: (data: Buffer) => void): this;
    on(type: string, handler: Handler, once?: boolean): this;
  }

  type Peer = Socket & { id?: string };
  type Address = Pick<RemoteInfo, 'address' | 'port'>;

  interface Server extends Events {
    path: string;
    port?: number;
    config: Config;
    udp4: boolean;
    udp6: boolean;
    server: NetServer | DatagramSocket;
    sockets: Peer[];
    start(): void;
    stop(): void;
    /** Sends to one client. With `rawBuffer` the second argument is what is sent. */
    emit(client: Peer | Address, type: string | Buffer, data?: any): void;
    /** Sends to all clients. */
    broadcast(type: string | Buffer, data?: any): void;
    on(type: 'connect', handler: (socket: Peer) => void): this;
    on(type: 'socket.disconnected', handler: (socket: Peer, id: string | false) => void): this;
    on(type: 'data', handler: (data: Buffer, socket: Peer) => void): this;
    on(type: string, handler: Handler, once?: boolean): this;
  }

  interface IPC {
    config: Config;
    /** Clients of this process, by the id they were connected with. */
    of: Record<string, Client>;
    server: Server;
    log(...args: any[]): void;
    serve(callback?: () => void): void;
    serve(path: string, callback?: () => void): void;
    serveNet(callback?: () => void): void;
    serveNet(type: 'udp4' | 'udp6', callback?: () => void): void;
    serveNet(port: number, callback?: () => void): void;
    serveNet(port: number, type: 'udp4' | 'udp6', callback?: () => void): void;
    serveNet(host: string, callback?: () => void): void;
    serveNet(host: string, port: number, callback?: () => void): void;
    serveNet(host: string, port: number, type: 'udp4' | 'udp6', callback?: () => void): void;
    connectTo(id: string, callback?: () => void): void;
    connectTo(id: string, path: string, callback?: () => void): void;
    connectToNet(id: string, callback?: () => void): void;
    connectToNet(id: string, port: number, callback?: () => void): void;
    connectToNet(id: string, host: string, callback?: () => void): void;
    connectToNet(id: string, host: string, port: number, callback?: () => void): void;
    disconnect(id: string): void;
  }
}

declare const nodeIpc: nodeIpc.IPC & { IPC: new () => nodeIpc.IPC };
export = nodeIpc;
