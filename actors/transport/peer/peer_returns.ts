/**
 * Credit on its way back to a peer: the receiver's side of `peer_credit.ts`. A frame of its own costs both nodes a system call
 * and a wake-up, and most data is answered within milliseconds.
 *   V1. Credit goes with the next frame to the peer, and waits for one no longer than `RETURN_WITHIN_MS`.
 *   V2. It waits only while it is a small part of what its actor, or the link, may be sent: nobody is held up who sends a lot.
 */
import type { Timer } from "../../kernel/actor.ts";
import type { CreditGrant, CreditReturn, PeerTarget } from "./peer_frames.ts";
import type { SetTimer } from "./peer_socket.ts";

const RETURN_WITHIN_MS = 5;
/** Of a share. */
const SMALL_PART = 1 / 4;

export class CreditReturns {
  readonly #limits: CreditGrant;
  readonly #setTimer: SetTimer;
  readonly #send: (returned: readonly CreditReturn[]) => void;
  readonly #waiting = new Map<PeerTarget, { bytes: number; messages: number }>();
  #bytes = 0;
  #isDue = false;
  #timer: Timer | undefined;

  constructor(limits: CreditGrant, setTimer: SetTimer, send: (returned: readonly CreditReturn[]) => void) {
    this.#limits = limits;
    this.#setTimer = setTimer;
    this.#send = send;
  }

  /** A message of this charge was taken, or nobody is there to take it. */
  add(to: PeerTarget, bytes: number): void {
    const of = this.#waiting.get(to) ?? { bytes: 0, messages: 0 };
    of.bytes += bytes;
    of.messages += 1;
    this.#bytes += bytes;
    this.#waiting.set(to, of);
    const { targetBytesMax, targetMessagesMax, linkBytesMax } = this.#limits;
    const isSmall =
      of.bytes < targetBytesMax * SMALL_PART &&
      of.messages < targetMessagesMax * SMALL_PART &&
      this.#bytes < linkBytesMax * SMALL_PART;
    if (isSmall) this.#timer ??= this.#setTimer(RETURN_WITHIN_MS, this.flush);
    else if (!this.#isDue) {
      this.#isDue = true;
      queueMicrotask(this.flush); // what the rest of this turn gives back goes along
    }
  }

  /** Sends what waits, if anything does. */
  readonly flush = (): void => {
    if (this.#waiting.size === 0) return;
    const returned = Array.from(this.#waiting, ([to, { bytes, messages }]) => ({ to, bytes, messages }));
    this.clear();
    this.#send(returned);
  };

  clear(): void {
    this.#waiting.clear();
    this.#bytes = 0;
    this.#isDue = false;
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
