/** Whatever happens to a file, and whenever the source ends, each byte of it comes in once. Late bytes: late_files.test.ts. */
import {
  copyFile,
  mkdtemp,
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
import { type FileSourceOptions, fileSource } from "../../../actors/sources/file_source.ts";
import type { SourceBatch, SourcePosition } from "../../../actors/sources/source.ts";
import { compareSequences, type Sequence } from "../../../protocols/mod.ts";

/** The log behind the source: a chain that takes what is after its last sequence (E2), and the places that may be stored. */
class Chain {
  text = "";
  batches = 0;
  #last: Sequence | undefined;
  /** What may be stored when the source is killed: not before a place without events, which is waited for (O2). */
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

  /** The place that is stored after a kill with `behind` batches not yet settled. */
  resume(behind: number): SourcePosition | undefined {
    const at = Math.max(0, this.#stored.length - 1 - behind);
    this.#stored = this.#stored.slice(at, at + 1);
    return this.#stored[0];
  }
}

/**
 * Turns of a timer without a batch after which nothing more is awaited: many times what the source needs. Turns, not
 * milliseconds: the timers of the source are of the same process, and a loaded machine slows both down alike.
 */
const QUIET_TURNS_MAX = 400;
const TURN_MS = 5;
/** The source looks every 10 ms, and at what it finds once more. */
const TURNS_OF_A_LOOK = 8;

class Story {
  readonly #options: FileSourceOptions;
  readonly #chain = new Chain();
  #written = "";
  #count = 0;
  #lastNs = 0n;
  #dated = 0;
  #life: { readonly stop: AbortController; readonly ended: Promise<void> } | undefined;

  constructor(path: string) {
    // Nothing of a line that is written in two parts may be lost, and nothing doubled.
    this.#options = { path, format: "lines", everyMs: 10, lastLineAfterMs: 20 };
  }

  get path(): string {
    return this.#options.path;
  }

  async append(isWhole: boolean): Promise<void> {
    this.#count += 1;
    const text = `<line ${this.#count} ${"-".repeat((this.#count * 37) % 90)}>`;
    this.#written += text;
    await writeFile(this.path, isWhole ? `${text}\n` : text, { flag: "a" });
    await this.#tick();
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
    await this.#tick();
    // Rotated any number of times while nobody looks, and once between two looks: an empty file may be seen by its look alone.
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
  }

  async seen(): Promise<void> {
    this.begin(0);
    let { batches } = this.#chain;
    for (let turns = 0; turns < QUIET_TURNS_MAX && this.#chain.text.length < this.#written.length; turns += 1) {
      await new Promise((resolve) => setTimeout(resolve, TURN_MS));
      if (this.#chain.batches !== batches) turns = 0;
      batches = this.#chain.batches;
    }
    assert.ok(this.#chain.text === this.#written, `expected ${this.#written}\nbut it was ${this.#chain.text}`);
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

const ROTATIONS = ["number", "copy", "gzip", "date", "copy by date"] as const;
type Rotation = (typeof ROTATIONS)[number];

type Step =
  | { readonly do: "append"; readonly isWhole: boolean }
  | { readonly do: "rotate"; readonly how: Rotation }
  | { readonly do: "begin"; readonly behind: number }
  | { readonly do: "end" }
  | { readonly do: "seen" };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant("append" as const), isWhole: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("rotate" as const), how: fc.constantFrom(...ROTATIONS) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("begin" as const), behind: fc.nat(3) }) },
  { weight: 2, arbitrary: fc.constant({ do: "end" as const }) },
  { weight: 1, arbitrary: fc.constant({ do: "seen" as const }) },
);

async function perform(story: Story, one: Step): Promise<void> {
  switch (one.do) {
    case "append":
      return story.append(one.isWhole);
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

test("over rotations of every kind, restarts and kills, each byte of a file is given once and in order", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 20 }), async (steps) => {
      const folder = await mkdtemp(join(tmpdir(), "headrace-history-"));
      const story = new Story(join(folder, "app.log"));
      try {
        await story.append(true);
        await story.seen(); // what was rotated before anybody looked is nobody's
        for (const one of steps) await perform(story, one);
        await story.seen();
      } finally {
        await story.end();
        await rm(folder, { recursive: true });
      }
    }),
    { numRuns: 30 },
  );
});

test.run();
