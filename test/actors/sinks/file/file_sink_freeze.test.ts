/**
 * An owner is frozen before each of its calls of the file system and of the log, in turn, while the next owner does all
 * its work. Then the frozen owner wakes up. While frozen it must look like a crash; awake it must touch nothing of the
 * next owner's. The last tests let each call fail instead, and the owner goes on.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type FileSinkOptions, fileSink } from "../../../../actors/sinks/file/file_sink.ts";
import type { SinkWriter } from "../../../../actors/sinks/sink.ts";
import { partitionId, position } from "../../../../protocols/position.ts";
import {
  type FakeCheckpoint,
  fakeCheckpoint,
  fakeSinkContext,
  sinkBatch,
} from "../../../support/fakes/fake_sink_context.ts";
import { CAN_HOLD_FILES, Held } from "../../../support/processes/held_files.ts";
import { readFileSink } from "../../../support/read_file_sink.ts";

const PARTITION = { stream: "readings", partition: partitionId(0) };
const CALLS_MAX = 200;
const LAST = 17;
/** In memory where possible: these tests do not check flushes, and a thousand owners flush often. */
const FOLDER = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
/** Room for three records. */
const SEGMENT_BYTES = 60;

/** The folder, and the log with the sink's commits so far. */
class World {
  readonly options: FileSinkOptions;
  readonly store: FakeCheckpoint = fakeCheckpoint();
  readonly commits: Uint8Array[] = [];
  readonly held: Held[] = [];

  constructor(directory: string) {
    this.options = { directory, segmentBytesMax: SEGMENT_BYTES };
  }

  /** Claims the partition, and opens it. */
  async open(owner: number, held?: Held): Promise<SinkWriter> {
    const context = fakeSinkContext(this.store, owner);
    const write = async (value: Uint8Array) => {
      await held?.step("commit");
      await context.checkpoint.write(value);
      this.commits.push(value);
    };
    return fileSink.open(this.options, { ...context, checkpoint: { ...context.checkpoint, write } });
  }

  /** Begins work that is frozen before its call `at`. Answers that call, or undefined if the work ended earlier. */
  freeze(at: number, body: (held: Held) => Promise<unknown>): Promise<string | undefined> {
    const held = new Held(at, body);
    this.held.push(held);
    return held.reached;
  }

  segments(): string[] {
    const folder = join(this.options.directory, "readings", "0");
    const names = readdirSync(folder).filter((name) => name.startsWith("segment-"));
    return names.sort().map((name) => `${name}: ${readFileSync(join(folder, name), "utf8")}`);
  }

  /** Offset and epoch of each record in the folder. */
  async records(): Promise<string[]> {
    const texts = await readFileSink(this.options.directory, PARTITION, this.store.value);
    const lines = texts.join("").split("\n").slice(0, -1);
    return lines.map((line) => JSON.parse(line)).map(({ at, ofEpoch }) => `${at}/${ofEpoch}`);
  }
}

/**
 * Writes records of the owner's epoch up to `last`. Answers the records that the folder must hold then, after those of
 * `before`.
 */
async function writeOn(sink: SinkWriter, owner: number, last: number, aBatch: number, before: readonly string[] = []) {
  const held = before.slice(0, ((await sink.position())?.offset ?? -1) + 1);
  for (let from = ((await sink.position())?.offset ?? -1) + 1; from <= last; from += aBatch) {
    const predecessor = await sink.position();
    const batch = { ...sinkBatch(owner, from, Math.min(last, from + aBatch - 1)), predecessor };
    assert.equal(await sink.write(batch), { kind: "written" });
    held.push(...batch.records.map(({ position: { offset } }) => `${offset}/${owner}`));
  }
  return held;
}

interface Scene {
  /** Owner 1 works. Answers the work that is frozen next: its own, or owner 2's. */
  prepare(world: World): Promise<(held: Held) => Promise<unknown>>;
  /** How many of the newest commits the log loses before the next owner opens. */
  readonly lostCommits?: number;
  /** Whether an owner between the two is frozen as well, at some call of its opening. */
  readonly isNextFrozenToo?: boolean;
}

/** Runs the scene with the owner frozen before call `at`; false once there is no such call. */
async function frozenAt(scene: Scene, at: number): Promise<boolean> {
  const world = new World(mkdtempSync(join(FOLDER, "headrace-freeze-")));
  try {
    const call = await world.freeze(at, await scene.prepare(world));
    const what = `frozen before call ${at}, ${call}`;
    if (scene.lostCommits !== undefined) world.store.value = world.commits.at(-1 - scene.lostCommits);
    if (scene.isNextFrozenToo) await world.freeze((at * 7) % 23, async (held) => (await world.open(3, held)).close());
    const newer = await world.open(4);
    const held = await writeOn(
      newer,
      4,
      LAST,
      3,
      Array.from({ length: LAST }, (_, offset) => `${offset}/1`),
    );
    assert.equal(await world.records(), held, `${what}: as after a crash`);
    const before = world.segments();
    for (const one of world.held) await one.resume();
    assert.equal(world.segments(), before, `${what}: it touched a segment`);
    assert.equal(await world.records(), held, `${what}: it touched a record`);
    await newer.rewind?.(position(1, 5), await newer.position());
    const again = await writeOn(newer, 4, LAST + 3, 3, held);
    await newer.finish?.();
    await newer.close();
    const last = await world.open(5);
    assert.equal(await world.records(), again, `${what}: what came after`);
    await last.close();
    const others = readdirSync(join(world.options.directory, "readings", "0")).filter(
      (name) => !/^segment|^\.log_id$/.test(name),
    );
    assert.equal(others, [], `${what}: nothing else is left`);
    return call !== undefined;
  } finally {
    rmSync(world.options.directory, { recursive: true });
  }
}

const frozenAtEach = (scene: Scene) => async () => {
  if (!CAN_HOLD_FILES) return console.log("not tried here: the runtime is not Node");
  let at = 0;
  while (await frozenAt(scene, at)) {
    at += 1;
    assert.ok(at < CALLS_MAX);
  }
  assert.ok(at > 15, `only ${at} calls were seen`);
};

/** Owner 1 writes up to 13. The log then knows the commits up to `kept` alone, and owner 2 opens. */
const takesBack = (kept: number) => async (world: World) => {
  const first = await world.open(1);
  await writeOn(first, 1, kept, 1);
  const { value } = world.store;
  await writeOn(first, 1, 13, 1);
  await first.close();
  world.store.value = value;
  return async (held: Held) => (await world.open(2, held)).close();
};

const writesOn = async (world: World) => {
  const first = await world.open(1);
  await writeOn(first, 1, 4, 1);
  return () => writeOn(first, 1, 9, 1).finally(() => first.close());
};

const rewinds = async (world: World) => {
  const first = await world.open(1);
  await writeOn(first, 1, 13, 1);
  return async () => {
    try {
      await first.rewind?.(position(1, 7), position(1, 13));
    } finally {
      await first.close();
    }
  };
};

for (const [what, scene] of [
  ["takes back whole segments", { prepare: takesBack(5) }],
  ["cuts a segment that went on", { prepare: takesBack(6) }],
  ["takes back, as the next one is too,", { prepare: takesBack(7), isNextFrozenToo: true }],
  ["writes and publishes", { prepare: writesOn }],
  ["publishes a segment whose last commit the log has lost", { prepare: writesOn, lostCommits: 1 }],
  ["publishes segments whose last three commits the log has lost", { prepare: writesOn, lostCommits: 3 }],
  ["rewinds", { prepare: rewinds }],
] as const satisfies readonly (readonly [string, Scene])[]) {
  // F2, F4 and W2 together: without any of them a scene ends with records lost or doubled.
  test(`an owner that is frozen while it ${what} touches nothing of a newer one's`, frozenAtEach(scene));
}

/** Runs the work with one call that fails, then goes on with the same sink; false once there is no such call. */
async function failedAt(at: number, isRewind: boolean, work: (sink: SinkWriter) => Promise<unknown>): Promise<boolean> {
  const world = new World(mkdtempSync(join(FOLDER, "headrace-fault-")));
  try {
    const sink = await world.open(1);
    const first = await writeOn(sink, 1, 10, 1);
    const failing = new Held(at, () => work(sink), true);
    await failing.resume();
    const what = `call ${at} failed, ${await failing.reached}`;
    const known = [...first, ...["11/1", "12/1", "13/1", "14/1"]];
    const stood = ((await sink.position())?.offset ?? -1) + 1;
    assert.equal(await world.records(), known.slice(0, stood), what);
    const published = world.segments().filter((one) => !one.includes(".index:"));
    const held = await writeOn(sink, 2, LAST, 1, known);
    assert.equal(await world.records(), held, `${what}: what came after`);
    const now = new Set(world.segments());
    // The next operation ends a rewind that had been committed.
    const changed = isRewind ? [] : published.filter((one) => !now.has(one));
    assert.equal(changed, [], `${what}: what is published has changed`);
    await sink.close();
    const next = await world.open(2);
    assert.equal(await world.records(), held, `${what}: at the next opening`);
    await next.close();
    return (await failing.reached) !== undefined;
  } finally {
    rmSync(world.options.directory, { recursive: true });
  }
}

for (const [what, work] of [
  ["publishes", (sink: SinkWriter) => writeOn(sink, 1, 14, 1)],
  ["rewinds", (sink: SinkWriter) => sink.rewind?.(position(1, 4), position(1, 10)) ?? Promise.resolve()],
  ["rewinds to nothing", (sink: SinkWriter) => sink.rewind?.(undefined, position(1, 10)) ?? Promise.resolve()],
] as const) {
  test(`F3, F8, W3: a call that fails while a sink ${what} leaves nothing half done for the next operation`, async () => {
    if (!CAN_HOLD_FILES) return console.log("not tried here: the runtime is not Node");
    let at = 0;
    while (await failedAt(at, what !== "publishes", work)) at += 1;
    assert.ok(at > 15, `only ${at} calls were seen`);
  });
}

test.run();
