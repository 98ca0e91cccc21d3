/**
 * The sender's side of credit: the data that may still be sent to the actors of a peer. Data under way to one actor takes at
 * most a share of the link's credit, so that an actor which takes nothing holds up no other (E19).
 *   W1. Data for one actor leaves in the order of the calls. No message overtakes one that waits for the same actor.
 *   W2. Actors that have credit of their own and wait for the link's credit, or for the socket, take turns.
 *   W3. A message heavier than an actor's whole share is charged that share, and so goes alone.
 */
import { InvariantError, RejectedError } from "../../../protocols/errors.ts";
import { Fifo } from "../../kernel/runtime/fifo.ts";
import type { CreditGrant, PeerTarget } from "./peer_frames.ts";

/** Writes a message to the socket. Throws where the message cannot be encoded. */
type Write = () => void;
/** Drops a message that waited: its link or its actor ended or, where an error is given, it cannot be encoded. */
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

/** The credit in bytes that a message of this weight takes (W3). Both sides count by the receiver's grant. */
export const chargeOf = (weightBytes: number, { targetBytesMax }: CreditGrant): number =>
  Math.min(weightBytes, targetBytesMax);

export class SendCredit {
  readonly #limits: CreditGrant;
  readonly #windows = new Map<PeerTarget, Window>();
  /** Windows whose first waiting message fits the actor's share, and waits for the link or the socket (W2). */
  readonly #ready = new Set<Window>();
  #linkBytes = 0;
  #isSocketFull = false;

  constructor(limits: CreditGrant) {
    this.#limits = limits;
  }

  /** Bytes that were sent and whose credit has not come back. */
  get bytesUnderWay(): number {
    return this.#linkBytes;
  }

  /** Actors to which a message is under way or waits. */
  get targets(): number {
    return this.#windows.size;
  }

  /** Sends at once, or returns false. Throws the errors of `write`, and `InvariantError` for a weight that is no number. */
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

  /** As `trySend`, but waits for credit. A message that fails after it waited is dropped: no caller is left to catch. */
  send(to: PeerTarget, weightBytes: number, write: Write, drop: Drop): Promise<boolean> {
    if (this.trySend(to, weightBytes, write)) return SENT;
    const window = this.#windowOf(to);
    return new Promise((resolve) => {
      window.waiting.push({ chargeBytes: chargeOf(weightBytes, this.#limits), write, drop, resolve });
      this.#consider(window);
    });
  }

  /** Takes credit back from an actor. Throws `RejectedError` where it is more than is under way to that actor. */
  returned(to: PeerTarget, bytes: number, messages: number): void {
    const window = this.#windows.get(to);
    if (window === undefined || bytes > window.bytes || messages > window.messages) {
      throw new RejectedError(
        "MALFORMED_FRAME",
        `Cannot take back credit of ${to} as at most ${window?.bytes ?? 0} bytes in ${window?.messages ?? 0} messages are under way: current value is ${bytes} bytes in ${messages}`,
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

  /** The link has ended: waiting messages are dropped, and their senders get false. */
  close(): void {
    const windows = [...this.#windows.values()];
    this.#windows.clear();
    this.#ready.clear();
    this.#linkBytes = 0;
    for (const window of windows) dropWaiting(window);
  }

  /** An actor has ended: its waiting messages are dropped, and credit of those under way comes back as usual. */
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
      this.#consider(window); // W2: a set is walked in the order of additions, so this window is behind the others
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
