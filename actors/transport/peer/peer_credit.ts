/**
 * What may still be sent to the actors of a peer: the sender's side of credit. An actor is sent at most a share of what the
 * link may have under way, so that one which takes nothing holds up no other (E19).
 *   W1. Data for one actor leaves in the order of the calls; nobody overtakes who waits for the same actor.
 *   W2. Actors that have credit of their own and wait for the link's, or for the socket, take turns.
 *   W3. What is heavier than an actor's whole share is charged that share, and so goes alone.
 */
import { InvariantError, RejectedError } from "../../../protocols/errors.ts";
import { Fifo } from "../../kernel/runtime/fifo.ts";
import type { CreditGrant, PeerTarget } from "./peer_frames.ts";

/** Writes a message to the socket; throws where it can not be encoded. */
type Write = () => void;
/** Sets aside a message that waited: its link or its actor ended, or, with an error, it can not be encoded. */
type Drop = (error?: unknown) => void;

interface Waiting {
  readonly chargeBytes: number;
  readonly write: Write;
  readonly drop: Drop;
  readonly resolve: (isSent: boolean) => void;
}

interface Window {
  readonly to: PeerTarget;
  bytes: number;
  messages: number;
  readonly waiting: Fifo<Waiting>;
}

const SENT: Promise<boolean> = Promise.resolve(true);

/** What a message of this weight takes of its actor's credit. Both sides count by what the receiver grants. */
export const chargeOf = (weightBytes: number, { targetBytesMax }: CreditGrant): number =>
  Math.min(weightBytes, targetBytesMax);

export class SendCredit {
  readonly #limits: CreditGrant;
  readonly #windows = new Map<PeerTarget, Window>();
  /** Those whose first waiting message fits their own share: it waits for the link or the socket (W2). */
  readonly #ready = new Set<Window>();
  #linkBytes = 0;
  #isSocketFull = false;

  constructor(limits: CreditGrant) {
    this.#limits = limits;
  }

  /** Data under way that was not taken yet. */
  get bytesUnderWay(): number {
    return this.#linkBytes;
  }

  /** Actors that something is under way to, or waits for. */
  get targets(): number {
    return this.#windows.size;
  }

  /** Throws what `write` throws, and `InvariantError` for a weight that is none. */
  trySend(to: PeerTarget, weightBytes: number, write: Write): boolean {
    if (!(weightBytes >= 0 && weightBytes < Number.POSITIVE_INFINITY)) {
      throw new InvariantError(
        `Cannot send a message as its weight must be a number of bytes: current value is ${weightBytes}`,
      );
    }
    const chargeBytes = chargeOf(weightBytes, this.#limits);
    const window = this.#windowOf(to);
    try {
      if (window.waiting.size > 0 || this.#ready.size > 0) return false; // W1, W2
      if (!this.#fitsShare(window, chargeBytes) || !this.#fitsLink(chargeBytes)) return false;
      write();
      this.#charge(window, chargeBytes);
      return true;
    } finally {
      this.#forgetWhole(window);
    }
  }

  /** As `trySend`, but waits. What fails after it waited is dropped, not thrown: nobody is there to catch it. */
  send(to: PeerTarget, weightBytes: number, write: Write, drop: Drop): Promise<boolean> {
    if (this.trySend(to, weightBytes, write)) return SENT;
    const window = this.#windowOf(to);
    return new Promise((resolve) => {
      window.waiting.push({ chargeBytes: chargeOf(weightBytes, this.#limits), write, drop, resolve });
      this.#consider(window);
    });
  }

  /** An actor took some. Throws `RejectedError` where it was not sent so much. */
  returned(to: PeerTarget, bytes: number, messages: number): void {
    const window = this.#windows.get(to);
    if (window === undefined || bytes > window.bytes || messages > window.messages) {
      throw new RejectedError(
        "MALFORMED_FRAME",
        `Cannot take back credit of ${to} as it must be under way: ${bytes} bytes of ${window?.bytes ?? 0} came back`,
      );
    }
    window.bytes -= bytes;
    window.messages -= messages;
    this.#linkBytes -= bytes;
    this.#consider(window);
    this.#pump();
    this.#forgetWhole(window);
  }

  setSocketFull(isFull: boolean): void {
    this.#isSocketFull = isFull;
    if (!isFull) this.#pump();
  }

  /** Who waits is told that the actor can not be reached. */
  close(): void {
    const windows = [...this.#windows.values()];
    this.#windows.clear();
    this.#ready.clear();
    this.#linkBytes = 0;
    for (const window of windows) dropWaiting(window);
  }

  /** An actor is gone: who waits for it is told, and what is under way to it comes back as it would. */
  endTarget(to: PeerTarget): void {
    const window = this.#windows.get(to);
    if (window === undefined) return;
    this.#ready.delete(window);
    dropWaiting(window);
    this.#forgetWhole(window);
  }

  #windowOf(to: PeerTarget): Window {
    const known = this.#windows.get(to);
    if (known !== undefined) return known;
    const window: Window = { to, bytes: 0, messages: 0, waiting: new Fifo() };
    this.#windows.set(to, window);
    return window;
  }

  #consider(window: Window): void {
    const next = window.waiting.peek();
    if (next !== undefined && this.#fitsShare(window, next.chargeBytes)) this.#ready.add(window);
  }

  #pump(): void {
    for (const window of this.#ready) {
      const next = window.waiting.peek();
      if (next !== undefined && !this.#fitsLink(next.chargeBytes)) return;
      this.#ready.delete(window);
      if (next === undefined) continue;
      window.waiting.shift();
      this.#sendWaiting(window, next);
      this.#consider(window); // behind the others: a set is walked in the order of its additions
      this.#forgetWhole(window);
    }
  }

  #sendWaiting(window: Window, { chargeBytes, write, drop, resolve }: Waiting): void {
    try {
      write();
    } catch (error) {
      drop(error);
      resolve(false);
      return;
    }
    this.#charge(window, chargeBytes);
    resolve(true);
  }

  #charge(window: Window, chargeBytes: number): void {
    window.bytes += chargeBytes;
    window.messages += 1;
    this.#linkBytes += chargeBytes;
  }

  #fitsShare(window: Window, chargeBytes: number): boolean {
    const { targetBytesMax, targetMessagesMax } = this.#limits;
    return window.messages < targetMessagesMax && window.bytes + chargeBytes <= targetBytesMax;
  }

  #fitsLink(chargeBytes: number): boolean {
    if (this.#isSocketFull) return false;
    return this.#linkBytes === 0 || this.#linkBytes + chargeBytes <= this.#limits.linkBytesMax;
  }

  /** An actor that nothing is under way to is not kept in mind. */
  #forgetWhole(window: Window): void {
    if (window.messages === 0 && window.waiting.size === 0 && this.#windows.get(window.to) === window)
      this.#windows.delete(window.to);
  }
}

function dropWaiting({ waiting }: Window): void {
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    next.drop();
    next.resolve(false);
  }
}
