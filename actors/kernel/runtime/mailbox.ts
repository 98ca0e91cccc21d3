/**
 * The messages that wait for an actor. Decides their order and their bound; leaves turns to the cell.
 *   M1. Control is taken before data. Within a lane, messages are taken in the order of the calls.
 *   M2. The data lane, the message in hand included, holds at most `messagesMax` messages and `weightBytesMax` bytes.
 *       A message heavier than `weightBytesMax` is let in alone, because it would otherwise wait for ever.
 *   M3. Waiting senders enter in the order in which they came, and no later sender overtakes them.
 *   M4. `close` hands out every message that is left, waiting ones included, exactly once as left over.
 */
import { InvariantError, invariant } from "../../../protocols/errors.ts";
import type { MailboxLimits } from "../actor.ts";
import { Fifo } from "./fifo.ts";
import { add, type Counters, MAILBOX_BYTES, MAILBOX_MESSAGES } from "./kernel_statistics.ts";

/** Enough messages for several turns of an actor. A thousand full mailboxes hold at most 16 GiB. */
export const DEFAULT_MAILBOX: MailboxLimits = { messagesMax: 1_024, weightBytesMax: 16 * 1_024 * 1_024 };

const TAKEN: Promise<boolean> = Promise.resolve(true);

interface Waiting {
  readonly message: unknown;
  readonly weightBytes: number;
  readonly resolve: (isTaken: boolean) => void;
}

export class Mailbox {
  readonly #limits: MailboxLimits;
  readonly #counters: Counters;
  readonly #control = new Fifo<unknown>();
  readonly #data = new Fifo<unknown>();
  readonly #weights = new Fifo<number>();
  readonly #waiting = new Fifo<Waiting>();
  #messages = 0;
  #bytes = 0;
  #weightInHand = -1;

  constructor(limits: MailboxLimits, counters: Counters) {
    invariant(
      limits.messagesMax >= 1 && limits.weightBytesMax >= 0,
      `Cannot make a mailbox as it must hold at least one message: current value is ${limits.messagesMax}`,
    );
    this.#limits = limits;
    this.#counters = counters;
  }

  /** Messages ready to be taken. */
  get size(): number {
    return this.#control.size + this.#data.size;
  }

  tell(message: unknown): void {
    this.#control.push(message);
    this.#count(1, 0);
  }

  trySend(message: unknown, weightBytes: number): boolean {
    if (!(weightBytes >= 0 && weightBytes < Number.POSITIVE_INFINITY)) {
      throw new InvariantError(
        `Cannot send a message as its weight must be a number of bytes: current value is ${weightBytes}`,
      );
    }
    if (this.#waiting.size > 0 || !this.#hasRoom(weightBytes)) return false; // M3
    this.#admit(message, weightBytes);
    return true;
  }

  send(message: unknown, weightBytes: number): Promise<boolean> {
    if (this.trySend(message, weightBytes)) return TAKEN;
    return new Promise((resolve) => this.#waiting.push({ message, weightBytes, resolve }));
  }

  /** Takes the next message (M1). Call only while `size` is above 0. A data message keeps its room until `release`. */
  take(): unknown {
    if (this.#control.size > 0) {
      this.#count(-1, 0);
      return this.#control.shift();
    }
    this.#weightInHand = this.#weights.shift() ?? 0;
    return this.#data.shift();
  }

  /** The message in hand has been handled: its room goes to the senders that wait. */
  release(): void {
    if (this.#weightInHand < 0) return;
    this.#messages -= 1;
    this.#bytes -= this.#weightInHand;
    this.#count(-1, -this.#weightInHand);
    this.#weightInHand = -1;
    for (let next = this.#waiting.peek(); next && this.#hasRoom(next.weightBytes); next = this.#waiting.peek()) {
      this.#waiting.shift();
      this.#admit(next.message, next.weightBytes);
      next.resolve(true);
    }
  }

  /** M4: hands every message that is left to `leftOver`, and resolves waiting senders with false. */
  close(leftOver: (message: unknown) => void): void {
    const waiting: Waiting[] = [];
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) waiting.push(next);
    this.release();
    while (this.size > 0) {
      leftOver(this.take());
      this.release();
    }
    for (const { message, resolve } of waiting) {
      leftOver(message);
      resolve(false);
    }
  }

  #hasRoom(weightBytes: number): boolean {
    if (this.#messages === 0) return true; // M2
    return this.#messages < this.#limits.messagesMax && this.#bytes + weightBytes <= this.#limits.weightBytesMax;
  }

  #admit(message: unknown, weightBytes: number): void {
    this.#data.push(message);
    this.#weights.push(weightBytes);
    this.#messages += 1;
    this.#bytes += weightBytes;
    this.#count(1, weightBytes);
  }

  #count(messages: number, bytes: number): void {
    add(this.#counters, MAILBOX_MESSAGES, messages);
    add(this.#counters, MAILBOX_BYTES, bytes);
  }
}
