/**
 * Follows a file that grows, over rotation and truncation, and gives each of its records once. A record's sequence is the
 * file's generation and the record's byte offset (E3).
 *
 *   F1. A generation's number is stored before the first record of it is given out: a restart counts no other way.
 *   F2. A rotated file (renamed, copied or compressed, another made in its place) is read to its end before the next.
 *   F3. A file that holds other bytes than were read was written anew: what was not read of the old bytes is looked for in a copy,
 *       then a new generation begins. Bytes that are nowhere are told with their count.
 *   F4. At most one chunk and one record are held, however long the lines are.
 *   F5. A last line without a line break is ended once nothing has followed for `lastLineAfterMs`, or the file is rotated. Where it
 *       was ended is stored before it is given out, so that what is appended afterwards is a line of its own, once.
 *   F6. A path that can not be read is told once for each change, and tried again at each look.
 */

import { FILE_OPTIONS, type FileSourceOptions, textOptionsOf } from "./file_options.ts";
import type { FilePlace, ReadFile } from "./file_place.ts";
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
  open: async (options, context, resume) => new FileReader(options, context, resume as FilePlace | undefined),
};

/** One generation of the file, open. */
interface Generation {
  readonly number: number;
  readonly text: FileText;
  readonly before: readonly ReadFile[];
  place: FilePlace;
}

type Ending = "written anew" | "rotated";
type Steps<Result> = AsyncGenerator<SourceBatch, Result>;

class FileReader implements SourceReader {
  readonly #options: FileSourceOptions;
  readonly #everyMs: number;
  readonly #context: SourceContext;
  #place: FilePlace | undefined;
  #open: SourceFile | undefined;
  #trouble: string | undefined;

  constructor(options: FileSourceOptions, context: SourceContext, resume: FilePlace | undefined) {
    this.#options = options;
    this.#everyMs = options.everyMs ?? FILE_OPTIONS.properties.everyMs.default;
    this.#context = context;
    this.#place = resume;
  }

  async *read(signal: AbortSignal): AsyncIterable<SourceBatch> {
    while (!signal.aborted) {
      try {
        yield* this.#readOn(signal);
      } catch (error) {
        if (!(error instanceof FileTroubleError)) throw error;
        this.#tell(error); // F6
      } finally {
        await this.close();
      }
      await pause(this.#everyMs, signal);
    }
  }

  async close(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    await open?.close();
  }

  async *#readOn(signal: AbortSignal): Steps<void> {
    let generation = await this.#first(signal);
    while (generation !== undefined && !signal.aborted) {
      this.#tell(undefined);
      this.#place = generation.place;
      yield { items: [], resume: resumeOf(generation) }; // F1
      const ending = yield* this.#follow(generation, signal);
      generation = ending === undefined ? undefined : await this.#after(generation, ending, signal);
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
    const lastLineAfterMs = this.#options.lastLineAfterMs ?? FILE_OPTIONS.properties.lastLineAfterMs.default;
    let isRotated = false;
    let quietMs = 0;
    let seenBytes = generation.text.nextByte;
    while (!signal.aborted) {
      if ((yield* this.#readTo(generation, signal)) === "written anew") return "written anew";
      if (signal.aborted) return undefined;
      quietMs = generation.text.nextByte === seenBytes ? quietMs : 0;
      seenBytes = generation.text.nextByte;
      if (isRotated || quietMs >= lastLineAfterMs) {
        yield* this.#endLine(generation);
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

  async *#readTo(generation: Generation, signal: AbortSignal, end?: number): Steps<"written anew" | undefined> {
    for (;;) {
      const records = await generation.text.next(end);
      if (records === undefined || records === "written anew") return records;
      yield await this.#batch(generation, records);
      if (signal.aborted) return undefined;
    }
  }

  /** F5. */
  async *#endLine(generation: Generation): Steps<void> {
    const { text } = generation;
    await text.settle();
    // What settling has made clear may be read now.
    for (let more = await text.next(); Array.isArray(more); more = await text.next()) {
      yield await this.#batch(generation, more);
    }
    if (!text.isMidRecord) return;
    generation.place = { ...generation.place, lineEndsAt: text.nextByte };
    this.#place = generation.place;
    yield { items: [], resume: resumeOf(generation) };
    yield* this.#finish(generation);
  }

  async *#finish(generation: Generation): Steps<void> {
    yield await this.#batch(generation, await generation.text.finish());
  }

  async #batch(generation: Generation, records: readonly FoundRecord[]): Promise<SourceBatch> {
    const { number, text, before } = generation;
    const read = (await text.reader?.read(records)) ?? [];
    const items = read.map(({ item, position }) => ({
      item: this.#told(item, number, position),
      position,
      term: number,
    }));
    generation.place = await placeOf(text, number, before);
    this.#place = generation.place;
    return { items, resume: resumeOf(generation) };
  }

  #told<Item extends SourceBatch["items"][number]["item"]>(item: Item, generation: number, offset: number): Item {
    if (item.kind === "event") return item;
    const { path } = this.#options;
    this.#context.log("warn", "a record was set aside", { path, generation, offset, reason: item.reason });
    return { ...item, reason: `${path}, byte ${offset}: ${item.reason}` };
  }

  /** Whether another file lies at the path. A path that can not be looked at is told: the open file may still grow. */
  async #isRotated({ text }: Generation): Promise<boolean> {
    try {
      const found = await ifThere(standingOf(this.#options.path));
      this.#tell(undefined);
      return found !== undefined && found.inode !== text.file.inode;
    } catch (error) {
      if (!(error instanceof FileTroubleError)) throw error;
      this.#tell(error);
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
    if (same !== undefined) return this.#generation(same, place.generation, place.offset, place.before ?? [], place);
    if (signal.aborted) return undefined;
    this.#tellLoss(place);
    const later = (await findLater(this.#options.path, place)) ?? (await this.#openPath(signal));
    return later === undefined ? undefined : this.#generation(later, place.generation + 1, 0, beforeOf(place));
  }

  /** A rename between two looks hides a file from both: it is looked for again before it is given up. */
  async #findAgain(place: FilePlace, signal: AbortSignal): Promise<SourceFile | undefined> {
    for (let look = 1; ; look += 1) {
      const found = await findPlace(this.#options.path, place);
      if (found !== undefined || look === LOOKS || signal.aborted) return found;
      await pause(this.#everyMs, signal);
    }
  }

  async #after(over: Generation, ending: Ending, signal: AbortSignal): Promise<Generation | undefined> {
    const { path } = this.#options;
    const { text, number, before, place } = over;
    const { damage } = text.file;
    if (damage !== undefined)
      this.#context.log("error", "a compressed file is damaged", { path: text.file.path, damage });
    const copy =
      ending === "written anew" || (await text.file.standing()).isUnlinked ? await this.#copyOf(over) : undefined;
    if (copy !== undefined) {
      this.#context.log("info", "reading goes on in a copy of the file", {
        path,
        copy: copy.path,
        offset: place.offset,
      });
      await this.close();
      return this.#generation(copy, number, place.offset, before, place);
    }
    if (ending === "written anew") this.#tellLoss(place);
    const later = await findLater(path, place);
    const isOther = later !== undefined || ending === "rotated";
    await this.close();
    const next = later ?? (await this.#openPath(signal));
    return next === undefined ? undefined : this.#generation(next, number + 1, 0, isOther ? beforeOf(place) : before);
  }

  /** F3. A copy that goes on where the file was written anew, or removed. */
  async #copyOf({ place, text }: Generation): Promise<SourceFile | undefined> {
    const copy = await findCopy(this.#options.path, place);
    if (copy === undefined) return undefined;
    // A copy that is all read already is no reason to go on in it, but where it is what is followed now.
    const isMore =
      copy.path === this.#options.path ||
      place.offset < text.nextByte ||
      (await copy.bytes(place.offset, 1)).length > 0;
    if (isMore) return copy;
    await copy.close();
    return undefined;
  }

  #tellLoss({ sizeBytes, offset, generation }: FilePlace): void {
    const { path } = this.#options;
    const lostBytes = sizeBytes === undefined ? undefined : Math.max(0, sizeBytes - offset);
    const about = { path, generation, offset, ...(lostBytes === undefined ? {} : { lostBytes }) };
    if (lostBytes === 0) {
      this.#context.log(
        "warn",
        "the file that was read is gone or was written anew: all that was seen of it is read",
        about,
      );
    } else {
      this.#context.log(
        "error",
        "bytes of a file that is gone or was written anew are lost: they were not read",
        about,
      );
    }
  }

  async #openPath(signal: AbortSignal): Promise<SourceFile | undefined> {
    while (!signal.aborted) {
      try {
        return await SourceFile.open(this.#options.path);
      } catch (error) {
        if (!(error instanceof FileTroubleError)) throw error;
        this.#tell(error);
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
    found?: FilePlace,
  ): Promise<Generation> {
    this.#open = file;
    const text = await FileText.open(file, this.#textOptions(), offset);
    const place = await placeOf(text, number, before);
    const { lineEndsAt } = found ?? {};
    return { number, text, before, place: lineEndsAt === undefined ? place : { ...place, lineEndsAt } };
  }

  #textOptions(): ReturnType<typeof textOptionsOf> {
    const { path } = this.#options;
    return textOptionsOf(this.#options, (reason) => this.#context.log("warn", reason, { path }));
  }

  /** F6. */
  #tell(trouble: FileTroubleError | undefined): void {
    if (trouble?.errno === this.#trouble) return;
    const { path } = this.#options;
    const errno = trouble?.errno;
    this.#trouble = errno;
    this.#context.trouble(errno);
    if (trouble === undefined) this.#context.log("info", "the file can be read", { path });
    else if (errno === "ENOENT") this.#context.log("info", "waiting for the file to be there", { path, errno });
    else this.#context.log("error", "the file can not be read", { path, errno, reason: trouble.message });
  }
}

const resumeOf = ({ place }: Generation): SourcePosition => ({ ...place });

/** The files read before, and this one. */
const beforeOf = ({ inode, offset, mark, before = [] }: FilePlace): readonly ReadFile[] =>
  [{ inode, offset, mark }, ...before].slice(0, BEFORE_MAX);

async function placeOf(text: FileText, generation: number, before: readonly ReadFile[]): Promise<FilePlace> {
  const { file, offset } = text;
  const { sizeBytes, modifiedNs } = await file.standing();
  return {
    generation,
    inode: file.inode,
    offset,
    mark: await text.mark(),
    ...(file.isCompressed ? {} : { sizeBytes }),
    modifiedMs: Number(modifiedNs / 1_000_000n),
    before,
  };
}
