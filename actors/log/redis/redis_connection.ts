/**
 * What a store built on Redis asks of its connection, whatever lies behind it: one Redis (redis_link.ts), the master that
 * sentinels name, or the masters of a Redis Cluster (redis_shards.ts). Which of them it is decides redis_connect.ts.
 */
import { ConfigurationError } from "../../../protocols/errors.ts";
import type { StoreState } from "../log.ts";

/** What one kind of store runs in Redis, and where the connection looks after it. */
export interface RedisLibrary {
  /** Begins the names of its functions. */
  readonly name: string;
  readonly text: string;
  /** Of the store's keys and their contents. */
  readonly formatVersion: number;
  /** The key that holds the version, after the prefix. */
  readonly formatKey: string;
  /** The keys, after the prefix, of its function `probe`, which writes and then answers `ok` and the store's identity. */
  readonly probeKeys: readonly string[];
  /** Where its keys lie in a Redis Cluster: all over it, or in the one slot of its probe keys. */
  readonly isSpread: boolean;
  /** Some of its writes wait for replicas: they have a connection of their own. Default false. */
  readonly waitsForReplicas?: boolean;
}

/** Sentinels, and the name that they know the master by. */
export interface SentinelAddress {
  readonly master: string;
  /** `redis://host:port` of the sentinels, with what they ask for; one that answers is enough. */
  readonly urls: readonly string[];
  /** What the master itself asks for. */
  readonly username?: string;
  readonly password?: string;
  /** The master speaks TLS. Default false. */
  readonly tls?: boolean;
}

export interface RedisAddress {
  /** `redis://host:port`, `rediss://...`: the one Redis, or a node of a Redis Cluster. */
  readonly url?: string;
  /** Nodes of a Redis Cluster, of which one must answer at the start. */
  readonly urls?: readonly string[];
  readonly sentinel?: SentinelAddress;
}

/** What of an address says too little or too much; undefined where it is as it should be. */
export function addressProblem({ url, urls, sentinel }: RedisAddress): string | undefined {
  const given = [
    ...(url === undefined ? [] : ["url"]),
    ...(urls === undefined ? [] : ["urls"]),
    ...(sentinel === undefined ? [] : ["sentinel"]),
  ];
  if (given.length === 0) return "a log of type redis needs a url, such as redis://127.0.0.1:6379, urls or sentinel";
  if (given.length > 1)
    return `one of url, urls and sentinel must say where Redis is: given are ${given.join(" and ")}`;
  if (urls?.length === 0) return "urls must name at least one node of the Redis Cluster: current value is []";
  if (sentinel?.urls.length === 0) return "sentinel.urls must name at least one sentinel: current value is []";
  const all = [...(url === undefined ? [] : [url]), ...(urls ?? []), ...(sentinel?.urls ?? [])];
  return all.map(databaseProblem).find((reason) => reason !== undefined);
}

/** What follows the host of an address is the number of a database. */
export function databaseProblem(url: string): string | undefined {
  if (!URL.canParse(url)) return "the address of Redis must be a URL, such as redis://127.0.0.1:6379";
  const { host, pathname } = new URL(url);
  if (/^\/?\d*$/.test(pathname)) return undefined;
  return `what follows ${host} in the address of Redis must be the number of a database, such as /0: current value is ${pathname}`;
}

export interface RedisConnectionOptions extends RedisAddress {
  /** Begins every key. Default `headrace:`. */
  readonly prefix?: string;
  /** The cluster's id as this node remembers it; a store with another, or none, is `STORE_LOST`. */
  readonly clusterId?: string;
  /** Take the store as it is, though it lost the cluster's id. */
  readonly acceptLoss?: boolean;
  /** A call not answered by then is `TIMEOUT`, its outcome unknown. Default 10,000. */
  readonly callTimeoutMs?: number;
}

export interface RedisLogOptions extends RedisConnectionOptions {
  /** How long WAIT waits for replicas. Default 1,000. */
  readonly replicasTimeoutMs?: number;
}

export type RedisReply = string | number | Buffer | null | RedisReply[];
export type RedisArgument = string | Buffer;

/** Arguments, or what makes them for the life of the store that the call goes to: made again where it is led elsewhere. */
export type RedisArguments = readonly RedisArgument[] | ((identity: string) => readonly RedisArgument[]);

/** Every method that is given keys goes to where the first of them lies. */
export interface RedisConnection {
  readonly prefix: string;
  readonly clusterId: string;
  /** `ready` where all of it can be used. */
  state(): StoreState;
  onStateChange(listener: (state: StoreState) => void): void;
  /** Of what holds the key. */
  stateOf(key: string): StoreState;
  /** `run_id:master_replid` of the server that holds the key, as last looked at. */
  identityOf(key: string): string;

  /** Calls a function of the library for its effect. */
  write(name: string, keys: readonly string[], args: RedisArguments): Promise<RedisReply>;
  /** A write that so many replicas have when it is answered (E10). */
  writeToReplicas(name: string, keys: readonly string[], args: RedisArguments, replicas: number): Promise<RedisReply>;
  /** Calls a function of the library that writes nothing. */
  readFunction(name: string, keys: readonly string[], args: RedisArguments): Promise<RedisReply>;
  /** A command that reads, its key first among its arguments. */
  read(args: readonly RedisArgument[]): Promise<RedisReply>;

  /** A setting of the server that holds the key. Throws `ConfigurationError` where it does not tell. */
  settingOf(key: string, name: string): Promise<string>;
  /** Looks at what holds the key now, or at all of the store. Rejects with what is wrong with it. */
  probe(key?: string): Promise<void>;
  close(): Promise<void>;
}

export const misconfigured = (rule: string, current: string): ConfigurationError =>
  new ConfigurationError("STORE_MISCONFIGURED", `Cannot use Redis as ${rule}: current value is ${current}`);

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
