/**
 * The append credit of one connection: what may still be sent there, and the appends that no answer has come for
 * (docs/protocol.md, "Credit").
 *   C1. Credit comes back as the node names it: more than was taken where it lets the client have more, less where others
 *       need it.
 *   C2. One append may always be under way, on the connection and in each of its partitions.
 *   C3. Where several partitions are in use, one holds a share of the credit at most: a partition that does not answer
 *       leaves the others something to go on with (E19).
 */

import { compareSequences, lastSequence, type Sequence } from "../../sequence.ts";
import type { AppendFrame } from "../../wire/frames.ts";

/** Of all credit, so much may be under way in one partition (C3). */
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
  /** By chain, those that were ever used on this connection. */
  private readonly lanes = new Map<string, Lane>();

  /** A new connection begins anew. */
  reset(creditBytes: number): void {
    this.availableBytes = creditBytes;
    this.count = 0;
    this.underWayBytes = 0;
    this.lanes.clear();
  }

  /** Whether an answer is to come that gives credit back. */
  get isOwed(): boolean {
    return this.count > 0;
  }

  /** C2, C3. */
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

  /** What an append took is known now. */
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

  /** One append at least, the oldest, was refused: others that shared its answer are settled by the next `opened`. */
  refuse(chain: string): void {
    this.answered(this.lane(chain));
  }

  /** All that was sent on the chain has been answered, whether or not the answers were understood. */
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
