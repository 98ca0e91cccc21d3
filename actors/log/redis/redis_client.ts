/** The part of node-redis that is used: raw commands with binary replies, over clients that queue and repeat nothing. */
import { loadDriver } from "../../../deps.ts";
import { backoffMs, shortenedMs } from "../../../protocols/clock.ts";
import { settledWithin } from "../../kernel/settled_within.ts";
import type { RedisArgument, RedisReply } from "./redis_connection.ts";

export interface RedisClient {
  readonly isReady: boolean;
  connect(): Promise<unknown>;
  sendCommand(args: RedisArgument[]): Promise<RedisReply>;
  on(event: string, listener: (...values: never[]) => void): unknown;
  destroy(): void;
}

const RECONNECT_MS_FIRST = 25;
const RECONNECT_MS_MAX = 500;

/** Doubles up to `RECONNECT_MS_MAX`, less up to half as jitter, because all nodes lose a server at the same time. */
const again = (retries: number): number | false =>
  shortenedMs(backoffMs(retries, RECONNECT_MS_FIRST, RECONNECT_MS_MAX), Math.random());

/** A function that makes clients of one address, each not yet connected. */
export async function clientsOf(url: string, reconnectStrategy = again): Promise<() => RedisClient> {
  const { createClient, RESP_TYPES } = await loadDriver("redis");
  return () =>
    createClient({
      url,
      RESP: 2,
      disableOfflineQueue: true,
      // The client's own timeout would end with the sending. `CallDeadlines` limits the time until the answer.
      commandOptions: { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer }, timeout: 0 },
      socket: { reconnectStrategy },
    }) as unknown as RedisClient;
}

/** Sends one command over a connection of its own. Rejects where no answer comes within `withinMs`. */
export async function askOnce(url: string, command: RedisArgument[], withinMs: number): Promise<RedisReply> {
  const client = (await clientsOf(url, () => false))();
  client.on("error", () => undefined); // connect() rejects with the error
  const answer = client.connect().then(() => client.sendCommand(command));
  try {
    if (await settledWithin(answer, withinMs)) return await answer;
    throw new Error(`${hostOf(url)} does not answer within ${withinMs} ms`);
  } finally {
    client.destroy();
  }
}

/** `host:port` of a URL: the part without secrets, for messages. */
export const hostOf = (url: string): string => {
  const { hostname, port } = new URL(url);
  return `${hostname}:${port === "" ? 6379 : port}`;
};

/** The URL at another `host:port`, with the same protocol, user and password. */
export function urlAt(url: string, address: string): string {
  const { protocol, username, password } = new URL(url);
  const asking = username === "" && password === "" ? "" : `${username}:${password}@`;
  return `${protocol}//${asking}${address}`;
}

/** `host:port` as in a URL, where an IPv6 address has brackets. */
export const addressOf = (host: string, port: number | string): string =>
  host.includes(":") && !host.startsWith("[") ? `[${host}]:${port}` : `${host}:${port}`;

/** The address that the server at `url` told, which leaves out the host where it is the server's own. */
export function addressTold(host: string, port: number | string, url: string): string {
  const own = hostOf(url);
  return addressOf(host === "" || host === "?" ? own.slice(0, own.lastIndexOf(":")) : host, port);
}
