/**
 * Shares the client of a sink between its deliveries on this node, replays included (sink S11). Decides when the client
 * is made and closed; the sink's `connect` makes it.
 *
 *   C1. Deliveries that open while the client is being made wait for that client: a sink has one at a time.
 *   C2. A rejected connect rejects the openings that wait for it. The next opening connects again.
 *   C3. The client is closed once its last user has released it. The next client is made after that close has ended, or
 *       once its time is over.
 *   C4. An opening that is given up waits no longer. A client that nobody waits for any more is closed when it is made.
 */
import { settledWithin } from "../../kernel/settled_within.ts";
import type { SinkClient } from "../sink.ts";
import { untilAborted } from "./delivery_operation.ts";

export interface ClientLease<Client> {
  readonly client: Client;
  /** Ends this use. Further calls do nothing. */
  release(): void;
}

/** The longest wait for a client to close before the next one is made, in ms. */
const CLOSE_WITHIN_MS = 5_000;

export class CountedClient<Client extends SinkClient | undefined> {
  readonly #connect: () => Promise<Client>;
  readonly #onCloseFailed: (error: unknown) => void;
  readonly #closeWithinMs: number;
  #users = 0;
  #client: Promise<Client> | undefined;
  #closing: Promise<unknown> = Promise.resolve();

  constructor(
    connect: () => Promise<Client>,
    onCloseFailed: (error: unknown) => void,
    closeWithinMs = CLOSE_WITHIN_MS,
  ) {
    this.#connect = connect;
    this.#onCloseFailed = onCloseFailed;
    this.#closeWithinMs = closeWithinMs;
  }

  /** Rejects with the error of `connect`, or once `signal` aborts. */
  async acquire(signal?: AbortSignal): Promise<ClientLease<Client>> {
    this.#client ??= this.#make();
    this.#users += 1;
    let isReleased = false;
    const release = () => {
      if (!isReleased) this.#release();
      isReleased = true;
    };
    try {
      return { client: await untilAborted(this.#client, signal), release }; // C1
    } catch (error) {
      release(); // C4
      throw error;
    }
  }

  /** Resolves once no former client is being closed, or its time is over. */
  async closed(): Promise<void> {
    await this.#closing;
  }

  #make(): Promise<Client> {
    const made: Promise<Client> = this.#closing.then(() => this.#connect());
    made.catch(() => {
      if (this.#client === made) this.#client = undefined; // C2
    });
    return made;
  }

  /** C3 */
  #release(): void {
    this.#users -= 1;
    const client = this.#client;
    if (this.#users > 0 || client === undefined) return;
    this.#client = undefined;
    const closing = client
      .then(
        (made) => made?.close(),
        () => undefined, // told to the openings that waited for it
      )
      .catch(this.#onCloseFailed);
    this.#closing = settledWithin(closing, this.#closeWithinMs);
  }
}
