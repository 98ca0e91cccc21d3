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
import type { StoreState } from "../log.ts";
import { CallDeadlines } from "./call_deadlines.ts";
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
import { ReplicatedWrites } from "./replicated_writes.ts";

interface ToReplicas {
  readonly name: string;
  readonly keys: readonly string[];
  readonly args: RedisArguments;
  readonly isAsked: boolean;
}

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

/** Patterns of Redis' messages, with the failure that each tells. The first match counts. */
const FAILURES: readonly (readonly [RegExp, UnavailableCode])[] = [
  [/^OOM|^MISCONF.*space|No space left/i, "DISK_FULL"],
  [/^MISCONF|^READONLY/i, "DISK_READ_ONLY"],
];

export class RedisLink implements RedisConnection {
  readonly #options: LinkOptions;
  readonly #writer: RedisClient;
  readonly #reader: RedisClient;
  readonly #clients: readonly RedisClient[];
  readonly #replicated: ReplicatedWrites<ToReplicas, RedisReply>;
  readonly #deadlines: CallDeadlines;
  #state: StoreState = { kind: "unavailable", code: "NOT_READY", reason: "Not connected yet" };
  #identity = "";
  #checking: Promise<void> | undefined;
  #probing: NodeJS.Timeout | undefined;
  #connecting: Promise<void> | undefined;
  #isLooking = false;
  #isReplica = false;
  #isClosed = false;
  /** Rejects a `connect` that waits, where Redis refuses the user or the password. */
  #turnedAway: (error: Error) => void = ignore;
  readonly #listeners = new Set<(state: StoreState) => void>();

  static async create(options: LinkOptions): Promise<RedisLink> {
    return new RedisLink(options, await clientsOf(options.url));
  }

  private constructor(options: LinkOptions, make: () => RedisClient) {
    this.#options = options;
    this.#writer = make();
    this.#reader = make();
    const waiting = options.library.waitsForReplicas === true ? make() : this.#writer;
    this.#clients = [...new Set([this.#writer, this.#reader, waiting])];
    const waitMs = options.store.replicasTimeoutMs ?? 1_000;
    this.#replicated = new ReplicatedWrites(
      (write) => this.#callToReplicas(waiting, write),
      async (replicas) => Number(await waiting.sendCommand(["WAIT", String(replicas), String(waitMs)])),
      waitMs,
    );
    this.#deadlines = new CallDeadlines(options.store.callTimeoutMs ?? CALL_TIMEOUT_MS);
    for (const client of this.#clients) {
      client.on("error", (error: Error) => {
        this.#lose(error.message);
        if (isTurnedAway(error)) this.#turnedAway(error);
      });
      client.on("reconnecting", () => this.#lose("The connection was lost"));
      // A link that is closed while it connects must end the new connection, which would keep the process alive.
      client.on("connect", () => this.#isClosed && client.destroy());
      client.on("ready", () => void this.#recheck());
    }
  }

  /**
   * Connects. Rejects with the reason after the deadline of a call, and at once where Redis refuses the user or password.
   * The clients keep trying until the link is closed.
   */
  async connect(): Promise<void> {
    if (this.#connecting === undefined) {
      this.#connecting = Promise.all(this.#clients.map((client) => client.connect())).then(ignore);
      this.#connecting.catch(ignore); // the state tells the reason
    }
    const turnedAway = new Promise<never>((_, reject) => {
      this.#turnedAway = reject;
    });
    try {
      await this.#deadlines.within(Promise.race([this.#connecting, turnedAway]), "connect");
    } catch (error) {
      const isLate = error instanceof UnavailableError && error.code === "TIMEOUT";
      const hasReason = this.#state.kind === "unavailable" && this.#state.code !== "NOT_READY";
      if (isLate && hasReason) this.#checkUsable();
      throw this.failure(error);
    }
  }

  /** Connects and looks at the server (C2), from now on after each connect. Rejects with the reason why it cannot be used. */
  async begin(): Promise<void> {
    this.#isLooking = true;
    await this.connect();
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

  get identity(): string {
    return this.#identity;
  }

  identityOf(): string {
    return this.#identity;
  }

  stateOf(): StoreState {
    return this.#state;
  }

  state(): StoreState {
    return this.#state;
  }

  onStateChange(listener: (state: StoreState) => void): void {
    this.#listeners.add(listener);
  }

  /** @param isAsked sends ASKING first, so that the server answers for a slot that is still moving to it */
  write(name: string, keys: readonly string[], args: RedisArguments, isAsked = false): Promise<RedisReply> {
    return this.#use(() => this.#call(this.#writer, "FCALL", name, keys, args, isAsked));
  }

  readFunction(name: string, keys: readonly string[], args: RedisArguments, isAsked = false): Promise<RedisReply> {
    return this.#use(() => this.#call(this.#reader, "FCALL_RO", name, keys, args, isAsked));
  }

  writeToReplicas(
    name: string,
    keys: readonly string[],
    args: RedisArguments,
    replicas: number,
    isAsked = false,
  ): Promise<RedisReply> {
    return this.#use(() => this.#replicated.write({ name, keys, args, isAsked }, replicas));
  }

  read(args: readonly RedisArgument[], isAsked = false): Promise<RedisReply> {
    return this.#use(() => this.#send(this.#reader, [...args], isAsked));
  }

  /** Sends a command of the connection itself, even where the server must not be used (C2). */
  async ask(args: readonly RedisArgument[]): Promise<RedisReply> {
    try {
      return await this.#deadlines.within(this.#reader.sendCommand([...args]), "answer");
    } catch (error) {
      throw this.failure(error);
    }
  }

  get #isConnected(): boolean {
    return this.#clients.every(({ isReady }) => isReady);
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
    if (this.#state.kind === "ready" || this.#state.code.startsWith("DISK_")) return;
    throw new UnavailableError(this.#state.code as UnavailableCode, `Cannot use the store: ${this.#state.reason}`);
  }

  async #call(
    client: RedisClient,
    how: "FCALL" | "FCALL_RO",
    name: string,
    keys: readonly string[],
    args: RedisArguments,
    isAsked = false,
  ): Promise<RedisReply> {
    const command = this.#commandOf(how, name, keys, args);
    try {
      return await this.#send(client, command, isAsked);
    } catch (error) {
      if (!isMissing(error)) throw error;
      await this.#load();
      return this.#send(client, command, isAsked);
    }
  }

  /** C4, without the second call, because no WAIT would follow it. */
  async #callToReplicas(client: RedisClient, { name, keys, args, isAsked }: ToReplicas): Promise<RedisReply> {
    try {
      return await this.#send(client, this.#commandOf("FCALL", name, keys, args), isAsked);
    } catch (error) {
      if (isMissing(error)) await this.#load();
      throw error;
    }
  }

  #commandOf(how: string, name: string, keys: readonly string[], args: RedisArguments): RedisArgument[] {
    const given = typeof args === "function" ? args(this.#identity) : args;
    return [how, `${this.#options.library.name}_${name}`, String(keys.length), ...keys, ...given];
  }

  #send(client: RedisClient, command: RedisArgument[], isAsked: boolean): Promise<RedisReply> {
    // ASKING holds for the next command of the connection, so the two are sent together.
    if (isAsked) client.sendCommand(["ASKING"]).catch(ignore);
    return client.sendCommand(command);
  }

  async #load(): Promise<void> {
    await this.#writer.sendCommand(["FUNCTION", "LOAD", "REPLACE", this.#options.library.text]);
  }

  failure(error: unknown): HeadraceError {
    if (error instanceof HeadraceError) return error;
    const reason = reasonOf(error);
    const code = FAILURES.find(([pattern]) => pattern.test(reason))?.[1] ?? "STORE_UNAVAILABLE";
    this.#isReplica ||= /^READONLY/.test(reason);
    if (code !== "STORE_UNAVAILABLE") this.#change({ kind: "unavailable", code, reason });
    return new UnavailableError(code, `Cannot use the store: ${reason}`, { cause: error });
  }

  #lose(reason: string): void {
    if (!this.#isClosed) this.#change({ kind: "unavailable", code: "STORE_UNAVAILABLE", reason });
  }

  /** C2, after a reconnect. The state tells a failure, and the next look follows within `PROBE_EVERY_MS`. */
  #recheck(): Promise<void> {
    if (this.#isClosed || !this.#isLooking || !this.#isConnected) return Promise.resolve();
    return this.#check().catch((error: unknown) => {
      const { code, message } = this.failure(error);
      if (!this.#isClosed) this.#change({ kind: "unavailable", code, reason: message });
    });
  }

  /** Called every `PROBE_EVERY_MS` while the server cannot be used. */
  #lookAgain(): void {
    if (!this.#isReplica) {
      void this.#recheck();
      return;
    }
    this.#isReplica = false;
    // C5. The server closes each connection. Its client connects again by itself, and the link looks at the server then.
    for (const client of this.#clients) client.sendCommand(["QUIT"]).catch(ignore);
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
    await lookAt({ client: this.#writer, store, library, id }, keys);
    await this.#load();
    const { probe } = keys;
    const probed =
      probe.length === 0
        ? undefined
        : await unlessElsewhere(this.#call(this.#writer, "FCALL", "probe", probe, [String(Date.now())]));
    const reply = probed ?? (await this.#call(this.#writer, "FCALL", "who", [], []));
    this.#identity = String((reply as Buffer[])[1]);
    this.#change({ kind: "ready" });
  }

  settingOf(_key: string, name: string): Promise<string> {
    return settingOf(this.#writer, name);
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

  async probe(): Promise<void> {
    if (this.#isClosed)
      throw new UnavailableError("STOPPING", "Cannot probe Redis as the connection must be open: it is closed");
    if (!this.#isConnected) this.#checkUsable();
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
    for (const client of this.#clients) client.destroy();
  }
}

/** Whether Redis refused the user or the password. */
export const isTurnedAway = (error: unknown): boolean => /\b(WRONGPASS|NOAUTH)\b/.test(reasonOf(error));

const isMissing = (error: unknown): boolean => /Function not found/i.test(reasonOf(error));

/** Handles promises whose outcome shows elsewhere. */
const ignore = (): void => undefined;
