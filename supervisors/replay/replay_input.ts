/**
 * Reads the input of a replay and prepares it for the sink: records as they are or through a pipeline's steps, and
 * set-aside events as they were. Decides which letters are sent again (replay_letters.ts). Leaves ranges and deliveries
 * to replays.ts.
 */
import type { Channel } from "../../actors/log/log.ts";
import { recordsOf } from "../../actors/log/stored_records.ts";
import type { PartitionFeed } from "../../actors/partition/partition_feed.ts";
import { type Pipeline, runRecord } from "../../actors/pipeline/pipeline.ts";
import type { StepContext } from "../../actors/pipeline/step.ts";
import type { DeliveryRange } from "../../actors/sinks/delivery/delivery_actor.ts";
import { eachRecord, type RecordResults } from "../../actors/sinks/delivery/prepare_items.ts";
import type { RecordOrigin } from "../../actors/sinks/sink.ts";
import type { Event } from "../../protocols/event.ts";
import { cursorBefore, type Position } from "../../protocols/position.ts";
import type { DeliveryInput } from "../node/delivery_input.ts";
import { LaterLetters, type LetterPlace, readLetter } from "./replay_letters.ts";

const SCAN_BYTES_MAX = 1_048_576;

export interface ReplayReading {
  readonly name: string;
  readonly channel: Channel;
  /** Undefined for a replay straight into the sink. */
  readonly pipeline: Pipeline | undefined;
  readonly feed: Pick<PartitionFeed, "partition" | "read" | "bounds">;
  readonly range: DeliveryRange;
  readonly timeOf: DeliveryInput["timeOf"];
  /** Called for each letter that cannot be sent again. */
  readonly onSkipped: () => void;
}

export function replayInput(reading: ReplayReading): DeliveryInput {
  const { channel, timeOf, feed } = reading;
  if (channel === "records") return { channel, run: eachRecord(recordSteps(reading)), isShared: false, timeOf };
  const eventOf = (letter: Event) => readLetter(letter, channel, { ...feed.partition, epoch: 0, offset: 0 })?.event;
  return {
    channel,
    timeOf: (letter, appendedAtMs) => timeOf(eventOf(letter) ?? {}, appendedAtMs),
    isShared: false,
    run: eachRecord(letterSteps(reading)),
  };
}

type RecordSteps = (event: Event, context: StepContext) => RecordResults | Promise<RecordResults>;

const stepsOf = ({ pipeline }: ReplayReading): RecordSteps =>
  pipeline === undefined ? asTheyAre : (event, context) => runRecord(pipeline, event, context);

const asTheyAre = (event: Event) => ({ kind: "outputs", events: [event] }) as const;

const replayedOf = ({ name, channel }: ReplayReading, { position }: StepContext): Event => ({
  replay: name,
  channel,
  epoch: position.epoch,
  offset: position.offset,
});

function recordSteps(reading: ReplayReading): RecordSteps {
  const steps = stepsOf(reading);
  return (event, context) => {
    const { stream, partition, position } = context;
    const place = { stream, partition, epoch: position.epoch, offset: position.offset };
    const source = reading.pipeline === undefined ? { ...place, isStraight: true } : place;
    return withOrigin(steps(event, context), { source, firstIndex: 0, replayed: replayedOf(reading, context) });
  };
}

const withOrigin = (result: ReturnType<RecordSteps>, origin: RecordOrigin): ReturnType<RecordSteps> =>
  result instanceof Promise ? result.then((found): RecordResults => ({ ...found, origin })) : { ...result, origin };

function letterSteps(reading: ReplayReading): RecordSteps {
  const { channel, pipeline, onSkipped } = reading;
  const isSinks = channel.startsWith("dead_letters/");
  const steps = stepsOf(reading);
  let scan: Promise<LaterLetters> | undefined;
  const laterLetters = () => {
    scan ??= laterIn(reading).catch((error: unknown) => {
      scan = undefined; // The read that awaits the scan is tried again.
      throw error;
    });
    return scan;
  };
  return async (letter, context) => {
    const { stream, partition, position } = context;
    const at: LetterPlace = { stream, partition, epoch: position.epoch, offset: position.offset };
    const read = readLetter(letter, channel, at);
    const later = await laterLetters();
    if (read !== undefined && later.has(read, at)) return { kind: "outputs", events: [] };
    // An event on which a step failed is no output of the pipeline, so it cannot go straight to a sink.
    if (read === undefined || (isSinks && !read.hasRun && pipeline === undefined)) {
      onSkipped();
      return { kind: "outputs", events: [] };
    }
    const { id, event, original, source: place, index, hasRun } = read;
    const isStraight = !isSinks && pipeline === undefined;
    const source = isStraight ? { ...place, isStraight } : place;
    const ofSink = channel.slice("dead_letters/".length);
    const key = isSinks ? { key: `${ofSink}/${id}` } : {};
    const origin: RecordOrigin = { source, firstIndex: index, replayed: replayedOf(reading, context), ...key };
    const result: RecordResults = hasRun ? asTheyAre(event) : await steps(event, context);
    if (result.kind === "failed") return { ...result, event: result.event ?? event, origin: { ...origin, original } };
    if (hasRun || pipeline === undefined) return { ...result, origin: { ...origin, original } };
    return { ...result, origin, isLeftOut: (output) => later.hasOutput(read, output, at) };
  };
}

/** Reads the whole range once before any letter is sent: only later letters tell whether a letter is the newest. */
async function laterIn({ feed, channel, range }: ReplayReading): Promise<LaterLetters> {
  const later = new LaterLetters(channel);
  let after: Position | undefined = range.after;
  let begin = after === undefined ? 0 : after.offset + 1;
  for (;;) {
    const result = await feed.read(channel, after, SCAN_BYTES_MAX);
    if (result.kind === "truncated") return later; // The delivery reports the loss.
    if (result.kind === "trimmed") {
      begin = result.firstOffset;
      after = cursorBefore(feed.bounds(channel).epochs, begin);
      continue;
    }
    let last: Position | undefined;
    for (const { position, event } of recordsOf(result.batches, begin)) {
      if (position.offset > range.last.offset) return later;
      later.see(event, { ...feed.partition, ...position });
      last = position;
    }
    if (last === undefined || last.offset >= range.last.offset) return later;
    after = last;
    begin = last.offset + 1;
  }
}
