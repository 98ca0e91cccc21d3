/**
 * Credit on its way back to a peer: the receiver's side of `peer_credit.ts`. A frame for credit alone costs both nodes a
 * system call and a wake-up, and most data is answered within milliseconds.
 *   V1. Credit goes with the next frame to the peer, and waits for that at most `RETURN_WITHIN_MS`.
 *   V2. Once a quarter of an actor's or the link's credit waits, it goes at the end of the turn, as its sender may need it.
 */
import type { Timer } from "../../kernel/actor.ts";
import type { CreditGrant, CreditReturn, PeerTarget } from "./peer_frames.ts";
import type { SetTimer } from "./peer_socket.ts";

const RETURN_WITHIN_MS = 5;
/** Part of an actor's or the link's credit that may wait (V2). */
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

  /** Gives back the credit of one message: the actor's mailbox took it, or the actor has ended. */
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
      queueMicrotask(this.flush); // credit that the rest of this turn gives back goes along
    }
  }

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
