import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Event } from "../../../protocols/event.ts";
import { encodeEvent } from "../../../protocols/values/event_codec.ts";
import { LaterLetters, readLetter } from "../../../supervisors/replay/replay_letters.ts";

const CHANNEL = "dead_letters/hook";
const at = (offset: number) => ({ stream: "e", partition: 0, epoch: 4, offset });
const source = (offset: number, index = 0) => ({ stream: "e", partition: 0, epoch: 1, offset, index });
const replayed = (offset: number) => ({ replay: "r", channel: CHANNEL, epoch: 4, offset });

/** As the sink's own delivery writes it. */
const letter = (event: Event, more: Event = {}): Event => ({
  code: "STEP_FAILED",
  path: "/amount",
  reason: "no such key",
  by: "sink/hook",
  producerId: "sink/hook/0",
  sequence: [1, 7, 0],
  original: encodeEvent(event),
  source: source(7),
  ...more,
});
const OF_REPLAY = { producerId: "sink/hook/replay/r/0" };

test("L1: a letter that an earlier release's replay made of a letter stands for the innermost event", () => {
  const first = letter({ id: "bad1" });
  const second = letter(first, { ...OF_REPLAY, source: { ...source(0), epoch: 4 } });
  const third = letter(second, { ...OF_REPLAY, code: "SINK_REJECTED", source: { ...source(1), epoch: 4 } });
  const read = readLetter(third, CHANNEL, at(2));
  assert.equal([read?.event, read?.original], [{ id: "bad1" }, first.original]);
  assert.equal([read?.id, read?.hasRun, read?.index], ["e/0/1/7", false, 0]);
  const { index: _index, ...place } = source(7);
  assert.equal(read?.source, place);
  assert.is(readLetter(first, CHANNEL, at(0))?.id, read?.id);
});

test("a rejection that an earlier release's replay set aside stands for the event that was sent", () => {
  const rejection = { ...letter({ n: 10 }), code: "SCHEMA_VIOLATION", by: "validation", producerId: "p" };
  const { source: _source, ...bare } = rejection as Event;
  const read = readLetter(letter(bare, { ...OF_REPLAY, source: source(3) }), CHANNEL, at(0));
  assert.equal([read?.event, read?.id, read?.hasRun], [{ n: 10 }, "~rejected/e/0/1/3", false]);
});

test("L1: an event that looks like a letter is one only if a replay of an earlier release had set it aside", () => {
  const event = letter({ id: "a customer's own" });
  const own = letter(event);
  const now = letter(event, { ...OF_REPLAY, replayed: replayed(0) });
  for (const one of [own, now]) assert.equal(readLetter(one, CHANNEL, at(0))?.event, event);
});

test("L2: a letter of an earlier release that does not name its record is the only letter of its record", () => {
  const refused = { ...OF_REPLAY, code: "SINK_REJECTED" };
  const read = readLetter(letter({ n: 1 }, refused), CHANNEL, at(5));
  assert.is(read?.id, "~dead_letters/hook/e/0/4/5");
  const later = new LaterLetters(CHANNEL);
  later.see(letter({ n: 1 }, refused), at(5));
  const first = readLetter(letter({ n: 1 }, { code: "SINK_REJECTED" }), CHANNEL, at(0));
  assert.is(first !== undefined && later.has(first, at(0)), false);
  const again = { source: { ...read?.source, index: 0 }, replayed: replayed(5) };
  assert.is(readLetter(letter({ n: 1 }, { ...refused, ...again }), CHANNEL, at(6))?.id, read?.id);
});

test("L3: of the letters of one output the newest is taken, and a failed step leaves out outputs with a letter of their own", () => {
  const failed = letter({ n: 1 });
  const refused = letter(
    { n: 2 },
    { ...OF_REPLAY, code: "SINK_REJECTED", source: source(7, 1), replayed: replayed(0) },
  );
  const failedAgain = letter({ n: 1 }, { ...OF_REPLAY, replayed: replayed(0) });
  const later = new LaterLetters(CHANNEL);
  for (const [offset, one] of [failed, refused].entries()) later.see(one, at(offset));
  const [first, second] = [readLetter(failed, CHANNEL, at(0)), readLetter(refused, CHANNEL, at(1))];
  if (first === undefined || second === undefined) throw new Error("not read");
  assert.equal([later.has(first, at(0)), later.has(second, at(1))], [false, false]);
  assert.equal(
    [0, 1].map((index) => later.hasOutput(first, index, at(0))),
    [false, true],
  );
  later.see(failedAgain, at(2));
  assert.equal([later.has(first, at(0)), later.has(second, at(1)), later.has(first, at(2))], [true, true, false]);
});

test("two equal events that were rejected are both sent again", () => {
  const rejection = (producerId: string, sequence: readonly number[]) => ({
    ...letter({ n: 1 }),
    ...{ by: "validation", producerId, sequence },
  });
  const later = new LaterLetters("rejected");
  const all = [rejection("p", [0, 0, 0]), rejection("p/0", [0, 1, 0]), rejection("name/0", [4, 0, 0])];
  for (const [offset, one] of all.entries()) later.see(one, at(offset));
  const left = all.flatMap((one, offset) => {
    const read = readLetter(one, "rejected", at(offset));
    return read === undefined || later.has(read, at(offset)) ? [] : [offset];
  });
  assert.equal(left, [1, 2]);
});

test("no producer hides another's rejection behind one that names its place and has the same short hash", () => {
  const rejection = (v: string, producerId: string, sequence: readonly number[]) => ({
    ...letter({ v }),
    ...{ by: "validation", producerId, sequence },
  });
  const later = new LaterLetters("rejected");
  const hidden = rejection("007pvu", "p", [0, 0, 0]);
  later.see(hidden, at(0));
  later.see(rejection("00a3ea", "x/0", [4, 0, 0]), at(1)); // FNV-1a of 32 bits is the same for both
  const read = readLetter(hidden, "rejected", at(0));
  if (read === undefined) throw new Error("not read");
  assert.is(later.has(read, at(0)), false);
});

test.run();
