/**
 * One way of a connection through a proxy: reads from one socket and writes to the other, at once, after a delay, or
 * not for now. Bytes that it cannot pass it does not read: besides the delayed bytes it keeps one chunk.
 */
import type { Socket } from "node:net";
import type { Clock } from "../../../protocols/clock.ts";

/** The state of a way: a delay, or a black hole, in which bytes wait until another state lets them pass. */
export type WayState = { readonly delayMs: number } | "black_hole";

/** The most bytes that wait for a delay; with 50 ms that is 20 MB/s. */
const DELAYED_BYTES_MAX = 1_048_576;

interface Parcel {
  /** The bytes; undefined for the end. */
  readonly bytes: Buffer | undefined;
  readonly dueMs: number;
}

export class LinkFlow {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #clock: Clock;
  readonly #parcels: Parcel[] = [];
  #state: WayState;
  #delayedBytes = 0;
  #timer: { cancel(): void } | undefined;
  /** True while the other socket's buffer is full. */
  #isFull = false;
  #whenPassing: (() => void)[] = [];

  constructor(from: Socket, to: Socket, clock: Clock, state: WayState) {
    this.#from = from;
    this.#to = to;
    this.#clock = clock;
    this.#state = state;
    from.on("data", (bytes: Buffer) => this.#take(bytes));
    from.on("end", () => this.#take(undefined));
    to.on("drain", () => {
      this.#isFull = false;
      this.#pump();
    });
    this.#pump();
  }

  set(state: WayState): void {
    this.#state = state;
    if (state !== "black_hole") for (const then of this.#whenPassing.splice(0)) then();
    this.#pump();
  }

  /** Calls `then` now, or once the way is no black hole any more. */
  whenPassing(then: () => void): void {
    if (this.#state === "black_hole") this.#whenPassing.push(then);
    else then();
  }

  close(): void {
    this.#timer?.cancel();
    this.#parcels.length = 0;
    this.#whenPassing = [];
  }

  #take(bytes: Buffer | undefined): void {
    const delayMs = this.#state === "black_hole" ? 0 : this.#state.delayMs;
    // After a shorter delay a chunk still waits for the chunks before it.
    this.#parcels.push({ bytes, dueMs: this.#clock.nowMs() + delayMs });
    this.#delayedBytes += bytes?.length ?? 0;
    this.#pump();
  }

  #pump(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    while (this.#state !== "black_hole" && !this.#isFull) {
      const next = this.#parcels[0];
      if (next === undefined) break;
      const leftMs = next.dueMs - this.#clock.nowMs();
      if (leftMs > 0) {
        this.#timer = this.#clock.setTimer(leftMs, () => this.#pump());
        break;
      }
      this.#parcels.shift();
      this.#pass(next.bytes);
    }
    const isHeld = this.#state === "black_hole" || this.#isFull || this.#delayedBytes >= DELAYED_BYTES_MAX;
    if (isHeld) this.#from.pause();
    else this.#from.resume();
  }

  #pass(bytes: Buffer | undefined): void {
    if (bytes === undefined) {
      this.#to.end();
      return;
    }
    this.#delayedBytes -= bytes.length;
    this.#isFull = !this.#to.write(bytes);
  }
}
