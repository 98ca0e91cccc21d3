/**
 * What a kind of sink brings to run the conformance suite: a fresh target for each test, a look into it, and the form
 * that an event takes there. Knows the contract of sinks and nothing of a kind.
 */
import type { SinkClient, SinkClientContext, SinkDefinition } from "../../../actors/sinks/sink.ts";
import type { Connect } from "../../../protocols/connection.ts";
import type { OddEvent } from "./odd_events.ts";

/** A sink of any kind, whose options fit it. */
export interface SinkUnderTest extends Omit<SinkDefinition<never, never>, "connect"> {
  connect?(options: never, context: SinkClientContext): Promise<SinkClient | undefined>;
}

export interface OpenTarget {
  readonly sink: SinkUnderTest;
  readonly options: unknown;
  /** The way into the node, for a sink that appends to its streams. */
  readonly connect?: Connect;
  /** Puts the target out of reach, and back. Absent: the target cannot be away. */
  setAway?(isAway: boolean): Promise<void>;
  /**
   * The records that a reader of the target sees, in order. A reader of an idempotent sink's target sees each key once.
   *
   * @param checkpoint the delivery's own, as the log holds it
   * @param as the name of the delivery, for a target in which each delivery has a place of its own
   */
  held(checkpoint: Uint8Array | undefined, as?: string): Promise<readonly unknown[]>;
  close(): Promise<void>;
}

export interface SinkHarness {
  readonly name: string;
  readonly delivery: SinkUnderTest["delivery"];
  open(): Promise<OpenTarget>;
  /** The form in which the target must hold the event. Undefined where the record must be set aside. */
  expected(odd: OddEvent): unknown;
  /** An event that a step can make, and that the target refuses although the sink can express it. Absent: there is none. */
  readonly refused?: OddEvent;
}

/** An event of one text, with the form that each format must give it. */
export const plainEvent = (text: string): OddEvent => ({
  name: text,
  event: { odd: text },
  json: JSON.stringify({ odd: text }),
  csv: text,
  stream: { odd: text },
});
