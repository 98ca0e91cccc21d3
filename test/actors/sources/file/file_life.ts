/** Runs lives of a file source in a test, and makes the texts of the files that it follows. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type FileSourceOptions, fileSource } from "../../../../actors/sources/file/file_source.ts";
import type { SourceBatch, SourcePosition } from "../../../../actors/sources/source.ts";
import { eventually } from "../../../support/processes/running_node.ts";

export interface Given {
  readonly text: string;
  readonly term: number;
  readonly position: number;
}

const LIFE_EVERY_MS = 10;

/** One life of the source. Gives out its lines, up to the number that is asked for. */
export class Life {
  readonly #stop = new AbortController();
  readonly #reader;
  readonly #batches;
  resume: SourcePosition | undefined;
  readonly logged: string[] = [];
  /** The files that log lines name as unreadable. */
  readonly unreadable: readonly string[];

  static async begin(options: FileSourceOptions, resume?: SourcePosition): Promise<Life> {
    const logged: string[] = [];
    const unreadable: string[] = [];
    const context = {
      name: "file",
      nowMs: () => 0,
      log: (level: string, message: string, fields: Readonly<Record<string, unknown>> = {}) => {
        logged.push(level === "error" ? `error: ${message}` : message);
        if (Array.isArray(fields.unreadable)) unreadable.push(...fields.unreadable);
      },
      trouble: (code: string | undefined) => void logged.push(`trouble: ${code}`),
    };
    return new Life(
      await fileSource.open({ everyMs: LIFE_EVERY_MS, ...options }, context, resume),
      logged,
      unreadable,
      resume,
    );
  }

  private constructor(
    reader: Awaited<ReturnType<typeof fileSource.open>>,
    logged: string[],
    unreadable: readonly string[],
    resume: SourcePosition | undefined,
  ) {
    this.#reader = reader;
    this.#batches = reader.read(this.#stop.signal)[Symbol.asyncIterator]();
    this.logged = logged;
    this.unreadable = unreadable;
    this.resume = resume;
  }

  async next(): Promise<Given[]> {
    const { value } = await this.#batches.next();
    this.resume = value.resume;
    return this.#given(value);
  }

  #given(value: SourceBatch): Given[] {
    return value.items.map(({ item, term, position }: (typeof value.items)[number]) => ({
      text: item.kind === "event" ? String(item.event.line) : "malformed",
      term,
      position,
    }));
  }

  async take(count: number): Promise<Given[]> {
    const given: Given[] = [];
    while (given.length < count) given.push(...(await this.next()));
    return given;
  }

  /** Waits for the time of `count` looks, so that a source which ends or gives a line too early has done so. */
  async looks(count: number): Promise<void> {
    const endMs = performance.now() + count * LIFE_EVERY_MS;
    await eventually(() => (performance.now() > endMs ? true : undefined));
  }

  /** Reads until `isSeen` holds, and answers the lines that came meanwhile. */
  async until(isSeen: () => boolean): Promise<Given[]> {
    const given: Given[] = [];
    const coming = this.#batches.next();
    coming.catch(() => undefined);
    await eventually(async () => (isSeen() ? true : undefined));
    this.#stop.abort();
    const { value, done } = await coming;
    if (done !== true) given.push(...this.#given(value));
    return given;
  }

  async end(): Promise<void> {
    this.#stop.abort();
    await this.#batches.next();
    await this.#reader.close();
  }
}

export async function withFolder(work: (path: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "headrace-file-"));
  try {
    await work(join(folder, "app.log"));
  } finally {
    await rm(folder, { recursive: true });
  }
}

export const lines = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => `line ${from + index}\n`).join("");
export const texts = (given: readonly Given[]) => given.map(({ text }) => text);
export const numbered = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => `line ${from + index}`);
