/**
 * Files that were read to their end and rotated. A program that has not opened the next file writes on to the one before, for
 * seconds or minutes, also where that has no name any more. Such late bytes come as a generation of their own, so that
 * sequences ascend though the next file was begun (E3).
 *   W1. The files last read stay open, and each is looked at as often as the file that is followed.
 *   W2. A file that shrank, or holds other bytes than were read, is none of them any more.
 *   W3. A file without a name keeps its space on the disk while it is open: it is closed once it was quiet for long.
 *   W4. After a restart they are found by their inodes. An inode is given to another file once it is free: the time when the file
 *       was made, or a strong mark, tells that it is the same. Of a file that was left empty there is no mark: that time alone tells.
 *   W5. A file that is one of them is never the next file, whatever is in it, nor is a compressed copy with its late bytes:
 *       those come from the file itself.
 */
import { FILES_BEFORE_MAX, holds, isKnown, isSameFile, type ReadFile } from "./file_place.ts";
import { FileTroubleError } from "./file_trouble.ts";
import { type Sibling, siblingsOf } from "./rotated_files.ts";
import { SourceFile } from "./source_file.ts";

/** W3. */
export const NAMELESS_QUIET_MAX_MS = 300_000;

/** Looks at a folder that is rotated at the same time. */
const LOOKS = 5;
const COMPARED_BYTES = 65_536;

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

  /** W4. `reads`: newest first. Answers those that are not found again. */
  async find(path: string, reads: readonly ReadFile[], signal: AbortSignal): Promise<readonly ReadFile[]> {
    const isNewest = (read: ReadFile) => reads.find((one) => isSameFile(one, read) !== false) === read;
    let wanted = reads.filter(isNewest).toReversed();
    const missing: ReadFile[] = [];
    for (let look = 0; wanted.length > 0 && look < LOOKS; look += 1) {
      const siblings = await siblingsOf(path);
      const moved: ReadFile[] = [];
      for (const read of wanted) {
        const found = siblings.find((one) => one.inode === read.inode);
        const outcome = found === undefined ? "another" : await this.#findOne(found, read, signal);
        if (outcome === "moved") moved.push(read);
        if (outcome === "another") missing.push(read);
      }
      wanted = moved;
    }
    return [...missing, ...wanted];
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

  /** Whether the file with this inode is one of them: an inode is given to no other file while it is open. */
  async keeps(inode: string): Promise<boolean> {
    const found = this.#kept.find(({ file }) => file.inode === inode);
    return found !== undefined && (await holds(found.file, found.read));
  }

  /** Whether it is one of them, or a copy with late bytes in it: these come from the file that was copied. */
  async covers(file: SourceFile): Promise<boolean> {
    if (await this.keeps(file.inode)) return true;
    for (const late of this.#kept) if (await isCopy(file, late)) return true;
    return false;
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

  /** `moved`: it was renamed since its folder was looked at. */
  async #findOne({ path, inode }: Sibling, read: ReadFile, signal: AbortSignal): Promise<"kept" | "moved" | "another"> {
    let file: SourceFile | undefined;
    try {
      file = await SourceFile.open(path, signal);
      const isFound = file.inode === inode;
      const isIt = isFound && (await isKnown(file, read));
      if (isIt) await this.keep(file, read);
      else await file.close();
      return isIt ? "kept" : isFound ? "another" : "moved";
    } catch (error) {
      await file?.close();
      if (!(error instanceof FileTroubleError)) throw error;
      return error.errno === "ENOENT" ? "moved" : "another";
    }
  }
}

/** Whether the file holds what was read of the other one, and late bytes of it, and nothing else. */
async function isCopy(file: SourceFile, { file: late, read }: LateFile): Promise<boolean> {
  if (!file.isCompressed && !(await late.standing()).isUnlinked) return false; // a file of its own that holds the same
  if (!(await holds(file, read))) return false;
  for (let at = read.offset; ; ) {
    const bytes = await file.bytes(at, COMPARED_BYTES);
    if (bytes.length === 0) return at > read.offset;
    if (Buffer.compare(bytes, await late.bytes(at, bytes.length)) !== 0) return false;
    at += bytes.length;
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
