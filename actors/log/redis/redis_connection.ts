/**
 * The connection of a store that is built on Redis. It leads to one Redis (redis_link.ts), or to the master that sentinels
 * name or the masters of a Redis Cluster (redis_shards.ts). redis_connect.ts chooses among them.
 */
import { ConfigurationError } from "../../../protocols/errors.ts";
import type { StoreState } from "../log.ts";

/** The function library of one kind of store, and the keys that a look at its server uses. */
export interface RedisLibrary {
  /** The library's name, with which the names of its functions begin. */
  readonly name: string;
  readonly text: string;
  /** Version of the store's keys and their contents. */
  readonly formatVersion: number;
  /** The key that holds the version, after the prefix. */
  readonly formatKey: string;
  /** Keys, without the prefix, of the function `probe`, which writes and then answers `ok` and the store's identity. */
  readonly probeKeys: readonly string[];
  /** Whether the store's keys lie in all slots of a Redis Cluster, or in the one slot of its probe keys. */
  readonly isSpread: boolean;
  /** Whether some writes wait for replicas, and so need a connection of their own. Default: false. */
  readonly waitsForReplicas?: boolean;
}

/** Sentinels, and their name for the master. */
export interface SentinelAddress {
  readonly master: string;
  /** `redis://host:port` of each sentinel, with its user and password. One that answers is enough. */
  readonly urls: readonly string[];
  /** User and password of the master itself. */
  readonly username?: string;
  readonly password?: string;
  /** Whether the master speaks TLS. Default: false. */
  readonly tls?: boolean;
}

/** The address of a store's Redis: exactly one of `url`, `urls` and `sentinel`. */
export interface RedisAddress {
  /** `redis://host:port` or `rediss://...` of the one Redis, or of a node of a Redis Cluster. */
  readonly url?: string;
  /** Nodes of a Redis Cluster, of which one must answer at the start. */
  readonly urls?: readonly string[];
  readonly sentinel?: SentinelAddress;
}

/** The reason why an address cannot be used, such as two kinds of address at once; undefined where it can. */
export function addressProblem({ url, urls, sentinel }: RedisAddress): string | undefined {
  const given = Object.entries({ url, urls, sentinel }).flatMap(([name, value]) => (value === undefined ? [] : name));
  if (given.length === 0) return "a log of type redis needs a url, such as redis://127.0.0.1:6379, urls or sentinel";
  if (given.length > 1)
    return `one of url, urls and sentinel must say where Redis is: given are ${given.join(" and ")}`;
  if (urls?.length === 0) return "urls must name at least one node of the Redis Cluster: current value is []";
  if (sentinel?.urls.length === 0) return "sentinel.urls must name at least one sentinel: current value is []";
  const all = [...(url === undefined ? [] : [url]), ...(urls ?? []), ...(sentinel?.urls ?? [])];
  return all.map(databaseProblem).find((reason) => reason !== undefined);
}

/** The reason why the part behind the host is no number of a database; undefined where it is one, or empty. */
export function databaseProblem(url: string): string | undefined {
  if (!URL.canParse(url)) return "the address of Redis must be a URL, such as redis://127.0.0.1:6379";
  const { host, pathname } = new URL(url);
  if (/^\/?\d*$/.test(pathname)) return undefined;
  return `what follows ${host} in the address of Redis must be the number of a database, such as /0: current value is ${pathname}`;
}

export interface RedisConnectionOptions extends RedisAddress {
  /** The beginning of every key. Default: `headrace:`. */
  readonly prefix?: string;
  /** The cluster's id that this node remembers. A store with another id, or none, is `STORE_LOST`. */
  readonly clusterId?: string;
  /** Accepts a store that has lost the cluster's id. Default: false. */
  readonly acceptLoss?: boolean;
  /** Deadline of a call, in ms. A call without an answer by then rejects with `TIMEOUT`; its outcome is unknown. Default: 10,000. */
  readonly callTimeoutMs?: number;
}

export interface RedisLogOptions extends RedisConnectionOptions {
  /** How long a write waits for replicas, in ms. Default: 1,000. */
  readonly replicasTimeoutMs?: number;
}

export type RedisReply = string | number | Buffer | null | RedisReply[];
export type RedisArgument = string | Buffer;

/** Arguments, or a function that makes them for the server's identity. A call that is redirected makes them anew. */
export type RedisArguments = readonly RedisArgument[] | ((identity: string) => readonly RedisArgument[]);

/** A call with keys goes to the server that holds the first one. All keys of a call must lie in one slot. */
export interface RedisConnection {
  readonly prefix: string;
  readonly clusterId: string;
  /** `ready` where every server of the store can be used. */
  state(): StoreState;
  onStateChange(listener: (state: StoreState) => void): void;
  /** The state of the server that holds the key. */
  stateOf(key: string): StoreState;
  /** `run_id:master_replid` of the server that holds the key, by the last look at it. */
  identityOf(key: string): string;

  /** Calls a function of the library for its effect; with `replicas`, resolves once that number of them has the write (E10). */
  write(name: string, keys: readonly string[], args: RedisArguments, replicas?: number): Promise<RedisReply>;
  /** Calls a function of the library that writes nothing. */
  readFunction(name: string, keys: readonly string[], args: RedisArguments): Promise<RedisReply>;
  /** Sends a reading command, whose first argument is its key. */
  read(args: readonly RedisArgument[]): Promise<RedisReply>;

  /** A setting of the server that holds the key. Rejects with `ConfigurationError` where the server does not tell it. */
  settingOf(key: string, name: string): Promise<string>;
  /** Looks at the server that holds the key, or at all servers. Rejects with the reason why one cannot be used. */
  probe(key?: string): Promise<void>;
  close(): Promise<void>;
}

/** The error for a setting of Redis that a store cannot work with. */
export const misconfigured = (rule: string, current: string): ConfigurationError =>
  new ConfigurationError("STORE_MISCONFIGURED", `Cannot use Redis as ${rule}: current value is ${current}`);
