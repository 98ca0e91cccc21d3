/**
 * Follows a file that grows, over rotation and truncation, and gives each of its records once. A record's sequence is
 * the file's generation and the record's byte offset (E3).
 *
 *   F1. A generation's number and a mark of its first bytes are stored before its first record is given out. So a
 *       restart counts alike, and takes no other bytes for these.
 *   F2. A rotated file (renamed, copied or compressed, with another made in its place) is read to its end before the
 *       next.
 *   F3. A file that holds other bytes than were read was written anew. Its unread old bytes are looked for in a copy;
 *       then a new generation begins. Bytes that are found nowhere are reported with their count.
 *   F4. Bytes written to a file after it was left (`late_files`) come as a generation of their own. Then the followed
 *       file is read on, again as a generation of its own: sequences ascend, and no byte is read again.
 *   F5. A last line without a line break ends once no byte has followed for `lastLineAfterMs`, or for 1 s after a
 *       rotation. Before a rotation, time never ends half a JSON value, half a character or an open quoted field of
 *       CSV.
 *   F6. A path that cannot be read is reported once for each change, and tried again at each look.
 *   F7. If another file takes the file's place and begins with all the bytes read, as an editor leaves it, reading goes
 *       on in it.
 *   F8. The place where a last line was ended is stored before the line is given out. So bytes appended later are a
 *       line of their own, once.
 */

import { pause } from "../../../protocols/clock.ts";
import { lastLineOf } from "../records/file_text.ts";
import type { FoundRecord } from "../records/record_cutter.ts";
import type { SourceBatch, SourceContext, SourceDefinition, SourceReader } from "../source.ts";
import { type Begin, type Generation, openGeneration, placeOf, seenPlaceOf } from "./file_generation.ts";
import {
  FILE_OPTIONS,
  type FileSourceOptions,
  fileOptionWarnings,
  lastLineAfterMsOf,
  textOptionsOf,
} from "./file_options.ts";
import {
  beforeOf,
  EMPTY_MARK,
  FILES_BEFORE_MAX,
  type FilePlace,
  holds,
  isKnown,
  isSameFile,
  limited,
  type MadeFile,
  type ReadFile,
  STRONG_MARK_BYTES,
  seenOf,
} from "./file_place.ts";
import { FileReports } from "./file_reports.ts";
import { findCopy, findLater, findPlace } from "./file_search.ts";
import { FileTroubleError, ifThere } from "./file_trouble.ts";
import { LateFiles } from "./late_files.ts";
import { findReplacement, isReplaced } from "./replaced_file.ts";
import { SourceFile, standingOf } from "./source_file.ts";

export type { FileSourceOptions } from "./file_options.ts";

/** How often a file is looked for before it counts as gone, as it may be renamed during a look. */
const LOOKS = 3;
/** The longest wait for the rest of a rotated file's last line, in ms. The next file waits meanwhile. */
const ROTATED_LINE_AFTER_MS = 1_000;

export const fileSource: SourceDefinition<FileSourceOptions> = {
  type: "file",
  optionsSchema: FILE_OPTIONS,
  warningsOf: fileOptionWarnings,
  open: async (options, context, resume) => {
    for (const { reason } of fileOptionWarnings(options)) context.log("warn", reason, { path: options.path });
    return new FileReader(options, context, resume as FilePlace | undefined);
  },
};

/** `overtaken`: filled, copied and emptied between two looks. `replaced`: F7. `late`: F4. */
type Ending = "written anew" | "rotated" | "overtaken" | "replaced" | "late";
type Steps<Result> = AsyncGenerator<SourceBatch, Result>;

class FileReader implements SourceReader {
  readonly #options: FileSourceOptions;
  readonly #everyMs: number;
  readonly #reports: FileReports;
  readonly #late: LateFiles;
  #place: FilePlace | undefined;
  /** The place where this life began. */
  readonly #resumed: FilePlace | undefined;
  #open: SourceFile | undefined;
  #found: SourceFile | undefined;
  /** Empty rotated files that the last search for the next file skipped. */
  #empty: readonly MadeFile[] = [];
  #grown: Awaited<ReturnType<LateFiles["grown"]>>;
  /** The generation that waits while late bytes of an earlier file are read. */
  #waiting: Generation | undefined;

  constructor(options: FileSourceOptions, context: SourceContext, resume: FilePlace | undefined) {
    this.#options = options;
    this.#everyMs = options.everyMs ?? FILE_OPTIONS.properties.everyMs.default;
    this.#reports = new FileReports(options, context);
    this.#late = new LateFiles((...about) => this.#reports.lateEnd(...about));
    this.#place = resume;
    this.#resumed = resume;
  }

  async *read(signal: AbortSignal): AsyncIterable<SourceBatch> {
    let isBegun = false;
    while (!signal.aborted) {
      try {
        if (!isBegun && this.#place !== undefined) await this.#findLate(this.#place, signal);
        isBegun = true;
        yield* this.#readOn(signal);
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof FileTroubleError)) throw error;
        this.#reports.trouble(error); // F6
      } finally {
        await this.#release();
      }
      await pause(this.#everyMs, signal);
    }
  }

  /** Finds the earlier files, except the one that is read and the one that reading goes back to. */
  async #findLate({ before = [], inode, backTo }: FilePlace, signal: AbortSignal): Promise<void> {
    const others = before.filter((one) => one.inode !== inode && one.inode !== backTo?.inode);
    this.#reports.notFound(await this.#late.find(this.#options.path, others, signal));
  }

  async close(): Promise<void> {
    await this.#release();
    await this.#late.close();
  }

  async #release(): Promise<void> {
    const [open, found] = [this.#open, this.#found];
    this.#waiting = undefined;
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
      yield { items: [], resume: { ...generation.place } }; // F1
      const ending = yield* this.#follow(generation, signal);
      generation = ending === undefined ? undefined : yield* this.#after(generation, ending, signal);
    }
  }

  /** Reads one generation until it is over, and answers how it ended. Undefined once `signal` aborts. */
  async *#follow(generation: Generation, signal: AbortSignal): Steps<Ending | undefined> {
    const { lineEndsAt } = generation.place;
    if (lineEndsAt !== undefined) {
      if ((yield* this.#readTo(generation, signal, lineEndsAt)) === "written anew") return "written anew";
      if (signal.aborted) return undefined;
      yield* this.#finish(generation); // F8: where it was ended before
    }
    const isLate = generation.backTo !== undefined;
    const lastLineAfterMs = lastLineAfterMsOf(this.#options);
    let isRotated = isLate;
    let { isDue } = generation;
    let quietMs = 0;
    let seenBytes = generation.text.nextByte;
    while (!signal.aborted) {
      if (!isLate && (await this.#isOvertaken(generation, signal))) return "overtaken";
      // Late bytes come before those of a next file: a program that has opened the next one no longer writes to an older one.
      if (!isRotated && !isDue) this.#grown = await this.#late.grown(this.#everyMs);
      if (!isRotated && !isDue && this.#grown !== undefined) return "late";
      isDue = false;
      if ((yield* this.#readTo(generation, signal)) === "written anew") return "written anew";
      if (signal.aborted) return undefined;
      if (isRotated && !isLate && (await this.#isReplaced(generation, signal))) return "replaced";
      quietMs = generation.text.nextByte === seenBytes ? quietMs : 0;
      seenBytes = generation.text.nextByte;
      const { file, isMidRecord } = generation.text;
      // F5: a program may still write to a rotated file that it has not closed, so the last line may be half a line.
      const isOver = isRotated && (!isMidRecord || file.isCompressed);
      const afterMs = isRotated ? Math.min(lastLineAfterMs, ROTATED_LINE_AFTER_MS) : lastLineAfterMs;
      if (isOver || quietMs >= afterMs) {
        this.#reports.damage(file);
        yield* this.#endLine(generation, isRotated);
        if (isRotated) return "rotated";
        quietMs = 0;
      }
      const wasRotated = isRotated;
      isRotated ||= await this.#isRotated(generation);
      if (isRotated !== wasRotated) quietMs = -this.#everyMs; // the wait begins at the rename
      await pause(this.#everyMs, signal);
      quietMs += this.#everyMs;
    }
    return undefined;
  }

  /** Whether an empty file was filled, copied and emptied since: only its copy can tell. */
  async #isOvertaken(generation: Generation, signal: AbortSignal): Promise<boolean> {
    const { text, place } = generation;
    if (text.file.path !== this.#options.path) return false; // programs do not empty a rotated file
    if (text.head.length > 0 || place.seen !== undefined || place.offset > 0) return false;
    const { modifiedNs } = await text.file.standing();
    if (modifiedNs === generation.lookedAtNs || Number(modifiedNs / 1_000_000n) === place.modifiedMs) return false;
    generation.lookedAtNs = modifiedNs;
    this.#found = await this.#later(place, false, signal);
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

  /** F5, F8. */
  async *#endLine(generation: Generation, isOver: boolean): Steps<void> {
    const { text } = generation;
    await text.settle();
    // Settling may have decided how to read the beginning: read it now.
    for (let more = await text.next(); Array.isArray(more); more = await text.next()) {
      yield* this.#give(generation, more);
    }
    if (!text.isMidRecord || !(isOver || text.canEndHere)) return;
    generation.place = { ...generation.place, ...seenOf(text.head), lineEndsAt: text.nextByte };
    this.#place = generation.place;
    yield { items: [], resume: { ...generation.place } };
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
    const { number, text } = generation;
    const read = (await text.reader?.read(records)) ?? [];
    generation.isRestTold ||= this.#reports.rest(records); // F5
    const items = read.map(({ item, position }) => ({
      item: this.#reports.item(item, number, position),
      position,
      term: number,
    }));
    generation.place = await placeOf(generation);
    this.#place = generation.place;
    return { items, resume: { ...generation.place } };
  }

  /** Whether another file lies at the path. Trouble with the path is reported, and the open file may still grow. */
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
      return this.#generation(file, { number: 1, offset, before: [] });
    }
    const same = this.#late.take(place.inode) ?? (await this.#findAgain(place, signal));
    if (signal.aborted) {
      await same?.close();
      return undefined;
    }
    const { generation: number, before = [], backTo } = place;
    if (place.offset === 0 && place.seen === undefined && backTo === undefined) {
      // No record of the generation was given out: bytes copied from the file before it was emptied come first.
      this.#found = same; // closed with the source if `signal` aborts the search
      const unread = (await this.#later(place, false, signal)) ?? same;
      this.#found = unread;
      if (unread !== same) await same?.close();
      if (unread !== undefined) {
        const begin = { number, before: await this.#withEmpty(before, signal), sinceMs: place.modifiedMs };
        return this.#generation(unread, { ...begin, isDue: true });
      }
    }
    // Records that are not stored yet are read again, under the same number, before any late bytes.
    if (same !== undefined) return this.#generation(same, { ...place, number, before, isDue: true });
    await this.#reports.loss(place, true, signal);
    if (backTo !== undefined) {
      this.#place = { ...backTo, generation: number + 1, before };
      return this.#first(signal);
    }
    return this.#following(place, await this.#next(place, false, signal), signal);
  }

  /** Looks several times, as a rename during a look may hide the file. */
  async #findAgain(place: FilePlace, signal: AbortSignal): Promise<SourceFile | undefined> {
    const found = await this.#overLooks(() => findPlace(this.#options.path, place, signal), signal);
    // This is the file that reading goes back to later. It only begins like the one that is looked for.
    if (found === undefined || found.inode !== place.backTo?.inode) return found;
    await found.close();
    return undefined;
  }

  async *#after(over: Generation, ending: Ending, signal: AbortSignal): Steps<Generation | undefined> {
    const { text, number, before, place } = over;
    const found = this.#found;
    this.#found = undefined;
    if (ending === "late") return this.#readLate(over);
    if (ending === "overtaken" && found !== undefined) {
      await this.#release();
      return this.#generation(found, { number, before });
    }
    if (over.backTo !== undefined) return yield* this.#goBack(over, ending, signal);
    const copy =
      ending === "replaced" ? found : ending === "written anew" ? await this.#copyOf(over, signal) : undefined;
    if (copy !== undefined) {
      this.#reports.log("info", "reading goes on in a copy of the file", { copy: copy.path, offset: place.offset });
      await this.#leave(over, ending);
      return this.#generation(copy, { ...place, number, before });
    }
    if (ending === "written anew") {
      if (text.isMidRecord) yield* this.#finish(over); // the file no longer has the record: only this process holds it
      await this.#reports.loss(over.place, false, signal);
    }
    // Closed only now: a free inode could go to another file, which would look like this one.
    const next = await this.#next(over.place, ending === "rotated", signal);
    try {
      if (next !== undefined && ending === "rotated") await this.#reports.readAgain(text, next);
      await this.#leave(over, ending);
    } catch (error) {
      await next?.close();
      throw error;
    }
    return this.#following(over.place, next, signal);
  }

  /** Leaves a finished file. A program may still write to it for a long time, so it is looked at for late bytes. */
  async #leave(over: Generation, ending: Ending): Promise<void> {
    const { file } = over.text;
    const mayGrow = ending !== "written anew" && !file.isCompressed;
    if (mayGrow && this.#open === file) this.#open = undefined;
    // The file that replaces this one holds the unfinished record too.
    if (mayGrow) await this.#late.keep(file, ending === "replaced" ? seenPlaceOf(over) : over.place);
    await this.#release();
  }

  /** The next generation. An earlier file that lies at the path again is read on. */
  async #following(
    over: FilePlace,
    next: SourceFile | undefined,
    signal: AbortSignal,
  ): Promise<Generation | undefined> {
    if (next === undefined) return undefined;
    const number = over.generation + 1;
    this.#found = next;
    const before = await this.#withEmpty(beforeOf(over), signal);
    const read = before.find(({ inode }) => inode === next.inode);
    const again = this.#late.take(next.inode);
    await again?.close();
    // After a restart the file is not among the late ones: it lay at the path, or there were too many.
    const isAgain =
      again !== undefined || (next.inode !== over.inode && read !== undefined && (await isKnown(next, read)));
    if (isAgain && read !== undefined) return this.#generation(next, { ...read, number, before });
    for (const one of next.path === this.#options.path ? [] : before) {
      // The file was written to late and compressed while no life ran. A short mark may be that of another file.
      const isCopied =
        one.offset >= STRONG_MARK_BYTES && !(await this.#late.keeps(one.inode)) && (await holds(next, one));
      if (isCopied) return this.#generation(next, { ...one, number, before });
    }
    return this.#generation(next, { number, before, sinceMs: over.modifiedMs });
  }

  /** The generation that reads an earlier file on, from the place where it was left. */
  async #readLate(waiting: Generation): Promise<Generation> {
    const late = this.#grown;
    if (late === undefined) return waiting;
    const { generation, before = [], backTo: _, ...backTo } = waiting.place;
    const others = before.filter(({ inode, offset }) => inode !== late.read.inode || offset !== late.read.offset);
    const begin = { ...late.read, number: generation + 1, before: others, backTo };
    const found = await openGeneration(late.file, this.#textOptions(), begin);
    if (found === undefined) return waiting;
    this.#waiting = waiting;
    this.#reports.late(late.file, late.read, generation + 1);
    return found;
  }

  /** Goes back from an earlier file to the followed one, as another generation. */
  async *#goBack(over: Generation, ending: Ending, signal: AbortSignal): Steps<Generation | undefined> {
    const { text, backTo } = over;
    if (ending === "written anew") {
      if (text.isMidRecord) yield* this.#finish(over);
      await this.#reports.loss(over.place, false, signal);
    }
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (this.#open === text.file) this.#open = undefined;
    await this.#late.keep(text.file, over.place);
    const [generation, before] = [over.number + 1, beforeOf(over.place)];
    if (waiting !== undefined) {
      return { ...waiting, number: generation, before, isDue: true, place: { ...waiting.place, generation, before } };
    }
    if (backTo === undefined) return undefined;
    this.#place = { ...backTo, generation, before };
    return this.#first(signal);
  }

  /** The file after a finished one. Looks again once the path is open, as the path may have been rotated meanwhile. */
  async #next(over: FilePlace, isIntact: boolean, signal: AbortSignal): Promise<SourceFile | undefined> {
    const later = await this.#later(over, isIntact, signal);
    if (later !== undefined) return later;
    this.#found = await this.#openPath(signal);
    if (this.#found === undefined) return undefined;
    const overtaking = await this.#later(over, isIntact, signal);
    const found = this.#found;
    this.#found = undefined;
    if (overtaking === undefined) return found;
    await found.close();
    return overtaking;
  }

  #later(over: FilePlace, isIntact: boolean, signal: AbortSignal): Promise<SourceFile | undefined> {
    this.#empty = [];
    const isLate = (file: SourceFile) => this.#late.covers(file);
    const onEmpty = (file: MadeFile) => {
      this.#empty = [...this.#empty.filter((one) => isSameFile(one, file) === false), file];
    };
    const foundMs = this.#resumed?.inode === over.inode ? this.#resumed.modifiedMs : undefined;
    return findLater(this.#options.path, over, { isIntact, foundMs, isLate, onEmpty }, signal);
  }

  /** Looks at skipped empty rotated files for late bytes, as if they had been read. */
  async #withEmpty(before: readonly ReadFile[], signal: AbortSignal): Promise<readonly ReadFile[]> {
    const fresh = this.#empty
      .slice(-FILES_BEFORE_MAX)
      .map((one): ReadFile => ({ ...one, offset: 0, mark: EMPTY_MARK }));
    const unknown: ReadFile[] = [];
    for (const one of fresh) {
      const isBefore = before.some((read) => read.offset === 0 && isSameFile(one, read) !== false);
      if (!isBefore && !(await this.#late.keeps(one.inode))) unknown.unshift(one);
    }
    await this.#late.find(this.#options.path, unknown, signal);
    return limited([...unknown, ...before]);
  }

  /** F3. A copy of the old bytes, to read on in after the file was written anew. */
  async #copyOf(over: Generation, signal: AbortSignal): Promise<SourceFile | undefined> {
    const seen = seenPlaceOf(over);
    const { path } = this.#options;
    const copy = await this.#overLooks(() => findCopy(path, seen, signal), signal); // rotation may be renaming or compressing it
    if (copy === undefined) return undefined;
    // A copy without unread bytes is not needed, unless it lies at the followed path.
    if (copy.path === path || over.text.isMidRecord) return copy;
    return (await copy.isKept(copy.bytes(seen.offset, 1).then(({ length }) => length > 0))) ? copy : undefined;
  }

  /** F7. Looks several times, as the editor may still be writing the new file. */
  async #isReplaced(over: Generation, signal: AbortSignal): Promise<boolean> {
    const { path } = this.#options;
    const { file, nextByte } = over.text;
    if (!(await isReplaced(path, file, nextByte))) return false;
    const { isUnlinked } = await file.standing();
    const seen = seenPlaceOf(over);
    this.#found = await this.#overLooks(() => findReplacement(path, seen, isUnlinked, signal), signal);
    return this.#found !== undefined;
  }

  async #overLooks(look: () => Promise<SourceFile | undefined>, signal: AbortSignal): Promise<SourceFile | undefined> {
    for (let count = 1; ; count += 1) {
      const found = await look();
      if (found !== undefined || count === LOOKS || signal.aborted) return found;
      await pause(this.#everyMs, signal);
    }
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

  /** Undefined if the file was emptied after it was found. The caller looks for it again. */
  async #generation(file: SourceFile, begin: Begin): Promise<Generation | undefined> {
    this.#found = undefined;
    this.#open = file;
    return openGeneration(file, this.#textOptions(), begin);
  }

  #textOptions(): ReturnType<typeof textOptionsOf> {
    return textOptionsOf(this.#options, (reason) => this.#reports.log("warn", reason));
  }
}
