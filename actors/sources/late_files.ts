/**
 * Files that were read to their end and rotated. A program that has not opened the next file writes on to the one before, for
 * seconds or minutes, also where that has no name any more. Such late bytes come as a generation of their own, so that
 * sequences ascend though the next file was begun (E3).
 *   W1. The files last read stay open, and each is looked at as often as the file that is followed.
 *   W2. A file that shrank, or holds other bytes than were read, is none of them any more.
 *   W3. A file without a name keeps its space on the disk while it is open: it is closed once it was quiet for long.
 *   W4. After a restart they are found by their inodes. An inode is given to another file once it is free: the time when the file
 *       was made, or a strong mark, tells that it is the same.
 */
import { FILES_BEFORE_MAX, type FilePlace, holds, type ReadFile, STRONG_MARK_BYTES } from "./file_place.ts";
import { FileTroubleError } from "./file_trouble.ts";
import { type Sibling, siblingsOf } from "./rotated_files.ts";
import { SourceFile } from "./source_file.ts";

/** W3. */
export const NAMELESS_QUIET_MAX_MS = 300_000;

/** Those that were read, and as many that were empty. */
const KEPT_MAX = 2 * FILES_BEFORE_MAX;

interface LateFile {
  readonly file: SourceFile;
  readonly read: ReadFile;
  /** Size up to which it was looked at: bytes that make no record yet are no reason to look again. */
  lookedBytes: number;
  quietMs: number;
  /** It was written to after it was left. */
  wasLate: boolean;
}

/** Told when a file is looked at no more, with the reason: what is written to it from then on is lost. */
type OnEnd = (file: SourceFile, reason: string, wasLate: boolean) => void;

export class LateFiles {
  /** Newest first. */
  #kept: readonly LateFile[] = [];
  readonly #onEnd: OnEnd;

  constructor(onEnd: OnEnd) {
    this.#onEnd = onEnd;
  }

  /** W4. */
  async find(path: string, { before = [], inode, backTo }: FilePlace, signal: AbortSignal): Promise<void> {
    const siblings = before.length === 0 ? [] : await siblingsOf(path);
    const isInUse = (one: ReadFile) => one.inode === inode || one.inode === backTo?.inode;
    for (const read of before.filter((one) => !isInUse(one)).toReversed()) {
      const found = siblings.find((one) => one.inode === read.inode);
      if (found !== undefined) await this.#findOne(found, read, signal);
    }
  }

  /** Looks at a file from now on, which was read up to there; closes it when that is over. */
  async keep(file: SourceFile, { inode, offset, mark, bornMs = 0 }: ReadFile): Promise<void> {
    if (file.isCompressed) return file.close(); // no program writes on to it
    const read = { inode, offset, mark, bornMs };
    const known = this.#kept.find((one) => one.file.inode === file.inode);
    if (known !== undefined && known.file !== file) await known.file.close();
    const kept = {
      file,
      read,
      lookedBytes: Math.max(offset, known?.lookedBytes ?? 0),
      quietMs: 0,
      wasLate: known !== undefined,
    };
    const all = [kept, ...this.#kept.filter((one) => one !== known)];
    this.#kept = all.slice(0, KEPT_MAX);
    for (const one of all.slice(KEPT_MAX)) await this.#end(one, `${KEPT_MAX} others were rotated since`);
  }

  /** The file with this inode, looked at no more: whoever takes it closes it. */
  take(inode: string): SourceFile | undefined {
    const found = this.#kept.find(({ file }) => file.inode === inode);
    this.#kept = this.#kept.filter((one) => one !== found);
    return found?.file;
  }

  /** The oldest that has more than was read of it. It stays kept, and is not answered again for the same bytes. */
  async grown(sinceMs: number): Promise<Pick<LateFile, "file" | "read"> | undefined> {
    for (const late of this.#kept.toReversed()) {
      const look = await lookAt(late, sinceMs).catch((error: unknown): Look => {
        if (error instanceof FileTroubleError) return { over: error.message };
        throw error;
      });
      if (look === "grown") return late;
      if (look === "same") continue;
      this.#kept = this.#kept.filter((one) => one !== late);
      await this.#end(late, look.over);
    }
    return undefined;
  }

  async close(): Promise<void> {
    const kept = this.#kept;
    this.#kept = [];
    for (const { file } of kept) await file.close();
  }

  async #end({ file, wasLate }: LateFile, reason: string): Promise<void> {
    this.#onEnd(file, reason, wasLate);
    await file.close();
  }

  async #findOne({ path, inode }: Sibling, read: ReadFile, signal: AbortSignal): Promise<void> {
    let file: SourceFile | undefined;
    try {
      file = await SourceFile.open(path, signal);
      const { bornMs } = await file.standing();
      const isKnown = (bornMs !== 0 && bornMs === read.bornMs) || read.offset >= STRONG_MARK_BYTES;
      const isIt = file.inode === inode && !file.isCompressed && isKnown && (await holds(file, read));
      if (isIt) await this.keep(file, read);
      else await file.close();
    } catch (error) {
      await file?.close();
      if (!(error instanceof FileTroubleError)) throw error;
    }
  }
}

/** `over`: it is looked at no more, for this reason. */
type Look = "grown" | "same" | { readonly over: string };

/** W2, W3. */
async function lookAt(late: LateFile, sinceMs: number): Promise<Look> {
  const { sizeBytes, isUnlinked } = await late.file.standing();
  const isGrown = sizeBytes > late.lookedBytes;
  if (sizeBytes < late.read.offset || (isGrown && !(await holds(late.file, late.read)))) {
    return { over: "it was emptied or written anew" };
  }
  late.lookedBytes = Math.max(late.lookedBytes, sizeBytes);
  late.quietMs = isGrown ? 0 : late.quietMs + sinceMs;
  if (isGrown) return "grown";
  if (!isUnlinked || late.quietMs < NAMELESS_QUIET_MAX_MS) return "same";
  return { over: `it has no name and was quiet for ${NAMELESS_QUIET_MAX_MS / 1_000} s` };
}
