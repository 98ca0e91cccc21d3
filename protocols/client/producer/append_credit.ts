/**
 * The append credit of one connection: the bytes that may still be sent, and the appends that await an answer
 * (docs/protocol.md, "Credit").
 *
 *   C1. An answer gives back the credit that it names: more than its append took where the node allows more, less where
 *       other connections need it.
 *   C2. One append may always be under way on the connection. A partition's share never holds back its first append.
 *   C3. Where several partitions are in use, one holds at most three quarters of the credit: a partition that does not
 *       answer leaves the others a quarter (E19).
 */
import { compareSequences, lastSequence, type Sequence } from "../../sequence.ts";
import type { AppendFrame } from "../../wire/frames.ts";

/** The share of all credit that one partition may hold (C3). */
const PARTITION_SHARE = 3 / 4;

interface Unanswered {
  readonly frame: AppendFrame;
  bytes: number;
}

interface Lane {
  /** In the order sent. */
  readonly appends: Unanswered[];
  bytes: number;
}

export class AppendCredit {
  availableBytes = 0;
  private count = 0;
  private underWayBytes = 0;
  /** One lane for each chain that was used on this connection, by its key. */
  private readonly lanes = new Map<string, Lane>();

  /** Begins a new connection, with the credit of its welcome. */
  reset(creditBytes: number): void {
    this.availableBytes = creditBytes;
    this.count = 0;
    this.underWayBytes = 0;
    this.lanes.clear();
  }

  /** True while an append awaits its answer. */
  get isOwed(): boolean {
    return this.count > 0;
  }

  /** C2, C3. Whether an append of `bytes` may be sent on `chain` now. */
  mayTake(chain: string, bytes: number): boolean {
    if (this.isOwed && bytes > this.availableBytes) return false;
    const lane = this.lanes.get(chain);
    if (lane === undefined || lane.appends.length === 0 || this.lanes.size === 1) return true;
    return lane.bytes + bytes <= (this.availableBytes + this.underWayBytes) * PARTITION_SHARE;
  }

  setAside(chain: string, frame: AppendFrame, estimatedBytes: number): void {
    const lane = this.lane(chain);
    lane.appends.push({ frame, bytes: estimatedBytes });
    this.count++;
    this.take(lane, estimatedBytes);
  }

  /** Replaces an append's estimated size by its size on the wire. */
  correct(chain: string, frame: AppendFrame, wireBytes: number, estimatedBytes: number): void {
    const lane = this.lane(chain);
    const sent = lane.appends.findLast((one) => one.frame === frame);
    if (sent === undefined) return;
    sent.bytes = wireBytes;
    this.take(lane, wireBytes - estimatedBytes);
  }

  /** C1. */
  give(bytes: number): void {
    this.availableBytes += bytes;
  }

  /** An ack answers every append up to its sequence. */
  acknowledge(chain: string, last: Sequence): void {
    const lane = this.lane(chain);
    let head = lane.appends[0];
    while (head !== undefined && compareSequences(lastSequence(head.frame.sequences), last) <= 0) {
      this.answered(lane);
      head = lane.appends[0];
    }
  }

  /** The oldest append was refused. Others that shared its answer are settled by the next `opened`. */
  refuse(chain: string): void {
    this.answered(this.lane(chain));
  }

  /** Every append of the chain has its answer. */
  settle(chain: string): void {
    const lane = this.lane(chain);
    while (lane.appends.length > 0) this.answered(lane);
  }

  private lane(chain: string): Lane {
    let lane = this.lanes.get(chain);
    if (lane === undefined) {
      lane = { appends: [], bytes: 0 };
      this.lanes.set(chain, lane);
    }
    return lane;
  }

  private take(lane: Lane, bytes: number): void {
    lane.bytes += bytes;
    this.underWayBytes += bytes;
    this.availableBytes -= bytes;
  }

  private answered(lane: Lane): void {
    const answered = lane.appends.shift();
    if (answered === undefined) return;
    this.count--;
    lane.bytes -= answered.bytes;
    this.underWayBytes -= answered.bytes;
  }
}
