import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type FileSinkOptions, fileSink } from "../../../../actors/sinks/file/file_sink.ts";
import type { SinkWriter } from "../../../../actors/sinks/sink.ts";
import { ConfigurationError } from "../../../../protocols/errors.ts";
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

async function inFolder(body: (directory: string, store: FakeCheckpoint) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "headrace-file-sink-"));
  try {
    await body(directory, fakeCheckpoint());
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const open = (options: FileSinkOptions, store: FakeCheckpoint, owner: number, clock = { nowMs: 0 }) =>
  fileSink.open(options, fakeSinkContext(store, owner, clock));

async function offsetsIn(directory: string, store: FakeCheckpoint): Promise<number[]> {
  const text = (await readFileSink(directory, PARTITION, store.value)).join("");
  return text
    .split("\n")
    .slice(0, -1)
    .map((line) => (JSON.parse(line) as { at: number }).at);
}

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index);
const names = (directory: string) => readdirSync(join(directory, "readings", "0")).sort();

test("sink S3: records are read back in order across segments and the open file, and the position is the last record's", () =>
  inFolder(async (directory, store) => {
    const sink = await open({ directory, segmentBytesMax: 60 }, store, 1);
    for (let at = 0; at < 20; at += 2) assert.equal(await sink.write(sinkBatch(1, at, at + 1)), { kind: "written" });
    assert.equal(await offsetsIn(directory, store), range(0, 19));
    assert.ok(names(directory).filter((name) => name.endsWith(".ndjson")).length > 3);
    assert.equal(await sink.position(), position(1, 19));
    await sink.close();
  }));

test("sink S2: a batch written twice is a duplicate, and one that does not follow is misplaced", () =>
  inFolder(async (directory, store) => {
    const sink = await open({ directory }, store, 1);
    await sink.write(sinkBatch(1, 0, 4));
    assert.equal((await sink.write(sinkBatch(1, 0, 4))).kind, "duplicate");
    assert.equal(await sink.write(sinkBatch(1, 9, 12)), { kind: "misplaced", position: position(1, 4) });
    assert.equal(await offsetsIn(directory, store), range(0, 4));
    await sink.close();
  }));

test("F2: bytes past the committed length of a predecessor's file are not read", () =>
  inFolder(async (directory, store) => {
    const first = await open({ directory }, store, 1);
    await first.write(sinkBatch(1, 0, 4));
    store.fault = (isAfter) => {
      if (!isAfter) throw new Error("the store is away");
    };
    let error: unknown;
    await first.write(sinkBatch(1, 5, 9)).catch((thrown: unknown) => (error = thrown));
    assert.instance(error, Error);
    store.fault = undefined;
    const file = names(directory).find((name) => name.endsWith(".part"))!;
    appendFileSync(join(directory, "readings", "0", file), '{"at":"torn');
    assert.equal(await offsetsIn(directory, store), range(0, 4));
    const second = await open({ directory }, store, 2);
    assert.equal(await second.position(), position(1, 4));
    await second.write(sinkBatch(2, 5, 6, 1));
    assert.equal(await offsetsIn(directory, store), range(0, 6));
    await second.close();
    await first.close();
  }));

test("sink S4: a commit whose answer was lost is found by asking for the position", () =>
  inFolder(async (directory, store) => {
    const sink = await open({ directory }, store, 1);
    store.fault = (isAfter) => {
      if (isAfter) throw new Error("the answer was lost");
    };
    await sink.write(sinkBatch(1, 0, 4)).catch(() => undefined);
    store.fault = undefined;
    assert.equal(await sink.position(), position(1, 4));
    await sink.write(sinkBatch(1, 5, 6));
    assert.equal(await offsetsIn(directory, store), range(0, 6));
    await sink.close();
  }));

test("sink S2: an owner that was frozen with a batch in hand commits nothing after a newer one has opened", () =>
  inFolder(async (directory, store) => {
    const frozen = await open({ directory }, store, 1);
    await frozen.write(sinkBatch(1, 0, 99));
    const newer = await open({ directory }, store, 2);
    await newer.write(sinkBatch(1, 100, 109));
    assert.equal((await frozen.write(sinkBatch(1, 100, 109))).kind, "fenced");
    await newer.write(sinkBatch(2, 110, 111, 1));
    assert.equal(await offsetsIn(directory, store), range(0, 111));
    await newer.close();
    await frozen.close();
  }));

test("an owner that was frozen before it published its segment publishes none beside a newer owner's", () =>
  inFolder(async (directory, store) => {
    const clock = { nowMs: 0 };
    const frozen = await open({ directory, segmentAgeMaxMs: 1_000 }, store, 1, clock);
    await frozen.write(sinkBatch(1, 0, 149));
    const newer = await open({ directory }, store, 2);
    clock.nowMs = 5_000;
    assert.equal((await frozen.write(sinkBatch(1, 150, 199))).kind, "fenced");
    await newer.write(sinkBatch(1, 150, 159));
    assert.equal(await offsetsIn(directory, store), range(0, 159));
    await newer.close();
    await frozen.close();
  }));

test("W1: the owner folder is made before the log sees the fence", () =>
  inFolder(async (directory, store) => {
    const isThere: boolean[] = [];
    store.fault = () => void isThere.push(names(directory).some((name) => name.startsWith(".owner-1-")));
    const sink = await open({ directory }, store, 1);
    assert.ok(isThere.length > 0 && isThere.every((is) => is));
    await sink.close();
  }));

test("F4, sink S1: a stale owner that opens again is refused and removes nothing", () =>
  inFolder(async (directory, store) => {
    const newer = await open({ directory }, store, 5);
    await newer.write(sinkBatch(5, 0, 9));
    const before = names(directory);
    const stale = { ...fakeSinkContext(store, 5), fence: fakeSinkContext(store, 5).fence };
    store.fence = 6;
    await fileSink.open({ directory }, stale).then(
      () => assert.unreachable(),
      (error: Error) => assert.is(error.name, "FencedError"),
    );
    assert.equal(names(directory), before);
    await newer.close();
  }));

test("a crash at any checkpoint of a long run loses and repeats nothing", () =>
  inFolder(async (directory, store) => {
    let owner = 1;
    let calls = 0;
    for (let written = 0; written < 60; ) {
      let sink: SinkWriter | undefined;
      try {
        sink = await open({ directory, segmentBytesMax: 100 }, store, owner);
        const from = ((await sink.position())?.offset ?? -1) + 1;
        written = from;
        for (let at = from; at < 60; at += 1) {
          // Every 7th checkpoint fails, by turns before and after it took place.
          store.fault = (isAfter) => {
            calls += 1;
            if (calls % 7 === 0) throw new Error(`crash ${isAfter}`);
          };
          const before = await sink.position();
          const batch = sinkBatch(1, at, at);
          const outcome = await sink.write({ ...batch, predecessor: before });
          assert.is(outcome.kind, "written");
          written = at + 1;
        }
        store.fault = undefined;
      } catch (error) {
        assert.match((error as Error).message, /^crash/);
        store.fault = undefined;
        owner += 1;
      } finally {
        await sink?.close();
      }
    }
    assert.ok(owner > 5);
    assert.equal(await offsetsIn(directory, store), range(0, 59));
  }));

test("a rewind takes back the records that the log lost, in published segments too", () =>
  inFolder(async (directory, store) => {
    const sink = await open({ directory, segmentBytesMax: 300 }, store, 1);
    for (let at = 0; at < 30; at += 3) await sink.write(sinkBatch(1, at, at + 2));
    await sink.rewind?.(position(1, 12), position(1, 29));
    const stood = await sink.position();
    assert.equal(stood, position(1, 11), "the end of the last batch at or below");
    assert.equal(await offsetsIn(directory, store), range(0, 11));
    await sink.write({ ...sinkBatch(2, 12, 14), predecessor: stood });
    const next = await open({ directory }, store, 2);
    await next.write(sinkBatch(2, 15, 16));
    assert.equal(await offsetsIn(directory, store), range(0, 16));
    await next.rewind?.(undefined, position(2, 16));
    assert.equal(await next.position(), undefined);
    assert.equal(await offsetsIn(directory, store), []);
    await next.write(sinkBatch(3, 0, 1));
    assert.equal(await offsetsIn(directory, store), [0, 1]);
    await next.close();
    await sink.close();
  }));

for (const [what, writes] of [
  ["published a longer file", 3],
  ["published further files", 12],
  ["gone on with the same file", 1],
] as const) {
  test(`F5: where the log lost its newest commits and the sink had ${what} by then, records beyond the commit are taken back`, () =>
    inFolder(async (directory, store) => {
      const options = { directory, segmentBytesMax: 60 };
      let before = await open(options, store, 1);
      for (let at = 0; at < 15; at += 1) await before.write(sinkBatch(1, at, at));
      for (let kept = 15; kept < 24; kept += 1) {
        const commit = store.value;
        for (let at = kept; at < kept + writes; at += 1) {
          assert.equal(await before.write(sinkBatch(1, at, at)), { kind: "written" });
        }
        await before.close();
        store.value = commit; // the tail is lost, and the log knows of nothing later
        before = await open(options, store, store.fence + 1);
        assert.equal(await before.position(), position(1, kept - 1), `${kept}`);
        assert.equal(await offsetsIn(directory, store), range(0, kept - 1));
        await before.write(sinkBatch(1, kept, kept));
        if (kept % 3 === 0) await before.finish?.();
        assert.equal(await offsetsIn(directory, store), range(0, kept));
      }
      await before.close();
    }));
}

test("W2: an owner that was frozen while it opened removes nothing that a newer one has published since", () =>
  inFolder(async (directory, store) => {
    const options = { directory, segmentBytesMax: 60 };
    const first = await open(options, store, 1);
    for (let at = 0; at < 7; at += 1) await first.write(sinkBatch(1, at, at));
    await first.close();
    const commit = store.value;
    let newer: SinkWriter | undefined;
    const frozen = fakeSinkContext(store, 2);
    const read = async () => {
      // The frozen owner has read the folder, and wakes up after the newer one's work.
      if (newer === undefined) {
        newer = await open(options, store, 3);
        for (let at = 7; at < 30; at += 1) await newer.write(sinkBatch(1, at, at));
        store.fence = 2; // its first look at the fence was before that
        setImmediate(() => (store.fence = 3));
      }
      return commit;
    };
    const kept = store;
    const write = async (value: Uint8Array) => {
      if (kept.fence === 3) return frozen.checkpoint.write(value);
    };
    await fileSink.open(options, { ...frozen, checkpoint: { read, write } }).catch(() => undefined);
    assert.equal(await offsetsIn(directory, store), range(0, 29));
    await newer?.close();
  }));

test("F6, sink S6: a rewind that is late undoes nothing that was written since", () =>
  inFolder(async (directory, store) => {
    let arrive = () => {};
    const gate = new Promise<void>((resolve) => {
      arrive = resolve;
    });
    let isHeld = false;
    const context = fakeSinkContext(store, 1);
    const write = async (value: Uint8Array) => {
      if (isHeld) await gate;
      await context.checkpoint.write(value);
    };
    const sink = await fileSink.open({ directory }, { ...context, checkpoint: { ...context.checkpoint, write } });
    for (let at = 0; at < 30; at += 3) await sink.write(sinkBatch(1, at, at + 2));
    isHeld = true;
    const [to, from] = [position(1, 11), position(1, 29)];
    // The first rewind hangs past its deadline, and its caller goes on while it is still under way.
    const late = sink.rewind?.(to, from);
    const again = sink.rewind?.(to, from);
    const newer = sink.write({ ...sinkBatch(2, 12, 14), predecessor: to });
    isHeld = false;
    arrive();
    await Promise.all([late, again]);
    assert.equal(await newer, { kind: "written" });
    await sink.rewind?.(to, from);
    assert.equal(await sink.position(), position(2, 14));
    assert.equal(await offsetsIn(directory, store), range(0, 14));
    await sink.close();
  }));

test("F6: a write that is still under way when the sink is closed commits nothing", () =>
  inFolder(async (directory, store) => {
    const sink = await open({ directory }, store, 1);
    await sink.write(sinkBatch(1, 0, 4));
    const before = store.value;
    const late = sink.write(sinkBatch(1, 5, 9)).then(
      () => "written",
      () => "refused",
    );
    await sink.close();
    assert.is(await late, "refused");
    assert.is(store.value, before);
  }));

test("after a crash took the newest lines of an index, a rewind goes back further and tears no record", () =>
  inFolder(async (directory, store) => {
    const crashed = await open({ directory }, store, 1);
    for (let at = 0; at < 600; at += 2) await crashed.write(sinkBatch(1, at, at + 1));
    const next = await open({ directory }, store, 2);
    assert.equal(await next.position(), position(1, 599));
    await next.rewind?.(position(1, 590), position(1, 599));
    const stood = (await next.position())!.offset;
    assert.ok(stood < 590 && stood > 500, `256 commits may be without a line: stood at ${stood}`);
    assert.equal(await offsetsIn(directory, store), range(0, stood));
    await next.close();
    await crashed.close();
  }));

test("a crash in the middle of a rewind leaves the folder rewound or not, never both", async () => {
  for (const crashAt of [1, 2, 3, 4, 5, 6]) {
    await inFolder(async (directory, store) => {
      const sink = await open({ directory, segmentBytesMax: 100 }, store, 1);
      for (let at = 0; at < 30; at += 3) await sink.write(sinkBatch(1, at, at + 2));
      let calls = 0;
      store.fault = () => {
        calls += 1;
        if (calls === crashAt) throw new Error("crash");
      };
      await sink.rewind?.(position(1, 12), position(1, 29)).catch(() => undefined);
      store.fault = undefined;
      const next = await open({ directory }, store, 2);
      const stood = (await next.position())!.offset;
      assert.ok(stood === 11 || stood === 29, `crash at ${crashAt}: stood at ${stood}`);
      assert.equal(await offsetsIn(directory, store), range(0, stood));
      await next.close();
      await sink.close();
    });
  }
});

test("F8: a rewind whose commit took effect though its answer was lost is ended before anything else is written", async () => {
  for (const to of [position(1, 12), undefined]) {
    await inFolder(async (directory, store) => {
      const sink = await open({ directory, segmentBytesMax: 100 }, store, 1);
      for (let at = 0; at < 30; at += 3) await sink.write(sinkBatch(1, at, at + 2));
      store.fault = (isAfter) => {
        const isReplacement = new TextDecoder().decode(store.value).includes('"isReplacement":true');
        if (isAfter && isReplacement) throw new Error("the answer was lost");
      };
      await sink.rewind?.(to, position(1, 29)).catch(() => undefined);
      store.fault = undefined;
      const stood = await sink.position();
      assert.equal(stood, to && position(1, 11));
      const from = (stood?.offset ?? -1) + 1;
      assert.equal(await sink.write({ ...sinkBatch(2, from, from + 2), predecessor: stood }), { kind: "written" });
      assert.equal(await offsetsIn(directory, store), range(0, from + 2));
      await sink.finish?.();
      assert.equal(await offsetsIn(directory, store), range(0, from + 2));
      await sink.close();
    });
  }
});

test("F6: an opening that ran out of time takes back nothing of a later one by the same owner", async () => {
  if (!CAN_HOLD_FILES) return console.log("not tried here: the runtime is not Node");
  for (let at = 0, isHeld = true; isHeld; at += 1) {
    await inFolder(async (directory, store) => {
      const options = { directory, segmentBytesMax: 60 };
      const first = await open(options, store, 1);
      for (let offset = 0; offset < 3; offset += 1) await first.write(sinkBatch(1, offset, offset));
      const { value } = store;
      for (let offset = 3; offset < 10; offset += 1) await first.write(sinkBatch(1, offset, offset));
      await first.close();
      store.value = value;
      const late = new Held(at, async () => (await open(options, store, 2)).close());
      isHeld = (await late.reached) !== undefined;
      const later = await open(options, store, 2);
      for (let offset = 3; offset < 14; offset += 1) await later.write(sinkBatch(1, offset, offset));
      const published = names(directory).filter((name) => name.startsWith("segment"));
      await late.resume();
      assert.equal(
        names(directory).filter((name) => name.startsWith("segment")),
        published,
        `held at ${at}`,
      );
      await later.write(sinkBatch(1, 14, 14));
      assert.equal(await offsetsIn(directory, store), range(0, 14));
      await later.close();
    });
  }
});

test("a folder of a release without owner folders is taken over, and records are taken back from it", () =>
  inFolder(async (directory, store) => {
    const folder = join(directory, "readings", "0");
    mkdirSync(folder, { recursive: true });
    const lines = (from: number, to: number) => range(from, to).map((at) => `{"at":${at}}\n`);
    const index = (from: number, to: number) =>
      [from - 1, ...range(from, to)].map((at) => {
        const length = lines(from, at).join("").length;
        return `${JSON.stringify(at < 0 ? [length] : [length, 1, at])}\n`;
      });
    const write = (name: string, from: number, to: number) => {
      writeFileSync(join(folder, name), lines(from, to).join(""));
      writeFileSync(join(folder, `${name}.index`), index(from, to).join(""));
    };
    write("segment-0000000000000000.ndjson", 0, 3);
    write("segment-0000000000000004.ndjson", 4, 7);
    write("segment-0000000000000008.ndjson", 8, 11); // Its commit was lost with the tail.
    write("open-7-1764150000000-3.part", 8, 10);
    write("open-7-1764150000000-9.part", 12, 14);
    const length = lines(8, 9).join("").length;
    store.value = new TextEncoder().encode(
      `{"version":1,"position":{"epoch":1,"offset":9},"open":{"file":"open-7-1764150000000-3.part","length":${length},"first":8,"isReplacement":false}}`,
    );
    assert.equal(
      await offsetsIn(directory, { ...store }),
      range(0, 11),
      "a reader sees the segment until the next opening",
    );
    const sink = await open({ directory }, store, 8);
    assert.equal(await sink.position(), position(1, 9));
    assert.equal(await offsetsIn(directory, store), range(0, 9));
    assert.equal(
      names(directory).filter((name) => name.startsWith("open")),
      [],
    );
    await sink.rewind?.(position(1, 5), position(1, 9));
    assert.equal(await sink.position(), position(1, 5));
    await sink.write(sinkBatch(1, 6, 8));
    assert.equal(await offsetsIn(directory, store), range(0, 8));
    await sink.close();
  }));

test("an index that names places beyond its segment's end, of lost commits, makes a rewind tear no record", () =>
  inFolder(async (directory, store) => {
    const first = await open({ directory }, store, 1);
    for (let at = 0; at < 4; at += 1) await first.write(sinkBatch(1, at, at));
    const { value } = store;
    await first.write(sinkBatch(1, 4, 5));
    await first.close();
    store.value = value;
    const sink = await open({ directory }, store, 2);
    await sink.write(sinkBatch(2, 4, 6, 1));
    await sink.finish?.();
    // A crash took the index of the newer segment: only the older one's is left.
    rmSync(join(directory, "readings", "0", "segment-0000000000000004.ndjson.index"));
    await sink.rewind?.(position(1, 5), position(2, 6));
    assert.equal(await sink.position(), position(1, 3));
    assert.equal(await offsetsIn(directory, store), range(0, 3));
    await sink.close();
  }));

test("CSV quotes what must be quoted, names its columns in every file and disarms formulas", () =>
  inFolder(async (directory, store) => {
    const sink = await open(
      { directory, format: "csv", columns: ["name", "note", "tags", "level"], spreadsheetSafe: true },
      store,
      1,
    );
    const event = { name: 'a "b", c', note: "=cmd()\nline", tags: ["x", 1n], level: -5e19, other: 1 };
    const batch = { ...sinkBatch(1, 0, 0), records: [{ position: position(1, 0), index: 0, event, timeMs: 0 }] };
    await sink.write(batch);
    await sink.close();
    const [text] = await readFileSink(directory, PARTITION, store.value, "csv");
    assert.is(text, 'name,note,tags,level\r\n"a ""b"", c","\'=cmd()\nline","[""x"",""1""]",-5e+19\r\n');
  }));

test("CSV disarms every beginning of a formula, and leaves other texts as they are", () =>
  inFolder(async (directory, store) => {
    const sink = await open({ directory, format: "csv", columns: ["note"], spreadsheetSafe: true }, store, 1);
    const notes = ["=1", "+1", "-1", "@a", "\tx", "a=1"];
    const records = notes.map((note, at) => ({ position: position(1, at), index: 0, event: { note }, timeMs: 0 }));
    await sink.write({ ...sinkBatch(1, 0, notes.length - 1), records });
    await sink.close();
    const [text] = await readFileSink(directory, PARTITION, store.value, "csv");
    assert.equal(text?.split("\r\n").slice(1, -1), ["'=1", "'+1", "'-1", "'@a", "'\tx", "a=1"]);
  }));

test("a batch without records moves the position alone", () =>
  inFolder(async (directory, store) => {
    const sink = await open({ directory }, store, 1);
    await sink.write({ predecessor: undefined, end: position(1, 7), records: [] });
    await sink.write(sinkBatch(1, 8, 9));
    assert.equal(await offsetsIn(directory, store), [8, 9]);
    await sink.close();
  }));

/** A clock whose timers fire when the test says so. */
function timedClock() {
  const timers = new Map<number, { readonly delayMs: number; readonly onTime: () => void }>();
  let made = 0;
  const setTimer = (delayMs: number, onTime: () => void) => {
    made += 1;
    const id = made;
    timers.set(id, { delayMs, onTime });
    return { cancel: () => timers.delete(id) };
  };
  /** Fires the timers that wait, and answers their delays in ms. */
  const fire = (): number[] => {
    const due = [...timers.values()];
    timers.clear();
    for (const { onTime } of due) onTime();
    return due.map(({ delayMs }) => delayMs);
  };
  return { nowMs: 0, setTimer, fire };
}

const segments = (directory: string) => names(directory).filter((name) => name.endsWith(".ndjson"));

test("F7: a segment closes at its age though nothing more is written, and the next write begins another", () =>
  inFolder(async (directory, store) => {
    const clock = timedClock();
    const sink = await open({ directory, segmentAgeMaxMs: 1_000 }, store, 1, clock);
    await sink.write(sinkBatch(1, 0, 4));
    assert.equal(segments(directory), []);
    assert.equal(clock.fire(), [1_000]);
    assert.equal(await sink.position(), position(1, 4)); // this turn comes after the timer's
    assert.equal(segments(directory), ["segment-0000000000000000.ndjson"]);
    assert.equal(clock.fire(), [], "nothing waits while no file is open");
    assert.equal(await sink.write(sinkBatch(1, 5, 6)), { kind: "written" });
    assert.equal(await offsetsIn(directory, store), range(0, 6));
    await sink.close();
    assert.equal(clock.fire(), [], "a closed sink waits for nothing");
  }));

test("F7: a segment that could not be published at its age is tried again", () =>
  inFolder(async (directory, store) => {
    const clock = timedClock();
    const sink = await open({ directory, segmentAgeMaxMs: 1_000 }, store, 1, clock);
    await sink.write(sinkBatch(1, 0, 4));
    store.fault = (isAfter) => {
      if (!isAfter) throw new Error("the store is away");
    };
    clock.fire();
    await sink.position();
    store.fault = undefined;
    await sink.position();
    assert.equal(clock.fire().length, 1, "another timer");
    await sink.position();
    assert.equal(segments(directory).length, 1);
    assert.equal(await offsetsIn(directory, store), range(0, 4));
    await sink.write(sinkBatch(1, 5, 6));
    assert.equal(await offsetsIn(directory, store), range(0, 6));
    await sink.close();
  }));

test("F7: an owner that was frozen publishes nothing at its segment's age, once a newer one has opened the sink", () =>
  inFolder(async (directory, store) => {
    const clock = timedClock();
    const frozen = await open({ directory, segmentAgeMaxMs: 1_000 }, store, 1, clock);
    await frozen.write(sinkBatch(1, 0, 4));
    const next = await open({ directory }, store, 2);
    await next.write(sinkBatch(2, 5, 6, 1));
    const before = names(directory);
    clock.fire();
    await frozen.position();
    assert.equal(
      names(directory).filter((name) => !name.startsWith("open-1-")),
      before.filter((name) => !name.startsWith("open-1-")),
    );
    assert.equal(await offsetsIn(directory, store), range(0, 6));
    await Promise.all([frozen.close(), next.close()]);
  }));

/** Opens the sink for a log, by the log's id and the sink's commit in it. */
const openFor = (clusterId: string, directory: string, store: FakeCheckpoint, owner: number) =>
  fileSink.open({ directory, segmentBytesMax: 60 }, { ...fakeSinkContext(store, owner), clusterId });

const contents = (directory: string) =>
  names(directory)
    .filter((name) => /^(segment|open)/.test(name))
    .map((name) => [name, readFileSync(join(directory, "readings", "0", name), "utf8")]);

async function filled(directory: string, store: FakeCheckpoint): Promise<void> {
  const sink = await openFor("log-1", directory, store, 1);
  for (let at = 0; at < 20; at += 2) await sink.write(sinkBatch(1, at, at + 1));
  await sink.close();
}

async function refusal(opening: Promise<SinkWriter>): Promise<ConfigurationError> {
  const error = await opening.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.instance(error, ConfigurationError);
  return error as ConfigurationError;
}

test("F9, O2: segments of another log are not touched, whatever commit of the sink this log holds", () =>
  inFolder(async (directory, store) => {
    await filled(directory, store);
    const before = contents(directory);
    const other = fakeCheckpoint();
    const { value } = store;
    for (const commit of [undefined, value]) {
      other.value = commit;
      const { code, message } = await refusal(openFor("log-2", directory, other, 9));
      assert.is(code, "DATA_IN_USE");
      for (const named of [join(directory, "readings", "0"), "log-1", "log-2", ".log_id"])
        assert.ok(message.includes(named));
    }
    assert.equal(contents(directory), before);
    assert.is(other.value, value, "nor is a commit stored");
    const sink = await openFor("log-1", directory, store, 2);
    await sink.write(sinkBatch(1, 20, 21));
    assert.equal(await offsetsIn(directory, store), range(0, 21));
    await sink.close();
  }));

test("a folder whose files and mark were moved away is free", () =>
  inFolder(async (directory, store) => {
    await filled(directory, store);
    renameSync(join(directory, "readings"), join(directory, "readings.of-log-1"));
    const other = fakeCheckpoint();
    const sink = await openFor("log-2", directory, other, 1);
    await sink.write(sinkBatch(1, 0, 1));
    assert.equal(await offsetsIn(directory, other), [0, 1]);
    await sink.close();
    await refusal(openFor("log-1", directory, store, 2));
  }));

test("O3: a folder without a mark belongs to the log whose commit says that the sink has written", () =>
  inFolder(async (directory, store) => {
    await filled(directory, store);
    rmSync(join(directory, "readings", "0", ".log_id"));
    const before = contents(directory);
    const { message } = await refusal(openFor("log-2", directory, fakeCheckpoint(), 9));
    assert.match(message, /without the mark of a log/);
    assert.equal(contents(directory), before);
    await (await openFor("log-1", directory, store, 2)).close();
    assert.is(readFileSync(join(directory, "readings", "0", ".log_id"), "utf8"), "log-1");
    assert.equal(await offsetsIn(directory, store), range(0, 19));
  }));

test("O4: segments are not touched where the log was emptied and kept its id", () =>
  inFolder(async (directory, store) => {
    await filled(directory, store);
    const before = contents(directory);
    const emptied = fakeCheckpoint();
    const { message } = await refusal(openFor("log-1", directory, emptied, 2));
    assert.match(message, /has no commit of this sink/);
    assert.equal(contents(directory), before);
  }));

test("a first file that no commit covers, left by a crash, is removed as before", () =>
  inFolder(async (directory, store) => {
    const sink = await openFor("log-1", directory, store, 1);
    store.fault = (isAfter) => {
      if (!isAfter) throw new Error("a crash before the commit");
    };
    await sink.write(sinkBatch(1, 0, 0)).catch(() => undefined);
    store.fault = undefined;
    await sink.close();
    const next = await openFor("log-1", directory, store, 2);
    await next.write(sinkBatch(1, 0, 1));
    assert.equal(await offsetsIn(directory, store), [0, 1]);
    await next.close();
  }));

test("O1: of two logs that open one empty folder at once, one gets it", () =>
  inFolder(async (directory) => {
    const opened = await Promise.allSettled(
      ["log-1", "log-2"].map((id, at) => openFor(id, directory, fakeCheckpoint(), 1 + at)),
    );
    const writers = opened.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    assert.is(writers.length, 1);
    for (const one of opened) if (one.status === "rejected") assert.is(one.reason.code, "DATA_IN_USE");
    for (const writer of writers) await writer.close();
  }));

test("a directory that could be the folder of another sink's delivery is refused", async () => {
  for (const directory of ["out/as=late", "as=late", "out/Replay=again/x", "out\\as=late"]) {
    const error = await fileSink.check?.({ directory }, undefined)?.then(
      () => undefined,
      (refusal: Error) => refusal,
    );
    assert.match(String(error), /no part of its directory may begin with as= or replay=/, directory);
  }
  for (const directory of ["out/asset", "has=late", "./out"]) await fileSink.check?.({ directory }, undefined);
});

test.run();
