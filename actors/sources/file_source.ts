/**
 * Follows a file that grows, over rotation and truncation, and gives each of its records once. A record's sequence is the
 * file's generation and the record's byte offset (E3).
 *
 *   F1. A generation's number and a mark of its first bytes are stored before the first record of it is given out: a restart
 *       counts no other way, and takes no other bytes for these.
 *   F2. A rotated file (renamed, copied or compressed, another made in its place) is read to its end before the next.
 *   F3. A file that holds other bytes than were read was written anew: what was not read of the old bytes is looked for in a copy,
 *       then a new generation begins. Bytes that are nowhere are told with their count.
 *   F4. At most one chunk and one record are held, however long the lines are.
 *   F5. A last line without a line break is ended once nothing has followed for `lastLineAfterMs`, or the file is rotated. Time
 *       alone never ends half a value of JSON, an open quoted field of CSV, or half a character: the writer holds the rest. Where
 *       a line was ended is stored before it is given out: bytes appended afterwards are a line of their own, once.
 *   F6. A path that can not be read is told once for each change, and tried again at each look.
 */

import {
  FILE_OPTIONS,
  type FileSourceOptions,
  fileOptionWarnings,
  lastLineAfterMsOf,
  textOptionsOf,
} from "./file_options.ts";
import { type FilePlace, type ReadFile, seenOf } from "./file_place.ts";
import { FileReports } from "./file_reports.ts";
import { findCopy, findLater, findPlace } from "./file_search.ts";
import { FileText, lastLineOf } from "./file_text.ts";
import { FileTroubleError, ifThere } from "./file_trouble.ts";
import { pause } from "./pause.ts";
import type { FoundRecord } from "./record_cutter.ts";
import type { SourceBatch, SourceContext, SourceDefinition, SourcePosition, SourceReader } from "./source.ts";
import { SourceFile, standingOf } from "./source_file.ts";

export type { FileSourceOptions } from "./file_options.ts";

/** Times that a file is looked for before it counts as gone: it may be renamed in the middle of a look. */
const LOOKS = 3;
/** Files read before that are kept in mind: as many as rotate before the oldest of them is compressed. */
const BEFORE_MAX = 4;

export const fileSource: SourceDefinition<FileSourceOptions> = {
  type: "file",
  optionsSchema: FILE_OPTIONS,
  warningsOf: fileOptionWarnings,
  open: async (options, context, resume) => {
    for (const { reason } of fileOptionWarnings(options)) context.log("warn", reason, { path: options.path });
    return new FileReader(options, context, resume as FilePlace | undefined);
  },
};

/** One generation of the file, open. */
interface Generation {
  readonly number: number;
  readonly text: FileText;
  readonly before: readonly ReadFile[];
  place: FilePlace;
  /** Time of the file's last change when copies of it were looked for. */
  lookedAtNs?: bigint;
  isRestTold: boolean;
}

/** `overtaken`: the file was filled, copied and emptied between two looks. */
type Ending = "written anew" | "rotated" | "overtaken";
type Steps<Result> = AsyncGenerator<SourceBatch, Result>;

class FileReader implements SourceReader {
  readonly #options: FileSourceOptions;
  readonly #everyMs: number;
  readonly #reports: FileReports;
  #place: FilePlace | undefined;
  #open: SourceFile | undefined;
  #found: SourceFile | undefined;

  constructor(options: FileSourceOptions, context: SourceContext, resume: FilePlace | undefined) {
    this.#options = options;
    this.#everyMs = options.everyMs ?? FILE_OPTIONS.properties.everyMs.default;
    this.#reports = new FileReports(options, context);
    this.#place = resume;
  }

  async *read(signal: AbortSignal): AsyncIterable<SourceBatch> {
    while (!signal.aborted) {
      try {
        yield* this.#readOn(signal);
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof FileTroubleError)) throw error;
        this.#reports.trouble(error); // F6
      } finally {
        await this.close();
      }
      await pause(this.#everyMs, signal);
    }
  }

  async close(): Promise<void> {
    const [open, found] = [this.#open, this.#found];
    this.#open = undefined;
    this.#found = undefined;
    await open?.close();
    await found?.close();
  }

  async *#readOn(signal: AbortSignal): Steps<void> {
    let generation = await this.#first(signal);
    while (generation !== undefined && !signal.aborted) {
      this.#reports.trouble(undefined);
      this.#place = generation.place;
      yield { items: [], resume: resumeOf(generation) }; // F1
      const ending = yield* this.#follow(generation, signal);
      generation = ending === undefined ? undefined : yield* this.#after(generation, ending, signal);
    }
  }

  /** Reads one generation until it is over: answers how it ended, or undefined when `signal` did. */
  async *#follow(generation: Generation, signal: AbortSignal): Steps<Ending | undefined> {
    const { lineEndsAt } = generation.place;
    if (lineEndsAt !== undefined) {
      if ((yield* this.#readTo(generation, signal, lineEndsAt)) === "written anew") return "written anew";
      if (signal.aborted) return undefined;
      yield* this.#finish(generation); // F5: as it was ended before
    }
    const lastLineAfterMs = lastLineAfterMsOf(this.#options);
    let isRotated = false;
    let quietMs = 0;
    let seenBytes = generation.text.nextByte;
    while (!signal.aborted) {
      if (await this.#isOvertaken(generation, signal)) return "overtaken";
      if ((yield* this.#readTo(generation, signal)) === "written anew") return "written anew";
      if (signal.aborted) return undefined;
      quietMs = generation.text.nextByte === seenBytes ? quietMs : 0;
      seenBytes = generation.text.nextByte;
      if (isRotated || quietMs >= lastLineAfterMs) {
        this.#reports.damage(generation.text.file);
        yield* this.#endLine(generation, isRotated);
        quietMs = 0;
      }
      if (isRotated) return "rotated";
      // Looked at once more after the pause: a writer may hold the renamed file for a while.
      isRotated = await this.#isRotated(generation);
      await pause(this.#everyMs, signal);
      quietMs += this.#everyMs;
    }
    return undefined;
  }

  /** An empty file that was written to and holds nothing that was seen tells nothing by its bytes. */
  async #isOvertaken(generation: Generation, signal: AbortSignal): Promise<boolean> {
    const { text, place } = generation;
    if (text.head.length > 0 || place.seen !== undefined || place.offset > 0) return false;
    const { modifiedNs } = await text.file.standing();
    if (modifiedNs === generation.lookedAtNs || Number(modifiedNs / 1_000_000n) === place.modifiedMs) return false;
    generation.lookedAtNs = modifiedNs;
    this.#found = await findLater(this.#options.path, place, false, signal);
    return this.#found !== undefined;
  }

  async *#readTo(generation: Generation, signal: AbortSignal, end?: number): Steps<"written anew" | undefined> {
    for (;;) {
      const records = await generation.text.next(end);
      if (records === undefined || records === "written anew") return records;
      yield* this.#give(generation, records);
      if (signal.aborted) return undefined;
    }
  }

  async *#give(generation: Generation, records: readonly FoundRecord[]): Steps<void> {
    const { text, place } = generation;
    if (place.seen === undefined) yield { items: [], resume: { ...place, ...seenOf(text.head) } }; // F1
    yield await this.#batch(generation, records);
  }

  /** F5. */
  async *#endLine(generation: Generation, isOver: boolean): Steps<void> {
    const { text } = generation;
    await text.settle();
    // What settling has made clear may be read now.
    for (let more = await text.next(); Array.isArray(more); more = await text.next()) {
      yield* this.#give(generation, more);
    }
    if (!text.isMidRecord || !(isOver || text.canEndHere)) return;
    generation.place = { ...generation.place, ...seenOf(text.head), lineEndsAt: text.nextByte };
    this.#place = generation.place;
    yield { items: [], resume: resumeOf(generation) };
    yield* this.#finish(generation);
  }

  async *#finish(generation: Generation): Steps<void> {
    const { file } = generation.text;
    const records = await generation.text.finish();
    const fault = "the compressed file is cut short or damaged here";
    yield await this.#batch(
      generation,
      file.damage === undefined ? records : records.map((one) => ({ ...one, fault })),
    );
  }

  async #batch(generation: Generation, records: readonly FoundRecord[]): Promise<SourceBatch> {
    const { number, text, before } = generation;
    const read = (await text.reader?.read(records)) ?? [];
    generation.isRestTold ||= this.#reports.rest(records); // F5
    const items = read.map(({ item, position }) => ({
      item: this.#reports.item(item, number, position),
      position,
      term: number,
    }));
    generation.place = await placeOf(text, number, before);
    this.#place = generation.place;
    return { items, resume: resumeOf(generation) };
  }

  /** Whether another file lies at the path. A path that can not be looked at is told: the open file may still grow. */
  async #isRotated({ text }: Generation): Promise<boolean> {
    try {
      const found = await ifThere(standingOf(this.#options.path));
      this.#reports.trouble(undefined);
      return found !== undefined && found.inode !== text.file.inode;
    } catch (error) {
      if (!(error instanceof FileTroubleError)) throw error;
      this.#reports.trouble(error);
      return false;
    }
  }

  // Which file comes next -------------------------------------------------------------------------------------------

  async #first(signal: AbortSignal): Promise<Generation | undefined> {
    const place = this.#place;
    if (place === undefined) {
      const file = await this.#openPath(signal);
      if (file === undefined) return undefined;
      const options = this.#textOptions();
      const offset = this.#options.from === "end" ? await lastLineOf(file, options) : 0;
      return this.#generation(file, 1, offset, []);
    }
    const same = await this.#findAgain(place, signal);
    if (signal.aborted) {
      await same?.close();
      return undefined;
    }
    if (place.offset === 0 && place.seen === undefined) {
      // Nothing of the generation was given out: what was copied from the file before it was emptied comes first.
      const unread = (await findLater(this.#options.path, place, false, signal)) ?? same;
      if (unread !== same) await same?.close();
      if (unread !== undefined)
        return this.#generation(unread, place.generation, 0, place.before ?? [], { sinceMs: place.modifiedMs });
    }
    if (same !== undefined) return this.#generation(same, place.generation, place.offset, place.before ?? [], place);
    await this.#reports.loss(place, true, signal);
    const next = await this.#next(place, false, signal);
    return next === undefined
      ? undefined
      : this.#generation(next, place.generation + 1, 0, beforeOf(place), { sinceMs: place.modifiedMs });
  }

  /** A rename between two looks hides a file from both: it is looked for again before it is given up. */
  async #findAgain(place: FilePlace, signal: AbortSignal): Promise<SourceFile | undefined> {
    for (let look = 1; ; look += 1) {
      const found = await findPlace(this.#options.path, place, signal);
      if (found !== undefined || look === LOOKS || signal.aborted) return found;
      await pause(this.#everyMs, signal);
    }
  }

  async *#after(over: Generation, ending: Ending, signal: AbortSignal): Steps<Generation | undefined> {
    const { text, number, before } = over;
    const overtaking = this.#found;
    if (ending === "overtaken" && overtaking !== undefined) {
      this.#found = undefined;
      await this.close();
      return this.#generation(overtaking, number, 0, before);
    }
    const mayBeCopied = ending === "written anew" || (await text.file.standing()).isUnlinked;
    const copy = mayBeCopied ? await this.#copyOf(over, signal) : undefined;
    if (copy !== undefined) {
      const { offset } = over.place;
      this.#reports.log("info", "reading goes on in a copy of the file", { copy: copy.path, offset });
      await this.close();
      return this.#generation(copy, number, offset, before, over.place);
    }
    if (ending === "written anew") {
      if (text.isMidRecord) yield* this.#finish(over); // the file has it no more: it is held here alone
      await this.#reports.loss(over.place, false, signal);
    }
    // Closed only then: its inode would be free for another file, which would look like it.
    const next = await this.#next(over.place, ending === "rotated", signal);
    await this.close();
    if (next === undefined) return undefined;
    return this.#generation(next, number + 1, 0, beforeOf(over.place), { sinceMs: over.place.modifiedMs });
  }

  /** The file after one that is over: looked for again once the path is open, as that may have been rotated meanwhile. */
  async #next(over: FilePlace, isIntact: boolean, signal: AbortSignal): Promise<SourceFile | undefined> {
    const { path } = this.#options;
    const later = await findLater(path, over, isIntact, signal);
    if (later !== undefined) return later;
    this.#found = await this.#openPath(signal);
    if (this.#found === undefined) return undefined;
    const overtaking = await findLater(path, over, isIntact, signal);
    const found = this.#found;
    this.#found = undefined;
    if (overtaking === undefined) return found;
    await found.close();
    return overtaking;
  }

  /** F3. A copy that goes on where the file was written anew, or removed. */
  async #copyOf({ place, text }: Generation, signal: AbortSignal): Promise<SourceFile | undefined> {
    const seen = { ...place, offset: text.nextByte, mark: text.seenMark() };
    let copy = await findCopy(this.#options.path, seen, signal);
    for (let look = 1; copy === undefined && look < LOOKS && !signal.aborted; look += 1) {
      await pause(this.#everyMs, signal); // it may be renamed or compressed just now
      copy = await findCopy(this.#options.path, seen, signal);
    }
    if (copy === undefined) return undefined;
    this.#found = copy; // closed with the source, should reading it be called off
    // A copy that is all read already is no reason to go on in it, but where it is what is followed now.
    const isMore =
      copy.path === this.#options.path || text.isMidRecord || (await copy.bytes(seen.offset, 1)).length > 0;
    this.#found = undefined;
    if (isMore) return copy;
    await copy.close();
    return undefined;
  }

  async #openPath(signal: AbortSignal): Promise<SourceFile | undefined> {
    while (!signal.aborted) {
      try {
        return await SourceFile.open(this.#options.path, signal);
      } catch (error) {
        if (!(error instanceof FileTroubleError)) throw error;
        this.#reports.trouble(error);
        await pause(this.#everyMs, signal);
      }
    }
    return undefined;
  }

  async #generation(
    file: SourceFile,
    number: number,
    offset: number,
    before: readonly ReadFile[],
    found: Partial<Pick<FilePlace, "lineEndsAt" | "mark" | "seen">> & { readonly sinceMs?: number | undefined } = {},
  ): Promise<Generation | undefined> {
    this.#open = file;
    const { lineEndsAt, sinceMs, mark, seen } = found;
    const known = { ...(mark === undefined ? {} : { mark }), ...(seen === undefined ? {} : { seen }) };
    const text = await FileText.open(file, this.#textOptions(), { offset, ...known });
    if (text === undefined) return undefined; // emptied since it was found: it is looked for again
    const place = {
      ...(await placeOf(text, number, before)),
      ...(lineEndsAt === undefined ? {} : { lineEndsAt }),
      // Of a file that was emptied before anything of it was seen, copies are older than it is now.
      ...(sinceMs === undefined ? {} : { modifiedMs: sinceMs }),
    };
    return { number, text, before, place, isRestTold: false };
  }

  #textOptions(): ReturnType<typeof textOptionsOf> {
    return textOptionsOf(this.#options, (reason) => this.#reports.log("warn", reason));
  }
}

const resumeOf = ({ place }: Generation): SourcePosition => ({ ...place });

/** The files read before, and this one. */
const beforeOf = ({ inode, offset, mark, before = [] }: FilePlace): readonly ReadFile[] =>
  [{ inode, offset, mark }, ...before].slice(0, BEFORE_MAX);

async function placeOf(text: FileText, generation: number, before: readonly ReadFile[]): Promise<FilePlace> {
  const { file, offset } = text;
  const { sizeBytes, modifiedNs, bornMs } = await file.standing();
  return {
    generation,
    inode: file.inode,
    offset,
    mark: await text.mark(),
    ...seenOf(text.head),
    ...(file.isCompressed ? {} : { sizeBytes }),
    modifiedMs: Number(modifiedNs / 1_000_000n),
    bornMs,
    ...(file.target === undefined ? {} : { path: file.target }),
    before,
  };
}
