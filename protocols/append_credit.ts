/**
 * The append credit of one connection: what may still be sent there, and the appends that no answer has come for. A `moved`
 * gives no credit back by itself, so what it answers is told from what was sent (docs/protocol.md, "Credit").
 */
import type { AppendFrame } from "./frames.ts";
import { compareSequences, lastSequence, type Sequence } from "./sequence.ts";

interface Unanswered {
  readonly frame: AppendFrame;
  bytes: number;
}

export class AppendCredit {
  availableBytes = 0;
  private windowBytes = 0;
  private count = 0;
  /** By chain, in the order sent. */
  private readonly chains = new Map<string, Unanswered[]>();

  /** A new connection begins anew. */
  reset(windowBytes: number): void {
    this.windowBytes = windowBytes;
    this.availableBytes = windowBytes;
    this.count = 0;
    this.chains.clear();
  }

  /** Whether an answer is to come that gives credit back. */
  get isOwed(): boolean {
    return this.count > 0;
  }

  setAside(chain: string, frame: AppendFrame, estimatedBytes: number): void {
    const list = this.chains.get(chain);
    if (list === undefined) this.chains.set(chain, [{ frame, bytes: estimatedBytes }]);
    else list.push({ frame, bytes: estimatedBytes });
    this.count++;
    this.availableBytes -= estimatedBytes;
  }

  /** What an append took is known now. */
  correct(chain: string, frame: AppendFrame, wireBytes: number, estimatedBytes: number): void {
    const sent = this.chains.get(chain)?.findLast((one) => one.frame === frame);
    if (sent !== undefined) sent.bytes = wireBytes;
    this.giveBack(estimatedBytes - wireBytes);
  }

  giveBack(bytes: number): void {
    this.availableBytes = Math.min(this.windowBytes, this.availableBytes + bytes);
  }

  /** The node gives more than it gave at first. */
  widen(bytes: number): void {
    this.windowBytes += bytes;
    this.availableBytes += bytes;
  }

  /** An ack answers every append up to its sequence, and gives their credit back. */
  acknowledge(chain: string, last: Sequence, creditBytes: number): void {
    const list = this.chains.get(chain) ?? [];
    while (list[0] !== undefined && compareSequences(lastSequence(list[0].frame.sequences), last) <= 0) {
      list.shift();
      this.count--;
    }
    this.giveBack(creditBytes);
  }

  /** One append, the oldest, was refused. Its own credit comes back where the answer names none. */
  refuse(chain: string, creditBytes: number | undefined): void {
    const answered = this.chains.get(chain)?.shift();
    if (answered !== undefined) this.count--;
    this.giveBack(creditBytes ?? answered?.bytes ?? 0);
  }

  /** All that was sent on the chain has been answered, whether or not the answers were understood. */
  settle(chain: string): void {
    const left = this.chains.get(chain) ?? [];
    this.chains.delete(chain);
    this.count -= left.length;
    this.giveBack(left.reduce((sum, { bytes }) => sum + bytes, 0));
  }
}
