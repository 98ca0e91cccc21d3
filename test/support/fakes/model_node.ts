/**
 * A model of a node as a producer sees it: chains judged as the log judges them, and a store in memory. The test orders
 * breaks, lost tails and refusals.
 */

import type { Event } from "../../../protocols/event.ts";
import { compareSequences, judgeChain, lastSequence, type Sequence, sequenceAt } from "../../../protocols/sequence.ts";
import { decodeTrustedEvents } from "../../../protocols/values/event_codec.ts";
import type { AppendFrame, ClientFrame, NodeFrame, WireVerdict } from "../../../protocols/wire/frames.ts";

export interface Stored {
  readonly sequence: Sequence;
  readonly event: Event;
}

interface ModelChain {
  stored: Sequence | undefined;
  readonly verdicts: WireVerdict[];
  position: Event | undefined;
}

export class ModelNode {
  readonly logs = new Map<string, Stored[]>();
  readonly chains = new Map<string, ModelChain>();
  readonly lost: { readonly from: Sequence | null; readonly to: Sequence }[] = [];
  /** Called for each append: a frame that it answers replaces the ordinary answer. */
  intercept: (frame: AppendFrame) => NodeFrame | undefined = () => undefined;
  rejects: (event: Event) => boolean = () => false;
  creditBytes = 1_000_000;
  appends = 0;
  private epoch = 0;
  private instance: string | undefined;
  readonly partitions: number;

  constructor(partitions = 4) {
    this.partitions = partitions;
  }

  /** The answers to one frame. @param bytes the frame's bytes of append credit */
  take(frame: ClientFrame, bytes: number): NodeFrame[] {
    switch (frame.type) {
      case "hello":
        return this.welcome(frame.instance ?? "", frame.producerEpoch);
      case "open": {
        const chain = this.chain(frame.stream, frame.partition);
        const { stream, partition } = frame;
        return [
          {
            type: "opened",
            stream,
            partition,
            lastSequence: chain.stored ?? null,
            ...(chain.position === undefined ? {} : { position: chain.position }),
          },
        ];
      }
      case "append":
        return [this.append(frame, bytes)];
      case "lost": {
        const { stream, partition, from, to } = frame;
        this.lost.push({ from, to });
        this.chain(stream, partition).stored = to;
        return [{ type: "ack", stream, partition, lastSequence: to, creditBytes: 0 }];
      }
      default:
        return [];
    }
  }

  private welcome(instance: string, heldEpoch: number | undefined): NodeFrame[] {
    if (this.instance !== undefined && this.instance !== instance && heldEpoch !== undefined) {
      return [{ type: "error", code: "PRODUCER_FENCED", message: "another instance" }];
    }
    this.instance = instance;
    this.epoch += 1;
    const limits = {
      frameBytesMax: 4_194_304,
      eventBytesMax: 1_048_576,
      batchEventsMax: 10_000,
      dedupeWindowMs: 86_400_000,
    };
    const streams = {
      readings: { partitions: this.partitions, key: "/key", schemaVersions: [1] },
      plain: { partitions: this.partitions, schemaVersions: [1] },
    };
    return [
      {
        type: "welcome",
        node: "model",
        minor: 0,
        producerEpoch: this.epoch,
        streams,
        limits,
        creditBytes: this.creditBytes,
      },
    ];
  }

  chain(stream: string, partition: number): ModelChain {
    const key = `${stream}/${partition}`;
    let chain = this.chains.get(key);
    if (chain === undefined) {
      chain = { stored: undefined, verdicts: [], position: undefined };
      this.chains.set(key, chain);
    }
    return chain;
  }

  log(stream: string, partition: number): Stored[] {
    const key = `${stream}/${partition}`;
    const log = this.logs.get(key) ?? [];
    this.logs.set(key, log);
    return log;
  }

  private append(frame: AppendFrame, bytes: number): NodeFrame {
    this.appends += 1;
    const instead = this.intercept(frame);
    if (instead !== undefined) return instead;
    const { stream, partition } = frame;
    const chain = this.chain(stream, partition);
    const last = lastSequence(frame.sequences);
    const previous = frame.previousSequence ?? undefined;
    const isBehind = compareSequences(sequenceAt(frame.sequences, 0), previous) > 0;
    const judged = judgeChain(chain.stored, previous, last);
    // A batch that begins at or before its predecessor would repeat stored events.
    const judgement = judged === "accept" && !isBehind ? "gap" : judged;
    if (judgement === "gap")
      return { type: "gap", stream, partition, storedSequence: chain.stored ?? null, creditBytes: bytes };
    if (judgement === "accept") this.store(frame, chain, last);
    const first = sequenceAt(frame.sequences, 0);
    const verdicts = chain.verdicts.filter(
      ({ sequence }) => compareSequences(sequence, first) >= 0 && compareSequences(sequence, last) <= 0,
    );
    return {
      type: "ack",
      stream,
      partition,
      lastSequence: last,
      ...(verdicts.length > 0 ? { verdicts } : {}),
      creditBytes: bytes,
    };
  }

  private store(frame: AppendFrame, chain: ModelChain, last: Sequence): void {
    const log = this.log(frame.stream, frame.partition);
    decodeTrustedEvents(frame.events).forEach((event, index) => {
      const sequence = sequenceAt(frame.sequences, index);
      if (this.rejects(event))
        chain.verdicts.push({ sequence, code: "SCHEMA_VIOLATION", path: "/n", reason: "must be liked" });
      else log.push({ sequence, event });
    });
    chain.stored = last;
    chain.position = frame.position ?? chain.position;
  }

  /** Loses the newest `records` of a partition, and the chain's memory of them. */
  loseTail(stream: string, partition: number, records: number): void {
    const log = this.log(stream, partition);
    log.splice(Math.max(0, log.length - records));
    this.chain(stream, partition).stored = log.at(-1)?.sequence;
  }
}
