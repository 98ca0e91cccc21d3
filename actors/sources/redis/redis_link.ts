/**
 * One connection to the Redis of someone else's application. It repeats nothing: a command that gets no answer in time
 * ends the connection, and the reader makes another.
 */
import { loadDriver } from "../../../deps.ts";
import { reasonOf, UnavailableError } from "../../../protocols/errors.ts";

/** Replies are binary. An error within the answer of a transaction is an `Error`. */
export type RedisReply = number | Buffer | null | Error | RedisReply[];

/** The longest wait for a connection, or for an answer beyond the time that a command may block, in ms. */
const ANSWER_WITHIN_MS = 10_000;

interface Client {
  connect(): Promise<unknown>;
  sendCommand(args: (string | Buffer)[]): Promise<unknown>;
  on(event: string, listener: (error: Error) => void): unknown;
  destroy(): void;
}

export class RedisLink {
  readonly #client: Client;
  readonly #host: string;
  readonly #signal: AbortSignal | undefined;
  readonly #abort = (): void => this.close();
  #isClosed = false;

  private constructor(client: Client, host: string, signal: AbortSignal | undefined) {
    this.#client = client;
    this.#host = host;
    this.#signal = signal;
    signal?.addEventListener("abort", this.#abort, { once: true });
  }

  /** Connects. The link is closed once `signal` aborts, which ends a command that blocks. */
  static async open(url: string, signal?: AbortSignal): Promise<RedisLink> {
    const { createClient, RESP_TYPES } = await loadDriver("redis");
    const client = createClient({
      url,
      RESP: 2,
      disableOfflineQueue: true,
      commandOptions: { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } },
      socket: { reconnectStrategy: false, connectTimeout: ANSWER_WITHIN_MS },
    }) as unknown as Client;
    client.on("error", () => undefined); // what is under way rejects
    const link = new RedisLink(client, hostOf(url), signal);
    signal?.throwIfAborted();
    try {
      await link.#inTime(client.connect(), 0);
    } catch (error) {
      link.close();
      throw error;
    }
    return link;
  }

  /** @param blocksMs the time that the command itself may wait */
  async ask(command: readonly (string | Buffer)[], blocksMs = 0): Promise<RedisReply> {
    return (await this.#inTime(this.#client.sendCommand([...command]), blocksMs)) as RedisReply;
  }

  /** Runs commands as one transaction, and answers the reply of each. */
  async together(commands: readonly (readonly string[])[]): Promise<readonly RedisReply[]> {
    const queued = [["MULTI"], ...commands].map((command) => this.ask(command));
    const answers = this.ask(["EXEC"]);
    await Promise.all([...queued, answers]);
    return (await answers) as readonly RedisReply[];
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#signal?.removeEventListener("abort", this.#abort);
    this.#client.destroy();
  }

  async #inTime<Value>(work: Promise<Value>, blocksMs: number): Promise<Value> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      const withinMs = blocksMs + ANSWER_WITHIN_MS;
      timer = setTimeout(() => {
        reject(
          new UnavailableError(
            "TIMEOUT",
            `Cannot read from ${this.#host} as it must answer in time: current value is ${withinMs} ms`,
          ),
        );
        this.close();
      }, withinMs);
    });
    try {
      return await Promise.race([work, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** `host:port`: the part of a URL without secrets. */
export const hostOf = (url: string): string => {
  const { hostname, port } = new URL(url);
  return `${hostname}:${port === "" ? 6379 : port}`;
};

/** A code for the metrics: of the system or of Headrace, or the word with which an error of Redis begins. */
export function codeOf(error: unknown): string {
  const { code } = error as { readonly code?: unknown };
  if (typeof code === "string") return code;
  return /^[A-Z][A-Z_]{2,30}(?= )/.exec(reasonOf(error))?.[0] ?? "UNAVAILABLE";
}
