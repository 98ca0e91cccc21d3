/**
 * A store's connections to one server: one for writes, one for writes that wait for replicas, one for reads. They are all of
 * the store's where there is one Redis, and one of several behind redis_shards.ts. Decides when the server may be used;
 * leaves what is said over it to who gives the function library, and where it is to who made it.
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
import { HeadraceError, type UnavailableCode, UnavailableError } from "../../../protocols/errors.ts";
import type { StoreState } from "../log.ts";
import { CallDeadlines } from "./call_deadlines.ts";
import { clientsOf, type RedisClient } from "./redis_client.ts";
import {
  messageOf,
  type RedisArgument,
  type RedisArguments,
  type RedisConnection,
  type RedisLibrary,
  type RedisLogOptions,
  type RedisReply,
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

const PROBE_EVERY_MS = 1_000;
export const CALL_TIMEOUT_MS = 10_000;

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
  /** Who waits for the connection is told that it will not be let in. */
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
      // Where it is closed while it connects, it would keep that connection, and the process with it.
      client.on("connect", () => this.#isClosed && client.destroy());
      client.on("ready", () => void this.#recheck());
    }
  }

  /**
   * Connects, and waits no longer than a call, nor where it is not let in. Rejects with why nobody is there; it tries on until
   * it is closed.
   */
  async connect(): Promise<void> {
    if (this.#connecting === undefined) {
      this.#connecting = Promise.all(this.#clients.map((client) => client.connect())).then(ignore);
      this.#connecting.catch(ignore); // in its state
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

  /** Connects and looks (C2); from now on it looks after each connect by itself. Rejects with what is wrong. */
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

  /** @param isAsked the server is to answer though the slot is not its own yet (ASKING), as the present owner said */
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

  /** A command that is the connection's own, whether the server may be used or not. */
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

  /** A full store still reads, and still frees what it can; every other trouble shuts the door (C2, C3). */
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

  /** C4, but for the second call, which no WAIT would follow. */
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
    // It holds for the next command of the connection: nothing may come between.
    if (isAsked) client.sendCommand(["ASKING"]).catch(ignore);
    return client.sendCommand(command);
  }

  async #load(): Promise<void> {
    await this.#writer.sendCommand(["FUNCTION", "LOAD", "REPLACE", this.#options.library.text]);
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
    if (this.#isClosed || !this.#isLooking || !this.#isConnected) return Promise.resolve();
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
    if (this.#isClosed) throw new UnavailableError("STOPPING", "Cannot probe as it is closed");
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

export const isTurnedAway = (error: unknown): boolean => /\b(WRONGPASS|NOAUTH)\b/.test(messageOf(error));

const isMissing = (error: unknown): boolean => /Function not found/i.test(messageOf(error));

/** For promises whose outcome shows elsewhere. */
const ignore = (): void => undefined;
