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
import type { SourceBatch, SourceContext, SourceDefinition, SourceReader } from "../source.ts";
import { type Begin, finish, type Generation, openGeneration, type Steps, seenPlaceOf } from "./file_generation.ts";
import { FILE_OPTIONS, type FileSourceOptions, fileOptionWarnings, textOptionsOf } from "./file_options.ts";
import { beforeOf, type FilePlace, holds, isKnown, STRONG_MARK_BYTES } from "./file_place.ts";
import { FileReports } from "./file_reports.ts";
import { FileSuccession } from "./file_succession.ts";
import { FileTroubleError } from "./file_trouble.ts";
import { type Ending, follow } from "./follow_generation.ts";
import { type GrownFile, LateFiles } from "./late_files.ts";
import type { SourceFile } from "./source_file.ts";

export type { FileSourceOptions } from "./file_options.ts";

export const fileSource: SourceDefinition<FileSourceOptions> = {
  type: "file",
  optionsSchema: FILE_OPTIONS,
  warningsOf: fileOptionWarnings,
  open: async (options, context, resume) => {
    for (const { reason } of fileOptionWarnings(options)) context.log("warn", reason, { path: options.path });
    return new FileReader(options, context, resume as FilePlace | undefined);
  },
};

class FileReader implements SourceReader {
  readonly #options: FileSourceOptions;
  readonly #reports: FileReports;
  readonly #late: LateFiles;
  readonly #succession: FileSuccession;
  /** The place where reading begins, unless a generation was begun since. */
  #begin: FilePlace | undefined;
  #current: Generation | undefined;
  #open: SourceFile | undefined;
  #found: SourceFile | undefined;
  /** The generation that waits while late bytes of an earlier file are read. */
  #waiting: Generation | undefined;

  constructor(options: FileSourceOptions, context: SourceContext, resume: FilePlace | undefined) {
    this.#options = options;
    this.#reports = new FileReports(options, context);
    this.#late = new LateFiles((...about) => this.#reports.lateEnd(...about));
    this.#succession = new FileSuccession(options, this.#reports, this.#late, resume);
    this.#begin = resume;
  }

  async *read(signal: AbortSignal): AsyncIterable<SourceBatch> {
    let isBegun = false;
    while (!signal.aborted) {
      try {
        if (!isBegun && this.#begin !== undefined) await this.#findLate(this.#begin, signal);
        isBegun = true;
        yield* this.#readOn(signal);
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof FileTroubleError)) throw error;
        this.#reports.trouble(error); // F6
      } finally {
        await this.#release();
      }
      await pause(this.#succession.everyMs, signal);
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
      this.#current = generation;
      yield { items: [], resume: { ...generation.place } }; // F1
      const ending = yield* follow(generation, this.#options, this.#reports, this.#late, this.#succession, signal);
      generation = ending === undefined ? undefined : yield* this.#after(generation, ending, signal);
    }
  }

  async #first(signal: AbortSignal): Promise<Generation | undefined> {
    const place = this.#current?.place ?? this.#begin;
    if (place === undefined) {
      const file = await this.#succession.openPath(signal);
      if (file === undefined) return undefined;
      const options = this.#textOptions();
      const offset = this.#options.from === "end" ? await lastLineOf(file, options) : 0;
      return this.#generation(file, { number: 1, offset, before: [] });
    }
    const same = this.#late.take(place.inode) ?? (await this.#succession.findAgain(place, signal));
    if (signal.aborted) {
      await same?.close();
      return undefined;
    }
    const { generation: number, before = [], backTo } = place;
    if (place.offset === 0 && place.seen === undefined && backTo === undefined) {
      // No record of the generation was given out: bytes copied from the file before it was emptied come first.
      this.#found = same; // closed with the source if `signal` aborts the search
      const unread = (await this.#succession.later(place, false, signal)) ?? same;
      this.#found = unread;
      if (unread !== same) await same?.close();
      if (unread !== undefined) {
        const known = await this.#succession.withEmpty(before, signal);
        return this.#generation(unread, { number, before: known, sinceMs: place.modifiedMs, isDue: true });
      }
    }
    // Records that are not stored yet are read again, under the same number, before any late bytes.
    if (same !== undefined) return this.#generation(same, { ...place, number, before, isDue: true });
    await this.#reports.loss(place, true, signal);
    if (backTo !== undefined) return this.#goTo({ ...backTo, generation: number + 1, before }, signal);
    return this.#following(place, await this.#succession.next(place, false, signal), signal);
  }

  #goTo(place: FilePlace, signal: AbortSignal): Promise<Generation | undefined> {
    this.#current = undefined;
    this.#begin = place;
    return this.#first(signal);
  }

  async *#after(over: Generation, ending: Ending, signal: AbortSignal): Steps<Generation | undefined> {
    const { text, number, before, place } = over;
    if (ending.kind === "late") return this.#readLate(over, ending.late);
    if (ending.kind === "overtaken") {
      await this.#release();
      return this.#generation(ending.file, { number, before });
    }
    if (over.backTo !== undefined) return yield* this.#goBack(over, ending.kind, signal);
    const wasRotated = ending.kind === "rotated";
    const copy = ending.kind === "written anew" ? await this.#succession.copyOf(over, signal) : ending.file;
    if (copy !== undefined) {
      this.#reports.log("info", "reading goes on in a copy of the file", { copy: copy.path, offset: place.offset });
      await this.#leave(over, ending.kind);
      return this.#generation(copy, { ...place, number, before });
    }
    if (ending.kind === "written anew") yield* this.#loseRest(over, signal);
    // Closed only now: a free inode could go to another file, which would look like this one.
    const next = await this.#succession.next(over.place, wasRotated, signal);
    try {
      if (next !== undefined && wasRotated) await this.#reports.readAgain(text, next);
      await this.#leave(over, ending.kind);
    } catch (error) {
      await next?.close();
      throw error;
    }
    return this.#following(over.place, next, signal);
  }

  /** The file no longer has the bytes that follow. Of a held record, this process alone holds the beginning. */
  async *#loseRest(over: Generation, signal: AbortSignal): Steps<void> {
    if (over.text.isMidRecord) yield await finish(over, this.#reports);
    await this.#reports.loss(over.place, false, signal);
  }

  /** Leaves a finished file. A program may still write to it for a long time, so it is looked at for late bytes. */
  async #leave(over: Generation, ending: Ending["kind"]): Promise<void> {
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
    const before = await this.#succession.withEmpty(beforeOf(over), signal);
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
  async #readLate(waiting: Generation, late: GrownFile): Promise<Generation> {
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
  async *#goBack(over: Generation, ending: Ending["kind"], signal: AbortSignal): Steps<Generation | undefined> {
    const { text, backTo } = over;
    if (ending === "written anew") yield* this.#loseRest(over, signal);
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (this.#open === text.file) this.#open = undefined;
    await this.#late.keep(text.file, over.place);
    const [generation, before] = [over.number + 1, beforeOf(over.place)];
    if (waiting !== undefined) {
      return { ...waiting, number: generation, before, isDue: true, place: { ...waiting.place, generation, before } };
    }
    if (backTo === undefined) return undefined;
    return this.#goTo({ ...backTo, generation, before }, signal);
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
