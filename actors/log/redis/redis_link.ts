/**
 * A store's connections to one server: one for writes, one for writes that wait for replicas, one for reads. A store on one
 * Redis has one link; redis_shards.ts has one for each master. Decides when the server may be used. Leaves commands to the
 * store's function library, and the server's address to the link's maker.
 *
 *   C1. No command outlives its connection: nothing is queued while Redis is away, and nothing is sent again (E8).
 *   C2. After each connect the link looks at the server (version, settings, cluster id, run id) before it lets calls through.
 *   C3. A store that has lost the cluster's id is `STORE_LOST` until the loss is accepted (E22).
 *   C4. A call of a missing function had no effect: the library is loaded, and the call is made once more.
 *   C5. The link reconnects when its server was made a replica, which cuts no connection: the address may lead to the new
 *       master by now.
 *   C6. A server that misses a call's deadline counts as away until it answers a look. Calls are refused meanwhile, so that
 *       they do not pile up behind those that were given up.
 */
import { HeadraceError, reasonOf, type UnavailableCode, UnavailableError } from "../../../protocols/errors.ts";
import { StoreHealth } from "../rules/store_health.ts";
import { CallDeadlines } from "./link/call_deadlines.ts";
import { LinkCalls } from "./link/link_calls.ts";
import { clientsOf, type RedisClient } from "./redis_client.ts";
import type {
  RedisArgument,
  RedisArguments,
  RedisConnection,
  RedisLibrary,
  RedisLogOptions,
  RedisReply,
} from "./redis_connection.ts";
import { type KnownId, type LookKeys, lookAt, settingOf, unlessElsewhere } from "./redis_look.ts";

export interface LinkOptions {
  readonly url: string;
  readonly store: RedisLogOptions;
  readonly library: RedisLibrary;
  readonly id: KnownId;
  keys(): LookKeys;
}

/** Time between looks at a server that cannot be used. */
const PROBE_EVERY_MS = 1_000;
/** Deadline of a call, unless the store's options name another. */
export const CALL_TIMEOUT_MS = 10_000;

export const NOT_CONNECTED = { kind: "unavailable", code: "NOT_READY", reason: "Not connected yet" } as const;

/** Patterns of Redis' messages, with the failure that each tells. The first match counts. */
const FAILURES: readonly (readonly [RegExp, UnavailableCode])[] = [
  [/^OOM|^MISCONF.*space|No space left/i, "DISK_FULL"],
  [/^MISCONF|^READONLY/i, "DISK_READ_ONLY"],
];

export class RedisLink implements RedisConnection {
  readonly #options: LinkOptions;
  readonly #calls: LinkCalls;
  readonly #deadlines: CallDeadlines;
  readonly #health = new StoreHealth(NOT_CONNECTED, { everyMs: PROBE_EVERY_MS, attempt: () => this.#lookAgain() });
  #checking: Promise<void> | undefined;
  #connecting: Promise<void> | undefined;
  #isLooking = false;
  #isReplica = false;
  #isClosed = false;
  /** Rejects a `connect` that waits, where Redis refuses the user or the password. */
  #turnedAway: (error: Error) => void = ignore;

  static async create(options: LinkOptions): Promise<RedisLink> {
    return new RedisLink(options, await clientsOf(options.url));
  }

  private constructor(options: LinkOptions, make: () => RedisClient) {
    this.#options = options;
    this.#calls = new LinkCalls(make, options.library, options.store.replicasTimeoutMs ?? 1_000);
    this.#deadlines = new CallDeadlines(options.store.callTimeoutMs ?? CALL_TIMEOUT_MS);
    for (const client of this.#calls.clients) {
      client.on("error", (error: Error) => {
        this.#lose(error.message);
        if (isTurnedAway(error)) this.#turnedAway(error);
      });
      client.on("reconnecting", () => this.#lose("The connection was lost"));
      // A link that is closed while it connects must end the new connection, which would keep the process alive.
      client.on("connect", () => this.#isClosed && client.destroy());
      client.on("ready", () => this.#recheck());
    }
  }

  /**
   * Connects. Rejects with the reason after the deadline of a call, and at once where Redis refuses the user or password.
   * The clients keep trying until the link is closed.
   */
  async connect(): Promise<void> {
    if (this.#connecting === undefined) {
      this.#connecting = Promise.all(this.#calls.clients.map((client) => client.connect())).then(ignore);
      this.#connecting.catch(ignore); // the state tells the reason
    }
    const turnedAway = new Promise<never>((_, reject) => {
      this.#turnedAway = reject;
    });
    try {
      await this.#deadlines.within(Promise.race([this.#connecting, turnedAway]), "connect");
    } catch (error) {
      const isLate = error instanceof UnavailableError && error.code === "TIMEOUT";
      const { state } = this.#health;
      const hasReason = state.kind === "unavailable" && state.code !== "NOT_READY";
      if (isLate && hasReason) this.#checkUsable();
      throw this.failure(error);
    }
  }

  /** Connects and looks at the server (C2), from now on after each connect. Rejects with the reason why it cannot be used. */
  async begin(): Promise<void> {
    this.#isLooking = true;
    await this.connect();
    await this.#checkNow();
  }

  async #checkNow(): Promise<void> {
    try {
      await this.#check();
    } catch (error) {
      throw this.failure(error);
    }
  }

  get url(): string {
    return this.#options.url;
  }

  get prefix(): string {
    return this.#options.store.prefix ?? "headrace:";
  }

  get clusterId(): string {
    return this.#options.id.value ?? "";
  }

  readonly identityOf: RedisConnection["identityOf"] = () => this.#calls.identity;
  readonly stateOf: RedisConnection["stateOf"] = () => this.#health.state;
  readonly state: RedisConnection["state"] = () => this.#health.state;
  readonly onStateChange: RedisConnection["onStateChange"] = (listener) => this.#health.onChange(listener);
  readonly settingOf: RedisConnection["settingOf"] = (_key, name) => settingOf(this.#calls.writer, name);

  write(
    name: string,
    keys: readonly string[],
    args: RedisArguments,
    replicas?: number,
    isAsked = false,
  ): Promise<RedisReply> {
    return this.#use(() => this.#calls.write({ name, keys, args, isAsked }, replicas));
  }

  readFunction(name: string, keys: readonly string[], args: RedisArguments, isAsked = false): Promise<RedisReply> {
    return this.#use(() => this.#calls.readFunction({ name, keys, args, isAsked }));
  }

  read(args: readonly RedisArgument[], isAsked = false): Promise<RedisReply> {
    return this.#use(() => this.#calls.send(this.#calls.reader, [...args], isAsked));
  }

  /** Sends a command of the connection itself, even where the server must not be used (C2). */
  async ask(args: readonly RedisArgument[]): Promise<RedisReply> {
    try {
      return await this.#deadlines.within(this.#calls.reader.sendCommand([...args]), "answer");
    } catch (error) {
      throw this.failure(error);
    }
  }

  get #isConnected(): boolean {
    return this.#calls.clients.every(({ isReady }) => isReady);
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

  /** Throws where the server cannot be used (C2, C3). A full or read-only one still reads, and still frees memory. */
  #checkUsable(): void {
    if (this.#isClosed) throw new UnavailableError("STOPPING", "Cannot use the store as it is closed");
    const { state } = this.#health;
    if (state.kind === "ready" || state.code.startsWith("DISK_")) return;
    throw new UnavailableError(state.code as UnavailableCode, `Cannot use the store: ${state.reason}`);
  }

  failure(error: unknown): HeadraceError {
    if (error instanceof HeadraceError) return error;
    const reason = reasonOf(error);
    const code = FAILURES.find(([pattern]) => pattern.test(reason))?.[1] ?? "STORE_UNAVAILABLE";
    this.#isReplica ||= /^READONLY/.test(reason);
    if (code !== "STORE_UNAVAILABLE") this.#health.change({ kind: "unavailable", code, reason });
    return new UnavailableError(code, `Cannot use the store: ${reason}`, { cause: error });
  }

  #lose(reason: string): void {
    if (!this.#isClosed) this.#health.change({ kind: "unavailable", code: "STORE_UNAVAILABLE", reason });
  }

  /** C2, after a reconnect. The state tells a failure, and the next look follows within `PROBE_EVERY_MS`. */
  #recheck(): void {
    if (this.#isClosed || !this.#isLooking || !this.#isConnected) return;
    this.#check().catch((error: unknown) => {
      const { code, message } = this.failure(error);
      if (!this.#isClosed) this.#health.change({ kind: "unavailable", code, reason: message });
    });
  }

  #lookAgain(): void {
    const isReplica = this.#isReplica;
    this.#isReplica = false;
    // C5. The server closes each connection. Its client connects again by itself, and the link looks at the server then.
    if (!isReplica) this.#recheck();
    else for (const client of this.#calls.clients) client.sendCommand(["QUIT"]).catch(ignore);
  }

  #check(): Promise<void> {
    this.#checking ??= this.#deadlines.within(this.#look(), "answer").finally(() => {
      this.#checking = undefined;
    });
    return this.#checking;
  }

  async #look(): Promise<void> {
    const { store, library, id } = this.#options;
    const keys = this.#options.keys();
    await lookAt({ client: this.#calls.writer, store, library, id }, keys);
    await this.#calls.load();
    const { probe } = keys;
    const call = { name: "probe", keys: probe, args: [String(Date.now())], isAsked: false };
    const probed = probe.length === 0 ? undefined : await unlessElsewhere(this.#calls.write(call));
    const reply = probed ?? (await this.#calls.write({ name: "who", keys: [], args: [], isAsked: false }));
    this.#calls.identity = String((reply as Buffer[])[1]);
    this.#health.change({ kind: "ready" });
  }

  async probe(): Promise<void> {
    if (this.#isClosed)
      throw new UnavailableError("STOPPING", "Cannot probe Redis as the connection must be open: it is closed");
    if (!this.#isConnected) this.#checkUsable();
    await this.#checkNow();
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#health.close();
    for (const client of this.#calls.clients) client.destroy();
  }
}

/** Whether Redis refused the user or the password. */
export const isTurnedAway = (error: unknown): boolean => /\b(WRONGPASS|NOAUTH)\b/.test(reasonOf(error));

/** Handles promises whose outcome shows elsewhere. */
const ignore = (): void => undefined;
