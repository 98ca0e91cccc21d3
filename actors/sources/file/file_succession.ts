/**
 * Finds the file to read next: the one to read on in after a restart, its copy, its replacement, and the file after it.
 * Looks several times where a program may be renaming files. Leaves the comparison of files to file_search.ts, and the
 * order in which these are asked for to file_source.ts. The caller closes each file.
 */
import { pause } from "../../../protocols/clock.ts";
import { type Generation, seenPlaceOf } from "./file_generation.ts";
import { FILE_OPTIONS, type FileSourceOptions } from "./file_options.ts";
import {
  EMPTY_MARK,
  FILES_BEFORE_MAX,
  type FilePlace,
  isSameFile,
  limited,
  type MadeFile,
  type ReadFile,
} from "./file_place.ts";
import type { FileReports } from "./file_reports.ts";
import { findCopy, findLater, findPlace } from "./file_search.ts";
import { FileTroubleError } from "./file_trouble.ts";
import type { LateFiles } from "./late_files.ts";
import { findReplacement, isReplaced } from "./replaced_file.ts";
import { SourceFile } from "./source_file.ts";

/** How often a file is looked for before it counts as gone, as it may be renamed during a look. */
const LOOKS = 3;

export class FileSuccession {
  readonly #path: string;
  readonly everyMs: number;
  readonly #reports: FileReports;
  readonly #late: LateFiles;
  readonly #resumed: FilePlace | undefined;
  /** Empty rotated files that the last search for the next file skipped. */
  #empty: readonly MadeFile[] = [];

  constructor(options: FileSourceOptions, reports: FileReports, late: LateFiles, resumed: FilePlace | undefined) {
    this.#path = options.path;
    this.everyMs = options.everyMs ?? FILE_OPTIONS.properties.everyMs.default;
    this.#reports = reports;
    this.#late = late;
    this.#resumed = resumed;
  }

  async findAgain(place: FilePlace, signal: AbortSignal): Promise<SourceFile | undefined> {
    const found = await this.#overLooks(() => findPlace(this.#path, place, signal), signal);
    // This is the file that reading goes back to later. It only begins like the one that is looked for.
    if (found === undefined || found.inode !== place.backTo?.inode) return found;
    await found.close();
    return undefined;
  }

  /** The file after a finished one. Looks again once the path is open, as the path may have been rotated meanwhile. */
  async next(over: FilePlace, isIntact: boolean, signal: AbortSignal): Promise<SourceFile | undefined> {
    const later = await this.later(over, isIntact, signal);
    if (later !== undefined) return later;
    const found = await this.openPath(signal);
    let overtaking: SourceFile | undefined;
    const isNext = async () => {
      overtaking = await this.later(over, isIntact, signal);
      return overtaking === undefined;
    };
    return (await found?.isKept(isNext())) === true ? found : overtaking;
  }

  /** The oldest file that was rotated after a finished one. */
  later(over: FilePlace, isIntact: boolean, signal: AbortSignal): Promise<SourceFile | undefined> {
    this.#empty = [];
    const isLate = (file: SourceFile) => this.#late.covers(file);
    const onEmpty = (file: MadeFile) => {
      this.#empty = [...this.#empty.filter((one) => isSameFile(one, file) === false), file];
    };
    const foundMs = this.#resumed?.inode === over.inode ? this.#resumed.modifiedMs : undefined;
    return findLater(this.#path, over, { isIntact, foundMs, isLate, onEmpty }, signal);
  }

  /** Looks at skipped empty rotated files for late bytes, as if they had been read. */
  async withEmpty(before: readonly ReadFile[], signal: AbortSignal): Promise<readonly ReadFile[]> {
    const fresh = this.#empty
      .slice(-FILES_BEFORE_MAX)
      .map((one): ReadFile => ({ ...one, offset: 0, mark: EMPTY_MARK }));
    const unknown: ReadFile[] = [];
    for (const one of fresh) {
      const isBefore = before.some((read) => read.offset === 0 && isSameFile(one, read) !== false);
      if (!isBefore && !(await this.#late.keeps(one.inode))) unknown.unshift(one);
    }
    await this.#late.find(this.#path, unknown, signal);
    return limited([...unknown, ...before]);
  }

  /** F3. A copy of the old bytes, to read on in after the file was written anew. Rotation may still be making it. */
  async copyOf(over: Generation, signal: AbortSignal): Promise<SourceFile | undefined> {
    const seen = seenPlaceOf(over);
    const copy = await this.#overLooks(() => findCopy(this.#path, seen, signal), signal);
    // A copy without unread bytes is not needed, unless it lies at the followed path.
    if (copy === undefined || copy.path === this.#path || over.text.isMidRecord) return copy;
    return (await copy.isKept(copy.hasBytesAt(seen.offset))) ? copy : undefined;
  }

  /** F7. The editor may still be writing the new file. */
  async replacementOf(over: Generation, signal: AbortSignal): Promise<SourceFile | undefined> {
    const { file, nextByte } = over.text;
    if (!(await isReplaced(this.#path, file, nextByte))) return undefined;
    const { isUnlinked } = await file.standing();
    const seen = seenPlaceOf(over);
    return this.#overLooks(() => findReplacement(this.#path, seen, isUnlinked, signal), signal);
  }

  /** The file at the path, once it can be opened. Undefined once `signal` aborts. */
  async openPath(signal: AbortSignal): Promise<SourceFile | undefined> {
    while (!signal.aborted) {
      try {
        return await SourceFile.open(this.#path, signal);
      } catch (error) {
        if (!(error instanceof FileTroubleError)) throw error;
        this.#reports.trouble(error);
        await pause(this.everyMs, signal);
      }
    }
    return undefined;
  }

  async #overLooks(look: () => Promise<SourceFile | undefined>, signal: AbortSignal): Promise<SourceFile | undefined> {
    for (let count = 1; ; count += 1) {
      const found = await look();
      if (found !== undefined || count === LOOKS || signal.aborted) return found;
      await pause(this.everyMs, signal);
    }
  }
}
