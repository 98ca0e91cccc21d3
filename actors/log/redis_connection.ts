/**
 * A store's two connections to one Redis: one for writes, so that appends and their WAITs keep their order, one for
 * reads. Decides when the store may be used; leaves what is said over it to who gives the function library: redis_log.ts,
 * and the lease store of a cluster.
 *
 *   C1. No command outlives its connection: nothing is queued while Redis is away, nothing is sent again (E8).
 *   C2. After each connect the store is looked at (version, settings, cluster id, run id) before any call is let through.
 *   C3. A store that has lost the cluster's id is `STORE_LOST` until the loss is accepted (E22).
 *   C4. A missing function is loaded and called once more; it had no effect.
 *   C5. A server that was made a replica is left: the address may lead to its successor by now, and a planned failover
 *       cuts no connection.
 *   C6. A server that does not answer in time is away until it answers again: calls are refused then, and do not pile up
 *       behind those that were given up.
 */
import { randomUUID } from "node:crypto";
import { loadDriver } from "../../deps.ts";
import { ConfigurationError, HeadraceError, type UnavailableCode, UnavailableError } from "../../protocols/errors.ts";
import { CallDeadlines } from "./call_deadlines.ts";
import type { StoreState } from "./log.ts";

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
}

export interface RedisConnectionOptions {
  /** `redis://host:port`, `rediss://...`. */
  readonly url: string;
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

/** What of node-redis is used: raw commands with binary replies. */
interface Client {
  readonly isReady: boolean;
  connect(): Promise<unknown>;
  sendCommand(args: RedisArgument[]): Promise<RedisReply>;
  on(event: string, listener: (...values: never[]) => void): unknown;
  destroy(): void;
}

const RECONNECT_MS_MAX = 1_000;
const PROBE_EVERY_MS = 1_000;

const FAILURES: readonly (readonly [RegExp, UnavailableCode])[] = [
  [/^OOM|^MISCONF.*space|No space left/i, "DISK_FULL"],
  [/^MISCONF|^READONLY/i, "DISK_READ_ONLY"],
];

export class RedisConnection {
  readonly #options: RedisLogOptions;
  readonly #library: RedisLibrary;
  readonly #clients: { writer: Client; reader: Client };
  readonly #deadlines: CallDeadlines;
  #state: StoreState = { kind: "unavailable", code: "NOT_READY", reason: "Not connected yet" };
  #clusterId: string | undefined;
  #identity = "";
  #checking: Promise<void> | undefined;
  #probing: NodeJS.Timeout | undefined;
  #isReplica = false;
  #isClosed = false;
  readonly #listeners: ((state: StoreState) => void)[] = [];

  private constructor(options: RedisLogOptions, library: RedisLibrary, clients: { writer: Client; reader: Client }) {
    this.#options = options;
    this.#library = library;
    this.#clients = clients;
    this.#deadlines = new CallDeadlines(options.callTimeoutMs ?? 10_000);
    this.#clusterId = options.clusterId;
    for (const client of [clients.writer, clients.reader]) {
      client.on("error", (error: Error) => this.#lose(error.message));
      client.on("reconnecting", () => this.#lose("The connection was lost"));
      // Where it is closed while it connects, it would keep that connection, and the process with it.
      client.on("connect", () => this.#isClosed && client.destroy());
      client.on("ready", () => void this.#recheck());
    }
  }

  static async connect(options: RedisLogOptions, library: RedisLibrary): Promise<RedisConnection> {
    const { createClient, RESP_TYPES } = await loadDriver("redis");
    const make = (): Client =>
      createClient({
        url: options.url,
        RESP: 2,
        disableOfflineQueue: true,
        // No time limit of the client's own, which ends with the sending: `CallDeadlines` has them until the answer.
        commandOptions: { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer }, timeout: 0 },
        socket: { reconnectStrategy: (retries: number) => Math.min(25 * 2 ** retries, RECONNECT_MS_MAX) },
      }) as unknown as Client;
    const connection = new RedisConnection(options, library, { writer: make(), reader: make() });
    try {
      await connection.#deadlines.within(connection.#connectBoth(), "connect");
      await connection.#check();
    } catch (error) {
      await connection.close();
      throw connection.failure(error);
    }
    return connection;
  }

  async #connectBoth(): Promise<void> {
    await Promise.all([this.#clients.writer.connect(), this.#clients.reader.connect()]);
  }

  get prefix(): string {
    return this.#options.prefix ?? "headrace:";
  }

  /** `run_id:master_replid` of the store as last looked at. */
  get identity(): string {
    return this.#identity;
  }

  get clusterId(): string {
    return this.#clusterId ?? "";
  }

  state(): StoreState {
    return this.#state;
  }

  onStateChange(listener: (state: StoreState) => void): void {
    this.#listeners.push(listener);
  }

  /** Calls a function of the library for its effect. */
  write(name: string, keys: readonly string[], args: readonly RedisArgument[]): Promise<RedisReply> {
    return this.#use(() => this.#call(name, keys, args));
  }

  /** Calls a function of the library that writes nothing. */
  readFunction(name: string, keys: readonly string[], args: readonly RedisArgument[]): Promise<RedisReply> {
    return this.#use(() => this.#call(name, keys, args, "FCALL_RO"));
  }

  /** An append and, on the same connection right behind it, the WAIT for its replicas (E10). */
  async writeToReplicas(
    name: string,
    keys: readonly string[],
    args: readonly RedisArgument[],
    replicas: number,
  ): Promise<RedisReply> {
    const waitMs = this.#options.replicasTimeoutMs ?? 1_000;
    const [reply, reached] = await this.#use(() =>
      Promise.all([
        this.#call(name, keys, args),
        this.#clients.writer.sendCommand(["WAIT", String(replicas), String(waitMs)]),
      ]),
    );
    if (Number(reached) >= replicas) return reply;
    throw new UnavailableError(
      "NOT_DURABLE",
      `Cannot acknowledge as ${replicas} replicas must have the write within ${waitMs} ms: current value is ${reached}`,
    );
  }

  read(args: readonly RedisArgument[]): Promise<RedisReply> {
    return this.#use(() => this.#clients.reader.sendCommand([...args]));
  }

  async #use<Reply>(send: () => Promise<Reply>): Promise<Reply> {
    this.#checkUsable();
    try {
      return await this.#deadlines.within(send(), "answer");
    } catch (error) {
      // C6
      if (error instanceof UnavailableError && error.code === "TIMEOUT") this.#lose("It does not answer");
      throw this.failure(error);
    }
  }

  /** A full store still reads, and still frees what it can; every other trouble shuts the door (C2, C3). */
  #checkUsable(): void {
    if (this.#isClosed) throw new UnavailableError("STOPPING", "Cannot use the store as it is closed");
    if (this.#state.kind === "ready" || this.#state.code.startsWith("DISK_")) return;
    throw new UnavailableError(this.#state.code as UnavailableCode, `Cannot use the store: ${this.#state.reason}`);
  }

  async #call(
    name: string,
    keys: readonly string[],
    args: readonly RedisArgument[],
    how: "FCALL" | "FCALL_RO" = "FCALL",
  ): Promise<RedisReply> {
    const command = [how, `${this.#library.name}_${name}`, String(keys.length), ...keys, ...args];
    const client = how === "FCALL" ? this.#clients.writer : this.#clients.reader;
    try {
      return await client.sendCommand(command);
    } catch (error) {
      if (!/Function not found/i.test(messageOf(error))) throw error;
      await this.#load();
      return client.sendCommand(command);
    }
  }

  async #load(): Promise<void> {
    await this.#clients.writer.sendCommand(["FUNCTION", "LOAD", "REPLACE", this.#library.text]);
  }

  failure(error: unknown): HeadraceError {
    if (error instanceof HeadraceError) return error;
    const reason = messageOf(error);
    const code = FAILURES.find(([pattern]) => pattern.test(reason))?.[1] ?? "STORE_UNAVAILABLE";
    this.#isReplica ||= /^READONLY/.test(reason);
    if (code !== "STORE_UNAVAILABLE") this.#change({ kind: "unavailable", code, reason });
    return new UnavailableError(code, `Cannot use the store: ${reason}`, { cause: error });
  }

  #lose(reason: string): void {
    if (!this.#isClosed) this.#change({ kind: "unavailable", code: "STORE_UNAVAILABLE", reason });
  }

  /** C2, after a reconnect. What goes wrong is in the state; the next look is a second away. */
  #recheck(): Promise<void> {
    if (this.#isClosed || !this.#clients.writer.isReady || !this.#clients.reader.isReady) return Promise.resolve();
    return this.#check().catch((error: unknown) => {
      const { code, message } = this.failure(error);
      if (!this.#isClosed) this.#change({ kind: "unavailable", code, reason: message });
    });
  }

  /** Each second while the store is away. */
  #lookAgain(): void {
    if (!this.#isReplica) {
      void this.#recheck();
      return;
    }
    this.#isReplica = false;
    // C5. The server closes what asks it to; the client connects again by itself, and the store is looked at then.
    for (const client of [this.#clients.writer, this.#clients.reader]) client.sendCommand(["QUIT"]).catch(ignore);
  }

  #check(): Promise<void> {
    this.#checking ??= this.#deadlines.within(this.#look(), "answer").finally(() => {
      this.#checking = undefined;
    });
    return this.#checking;
  }

  async #look(): Promise<void> {
    const { writer } = this.#clients;
    const info = String(await writer.sendCommand(["INFO", "server"]));
    const version = /redis_version:(\d+)\.(\S+)/.exec(info);
    if (Number(version?.[1]) < 7) {
      throw misconfigured("its version must be at least 7.0", `${version?.[1]}.${version?.[2]}`);
    }
    const policy = await this.setting("maxmemory-policy");
    if (policy !== "noeviction") throw misconfigured("its maxmemory-policy must be noeviction", policy);
    await this.#checkClusterId();
    await this.#checkFormat();
    await this.#load();
    const keys = this.#library.probeKeys.map((key) => `${this.prefix}${key}`);
    const reply = (await this.#call("probe", keys, [String(Date.now())])) as Buffer[];
    this.#identity = String(reply[1]);
    this.#change({ kind: "ready" });
  }

  /** C3. Only a node that remembers no cluster may make one. */
  async #checkClusterId(): Promise<void> {
    const { writer } = this.#clients;
    const key = `${this.prefix}cluster_id`;
    const known = this.#clusterId;
    if (known === undefined || this.#options.acceptLoss) {
      await writer.sendCommand(["SET", key, known ?? randomUUID(), "NX"]);
    }
    const stored = await writer.sendCommand(["GET", key]);
    if (stored !== null && (known === undefined || known === String(stored) || this.#options.acceptLoss)) {
      this.#clusterId = String(stored);
      return;
    }
    throw new UnavailableError(
      "STORE_LOST",
      `Cannot use the store as it must hold cluster id ${known}: current value is ${stored ?? "none"}`,
    );
  }

  /** One number for all that the store keeps. One without it is new, or of the first format. */
  async #checkFormat(): Promise<void> {
    const { writer } = this.#clients;
    const { formatKey, formatVersion } = this.#library;
    const key = `${this.prefix}${formatKey}`;
    await writer.sendCommand(["SET", key, String(formatVersion), "NX"]);
    const version = Number(await writer.sendCommand(["GET", key]));
    if (version === formatVersion) return;
    throw new ConfigurationError(
      "FORMAT_TOO_NEW",
      `Cannot use the store as its format must be at most ${formatVersion}: current value is ${version}`,
    );
  }

  /** A setting of the server. Throws `ConfigurationError` where it does not tell. */
  async setting(name: string): Promise<string> {
    const reply = await this.#clients.writer.sendCommand(["CONFIG", "GET", name]).catch((error: unknown) => {
      if (/unknown command|NOPERM/i.test(messageOf(error))) throw misconfigured(`it must tell its ${name}`, "refused");
      throw error;
    });
    return String((reply as Buffer[])[1] ?? "");
  }

  #change(state: StoreState): void {
    const before = this.#state;
    this.#state = state;
    if (state.kind === "ready") {
      clearInterval(this.#probing);
      this.#probing = undefined;
    } else if (this.#probing === undefined && !this.#isClosed) {
      this.#probing = setInterval(() => this.#lookAgain(), PROBE_EVERY_MS);
      this.#probing.unref();
    }
    const isChange =
      before.kind !== state.kind ||
      (before.kind === "unavailable" && state.kind === "unavailable" && before.code !== state.code);
    if (isChange) for (const listener of this.#listeners) listener(state);
  }

  /** Looks at the store now. Rejects with what is wrong with it. */
  async probe(): Promise<void> {
    if (this.#isClosed) throw new UnavailableError("STOPPING", "Cannot probe as it is closed");
    if (!this.#clients.writer.isReady || !this.#clients.reader.isReady) this.#checkUsable();
    try {
      await this.#check();
    } catch (error) {
      throw this.failure(error);
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearInterval(this.#probing);
    for (const client of [this.#clients.writer, this.#clients.reader]) client.destroy();
  }
}

export const misconfigured = (rule: string, current: string): ConfigurationError =>
  new ConfigurationError("STORE_MISCONFIGURED", `Cannot use Redis as ${rule}: current value is ${current}`);

/** For promises whose outcome shows elsewhere. */
const ignore = (): void => undefined;

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
