/**
 * Whatever happens to a file, and whenever the source ends, each byte comes in once: in order, except late bytes that
 * nobody waits for.
 */
import {
  copyFile,
  type FileHandle,
  mkdtemp,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  truncate,
  unlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type FileSourceOptions, fileSource } from "../../../../actors/sources/file/file_source.ts";
import type { SourceBatch, SourcePosition } from "../../../../actors/sources/source.ts";
import { compareSequences, type Sequence } from "../../../../protocols/mod.ts";

/** The log behind the source: a chain that takes sequences above its last (E2), and the places that may be stored. */
class Chain {
  text = "";
  batches = 0;
  #last: Sequence | undefined;
  /** The places that may be stored when the source is killed. One without events is always stored (source O2). */
  #stored: (SourcePosition | undefined)[] = [undefined];

  take({ items, resume }: SourceBatch): void {
    this.batches += 1;
    for (const { item, term, position } of items) {
      assert.is(item.kind, "event");
      if (compareSequences([term, position, 0], this.#last) <= 0) continue;
      this.#last = [term, position, 0];
      if (item.kind === "event") this.text += String(item.event.line);
    }
    if (items.length === 0) this.#stored = [resume];
    else this.#stored.push(resume);
  }

  /** The stored place after a kill with `behind` unsettled batches. */
  resume(behind: number): SourcePosition | undefined {
    const at = Math.max(0, this.#stored.length - 1 - behind);
    this.#stored = this.#stored.slice(at, at + 1);
    return this.#stored[0];
  }
}

/**
 * After this many turns of a timer without a batch, no more batches are expected: many times the turns that the source
 * needs. Turns instead of milliseconds, as a loaded machine slows the source's timers and this one alike.
 */
const QUIET_TURNS_MAX = 400;
const TURN_MS = 5;
/** The time of two looks, in ms: the source looks every 10 ms, and once more at a file that it finds. */
const TURNS_OF_A_LOOK = 8;

class Story {
  readonly #options: FileSourceOptions;
  readonly #chain = new Chain();
  #written = "";
  #count = 0;
  #lastNs = 0n;
  #dated = 0;
  /** The numbers of renamed files that their writers still hold open, newest first. */
  #left: { readonly handle: FileHandle; readonly file: number }[] = [];
  #file = 0;
  /** Whether late bytes were written without waiting. From then on the bytes of two files may come in any order. */
  #isHurried = false;
  #hasUnseen = false;
  /** Whether this life has read all bytes once, and so holds the files open that it looks at. */
  #hasFound = false;
  #life: { readonly stop: AbortController; readonly ended: Promise<void> } | undefined;

  constructor(path: string) {
    // No part of a line that is written in two parts may be lost or doubled.
    this.#options = { path, format: "lines", everyMs: 10, lastLineAfterMs: 20 };
  }

  get path(): string {
    return this.#options.path;
  }

  async append(isWhole: boolean, file = this.#file, to: string | FileHandle = this.path): Promise<void> {
    this.#count += 1;
    const text = `<line ${this.#count} of ${file} ${"-".repeat((this.#count * 37) % 90)}>`;
    this.#written += text;
    await writeFile(to, isWhole ? `${text}\n` : text, { flag: "a" });
    await this.#tick();
  }

  /** Whether the writer has not opened the next file yet. */
  async appendLate(back: number, isWhole: boolean, isHurried: boolean): Promise<void> {
    const left = this.#left[back];
    if (left === undefined || (await left.handle.stat()).nlink === 0) return;
    // Files are read one after the other: only bytes written between looks keep their order.
    if (!isHurried) await this.seen();
    this.#isHurried ||= isHurried;
    this.#hasUnseen = true;
    await this.append(isWhole, left.file, left.handle);
    if (!isHurried) await this.seen();
  }

  async rotate(how: Rotation): Promise<void> {
    switch (how) {
      case "number":
      case "copy":
      case "gzip":
        await this.#shift();
        if (how === "number") await this.#rename(`${this.path}.1`);
        if (how === "copy") await this.#copyTruncate(`${this.path}.1`);
        if (how === "gzip") await this.#compress(this.path, `${this.path}.1.gz`);
        break;
      case "date":
        this.#dated += 1;
        await this.#rename(this.path.replace(".log", `-202612${String(this.#dated).padStart(2, "0")}.log`));
        break;
      case "copy by date":
        this.#dated += 1;
        await this.#copyTruncate(`${this.path}-202612${String(this.#dated).padStart(2, "0")}`);
        break;
    }
    await this.#tick();
    if (!how.startsWith("copy")) await writeFile(this.path, "");
    this.#file += 1;
    await this.#tick();
    // Rotates any number of times between lives, but once between two looks: only a look can find an empty file.
    if (this.#life !== undefined) {
      await this.seen();
      for (let turns = 0; turns < TURNS_OF_A_LOOK; turns += 1)
        await new Promise((resolve) => setTimeout(resolve, TURN_MS));
    }
  }

  begin(behind: number): void {
    if (this.#life !== undefined) return;
    const stop = new AbortController();
    this.#life = { stop, ended: this.#run(this.#chain.resume(behind), stop.signal) };
  }

  async end(): Promise<void> {
    this.#life?.stop.abort();
    await this.#life?.ended;
    this.#life = undefined;
    this.#hasFound = false;
  }

  async close(): Promise<void> {
    await this.end();
    for (const { handle } of this.#left) await handle.close();
  }

  async seen(): Promise<void> {
    this.begin(0);
    let { batches } = this.#chain;
    for (let turns = 0; turns < QUIET_TURNS_MAX && this.#chain.text.length < this.#written.length; turns += 1) {
      await new Promise((resolve) => setTimeout(resolve, TURN_MS));
      if (this.#chain.batches !== batches) turns = 0;
      batches = this.#chain.batches;
    }
    const [given, written] = [this.#chain.text, this.#written].map((text) => (this.#isHurried ? byFile(text) : text));
    assert.ok(given === written, `expected ${written}\nbut it was ${given}`);
    this.#hasUnseen = false;
    this.#hasFound = true;
  }

  async #run(resume: SourcePosition | undefined, signal: AbortSignal): Promise<void> {
    const context = {
      name: "file",
      nowMs: () => 0,
      log: () => undefined,
      trouble: () => undefined,
    };
    const reader = await fileSource.open(this.#options, context, resume);
    for await (const batch of reader.read(signal)) this.#chain.take(batch);
    await reader.close();
  }

  #names = (): Promise<string[]> => readdir(join(this.path, ".."));

  async #rename(to: string): Promise<void> {
    this.#left.unshift({ handle: await open(this.path, "a"), file: this.#file });
    await rename(this.path, to);
  }

  /** `app.log.1` becomes `app.log.2`, which is compressed. */
  async #shift(): Promise<void> {
    const found = (await this.#names()).flatMap((name) => {
      const number = /^app\.log\.(\d+)(\.gz)?$/.exec(name)?.[1];
      return number === undefined ? [] : [{ name, number: Number(number) }];
    });
    for (const { name, number } of found.sort((left, right) => right.number - left.number)) {
      const at = join(this.path, "..", name);
      const to = `${this.path}.${number + 1}`;
      if (name.endsWith(".gz")) await rename(at, `${to}.gz`);
      else if (number === 1) await rename(at, to);
      else await this.#compress(at, `${to}.gz`);
    }
  }

  async #compress(from: string, to: string): Promise<void> {
    // Late bytes of a file that loses its name between lives cannot be read (docs/operations.md).
    if (this.#hasUnseen && !this.#hasFound) {
      const wasRunning = this.#life !== undefined;
      await this.seen();
      if (!wasRunning) await this.end();
    }
    const { mtime } = await stat(from);
    const half = join(this.path, "..", ".half");
    await writeFile(half, gzipSync(await readFile(from)));
    await utimes(half, mtime, mtime); // as gzip and logrotate do
    await rename(half, to);
    await unlink(from);
  }

  async #copyTruncate(to: string): Promise<void> {
    await copyFile(this.path, to);
    await this.#tick();
    await truncate(this.path, 0);
  }

  /** Waits until the file system's clock has moved on: files of one tick have no order. */
  async #tick(): Promise<void> {
    const probe = join(this.path, "..", ".probe");
    let now = this.#lastNs;
    while (now <= this.#lastNs) {
      await writeFile(probe, "");
      now = (await stat(probe, { bigint: true })).mtimeNs;
    }
    this.#lastNs = now;
    await unlink(probe);
  }
}

/** The lines of each file in their order, file by file. */
const byFile = (text: string): string =>
  (text.match(/<[^>]*>/g) ?? [])
    .map((line) => ({ line, file: Number(/ of (\d+) /.exec(line)?.[1]) }))
    .toSorted((left, right) => left.file - right.file)
    .map(({ line }) => line)
    .join("");

const ROTATIONS = ["number", "copy", "gzip", "date", "copy by date"] as const;
type Rotation = (typeof ROTATIONS)[number];

type Step =
  | { readonly do: "append"; readonly isWhole: boolean }
  | { readonly do: "append late"; readonly back: number; readonly isWhole: boolean; readonly isHurried: boolean }
  | { readonly do: "rotate"; readonly how: Rotation }
  | { readonly do: "begin"; readonly behind: number }
  | { readonly do: "end" }
  | { readonly do: "seen" };

const stepOf = (isHurried: boolean): fc.Arbitrary<Step> =>
  fc.oneof(
    { weight: 5, arbitrary: fc.record({ do: fc.constant("append" as const), isWhole: fc.boolean() }) },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant("append late" as const),
        back: fc.nat(2),
        isWhole: fc.boolean(),
        isHurried: isHurried ? fc.boolean() : fc.constant(false),
      }),
    },
    { weight: 3, arbitrary: fc.record({ do: fc.constant("rotate" as const), how: fc.constantFrom(...ROTATIONS) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("begin" as const), behind: fc.nat(3) }) },
    { weight: 2, arbitrary: fc.constant({ do: "end" as const }) },
    { weight: 1, arbitrary: fc.constant({ do: "seen" as const }) },
  );

async function perform(story: Story, one: Step): Promise<void> {
  switch (one.do) {
    case "append":
      return story.append(one.isWhole);
    case "append late":
      return story.appendLate(one.back, one.isWhole, one.isHurried);
    case "rotate":
      return story.rotate(one.how);
    case "begin":
      return story.begin(one.behind);
    case "end":
      return story.end();
    case "seen":
      return story.seen();
  }
}

async function hold(steps: readonly Step[]): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "headrace-history-"));
  const story = new Story(join(folder, "app.log"));
  try {
    await story.append(true);
    await story.seen(); // what was rotated before anybody looked is nobody's
    for (const one of steps) await perform(story, one);
    await story.seen();
  } finally {
    await story.close();
    await rm(folder, { recursive: true });
  }
}

const append = (isWhole: boolean): Step => ({ do: "append", isWhole });
const late = (isWhole: boolean, back = 0, isHurried = false): Step => ({ do: "append late", back, isWhole, isHurried });
const rotate = (how: Rotation): Step => ({ do: "rotate", how });
const begin = (behind: number): Step => ({ do: "begin", behind });
const end: Step = { do: "end" };

/** Histories that failed once, each with the fault that it found. */
const FAILED: readonly (readonly Step[])[] = [
  // An empty file that was left and written to late was taken for the next file too.
  [rotate("number"), rotate("number"), end, late(false), rotate("number"), rotate("number"), begin(0)],
  [rotate("date"), rotate("number"), rotate("number"), late(true), rotate("copy by date"), begin(1)],
  [rotate("number"), rotate("number"), late(false), rotate("number"), end, begin(0), append(false)],
  // An empty file was rotated between lives, and had the inode of one that was read: it was never looked at.
  [rotate("number"), end, rotate("gzip"), rotate("number"), append(false), append(false), late(false)],
  // The file that was read was emptied, and rotated while it was empty: reading went on in its copy.
  [rotate("copy"), append(false), end, rotate("copy by date"), rotate("number"), append(false), end, late(false)],
  // A compressed copy was given the inode of the file that it was made of.
  [rotate("copy"), end, rotate("gzip"), late(true), rotate("copy"), append(true), end, begin(1)],
  // The bytes seen in an earlier life were forgotten, so the emptying of the file was not noticed.
  [append(false), end, begin(2), append(true), rotate("copy by date")],
];
const FAILED_HURRIED: readonly (readonly Step[])[] = [
  // A file was compressed with its late bytes, which were read from the file itself as well.
  [rotate("number"), rotate("number"), late(true, 1, true), rotate("number"), rotate("number"), append(false)],
  // Late bytes came before records that were not stored yet, which were then given another number.
  [rotate("number"), append(true), end, begin(1), late(false, 0, true), append(false), rotate("copy"), late(false, 1)],
  // Late bytes of the file that was read hid a compressed file that was rotated after it.
  [end, rotate("number"), append(false), rotate("gzip"), late(false, 0, true), append(false)],
  [end, rotate("date"), append(false), rotate("gzip"), late(false, 0, true)],
  // A file that was renamed during the look at its folder was taken for gone.
  [rotate("number"), end, begin(0), rotate("copy"), late(false), rotate("number"), append(false), rotate("number")],
];

const histories = (isHurried: boolean) => fc.array(stepOf(isHurried), { minLength: 4, maxLength: 20 });
const examples = (failed: typeof FAILED): [Step[]][] => failed.map((steps) => [[...steps]]);

test("over rotations of every kind, restarts and kills, each byte of a file is given once and in order", () =>
  fc.assert(fc.asyncProperty(histories(false), hold), { examples: examples(FAILED), numRuns: 40 }));

test("F4: late bytes that nobody waits for are given once, in the order of their file", () =>
  fc.assert(fc.asyncProperty(histories(true), hold), { examples: examples(FAILED_HURRIED), numRuns: 25 }));

test.run();
