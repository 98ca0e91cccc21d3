/** What of node-redis is used: raw commands with binary replies, over connections that queue nothing and repeat nothing. */
import { loadDriver } from "../../../deps.ts";
import type { RedisArgument, RedisReply } from "./redis_connection.ts";

export interface RedisClient {
  readonly isReady: boolean;
  connect(): Promise<unknown>;
  sendCommand(args: RedisArgument[]): Promise<RedisReply>;
  on(event: string, listener: (...values: never[]) => void): unknown;
  destroy(): void;
}

const RECONNECT_MS_MAX = 500;

/** How many milliseconds until the next try to connect, or false for none. */
type Reconnect = (retries: number) => number | false;

/** Apart from each other: all nodes lose a server at once. */
const again: Reconnect = (retries) => Math.min(25 * 2 ** retries, RECONNECT_MS_MAX) * (0.5 + Math.random() / 2);

/** Makes clients of one address; none of them is connected. */
export async function clientsOf(url: string, reconnectStrategy: Reconnect = again): Promise<() => RedisClient> {
  const { createClient, RESP_TYPES } = await loadDriver("redis");
  return () =>
    createClient({
      url,
      RESP: 2,
      disableOfflineQueue: true,
      // No time limit of the client's own, which ends with the sending: `CallDeadlines` has them until the answer.
      commandOptions: { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer }, timeout: 0 },
      socket: { reconnectStrategy },
    }) as unknown as RedisClient;
}

/** One question over a connection of its own. Rejects where it is not answered in time. */
export async function askOnce(url: string, command: RedisArgument[], withinMs: number): Promise<RedisReply> {
  const client = (await clientsOf(url, () => false))();
  client.on("error", () => undefined); // told by connect()
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${hostOf(url)} does not answer within ${withinMs} ms`)), withinMs);
  });
  try {
    return await Promise.race([client.connect().then(() => client.sendCommand(command)), late]);
  } finally {
    clearTimeout(timer);
    client.destroy();
  }
}

/** `host:port` of a URL: what may be shown of it. */
export const hostOf = (url: string): string => {
  const { hostname, port } = new URL(url);
  return `${hostname}:${port === "" ? 6379 : port}`;
};

/** The same way in at another `host:port`. */
export function urlAt(url: string, address: string): string {
  const { protocol, username, password } = new URL(url);
  const asking = username === "" && password === "" ? "" : `${username}:${password}@`;
  return `${protocol}//${asking}${address}`;
}

/** `host:port`, as URLs have it. */
export const addressOf = (host: string, port: number | string): string =>
  host.includes(":") && !host.startsWith("[") ? `[${host}]:${port}` : `${host}:${port}`;
