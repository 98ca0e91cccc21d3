/**
 * Looks at files that were read to their end and rotated, for late bytes. A program that has not opened the next file
 * writes on to the one before for seconds or minutes, even if that one has no name any more. Late bytes come as a
 * generation of their own, so that sequences ascend though the next file was begun (E3).
 *   W1. The files last read stay open. Each is looked at as often as the followed file.
 *   W2. A file that shrank, or that holds other bytes than were read, is looked at no more.
 *   W3. A nameless file keeps its space on the disk while it is open. It is closed after 300 s without new bytes.
 *   W4. After a restart the files are found by their inodes. As a free inode may go to another file, the time when the
 *       file was made or a strong mark must match as well. A file that was left empty has no mark: its time alone must
 *       match.
 *   W5. A file that is looked at is never the next file, whatever it holds. Nor is a compressed copy with its late
 *       bytes, as these come from the file itself.
 */
import { FILES_BEFORE_MAX, holds, isKnown, isSameFile, type ReadFile } from "./file_place.ts";
import { firstThat } from "./file_search.ts";
import { FileTroubleError } from "./file_trouble.ts";
import { siblingsOf } from "./rotated_files.ts";
import type { SourceFile } from "./source_file.ts";

/** W3. */
export const NAMELESS_QUIET_MAX_MS = 300_000;

/** Most listings of a folder whose files are rotated meanwhile. */
const LOOKS = 5;
const COMPARED_BYTES = 65_536;

/** Most files looked at: those that were read, and as many empty ones. */
const KEPT_MAX = 2 * FILES_BEFORE_MAX;

/** A file with late bytes, and the place up to which it was read before. */
export interface GrownFile {
  readonly file: SourceFile;
  readonly read: ReadFile;
}

interface LateFile extends GrownFile {
  /** The size at the last look. Bytes up to it make no whole record, and are not reported again. */
  lookedBytes: number;
  quietMs: number;
  wasLate: boolean;
}

/** Called when a file is looked at no more, with the reason. Bytes written to it from then on are lost. */
type OnEnd = (file: SourceFile, reason: string, wasLate: boolean) => void;

export class LateFiles {
  #kept: readonly LateFile[] = [];
  readonly #onEnd: OnEnd;

  constructor(onEnd: OnEnd) {
    this.#onEnd = onEnd;
  }

  /** W4. Answers the files that are not found again. @param reads the earlier files, newest first */
  async find(path: string, reads: readonly ReadFile[], signal: AbortSignal): Promise<readonly ReadFile[]> {
    const isNewest = (read: ReadFile) => reads.find((one) => isSameFile(one, read) !== false) === read;
    let wanted = reads.filter(isNewest).toReversed();
    const missing: ReadFile[] = [];
    for (let look = 0; wanted.length > 0 && look < LOOKS; look += 1) {
      const siblings = await siblingsOf(path);
      const moved: ReadFile[] = [];
      for (const read of wanted) {
        const found = siblings.find((one) => one.inode === read.inode);
        const file = found && (await firstThat([found], signal, (one) => isKnown(one, read)));
        if (file === "moved") moved.push(read);
        else if (file === undefined) missing.push(read);
        else await this.keep(file, read);
      }
      wanted = moved;
    }
    return [...missing, ...wanted];
  }

  /** Looks at a file, read up to this place, from now on. Closes it when it is looked at no more. */
  async keep(file: SourceFile, { inode, offset, mark, bornMs = 0 }: ReadFile): Promise<void> {
    if (file.isCompressed) return file.close(); // no program writes on to it
    const read = { inode, offset, mark, bornMs };
    const known = this.#kept.find((one) => one.file.inode === file.inode);
    if (known !== undefined && known.file !== file) await known.file.close();
    const lookedBytes = Math.max(offset, known?.lookedBytes ?? 0);
    const kept = { file, read, lookedBytes, quietMs: 0, wasLate: known !== undefined };
    const all = [kept, ...this.#kept.filter((one) => one !== known)];
    this.#kept = all.slice(0, KEPT_MAX);
    for (const one of all.slice(KEPT_MAX)) await this.#end(one, `${KEPT_MAX} others were rotated since`);
  }

  /** Takes the file with this inode out. It is looked at no more, and the caller closes it. */
  take(inode: string): SourceFile | undefined {
    const found = this.#kept.find(({ file }) => file.inode === inode);
    this.#kept = this.#kept.filter((one) => one !== found);
    return found?.file;
  }

  /** Whether the file with this inode is looked at. While it is open, no other file gets its inode. */
  async keeps(inode: string): Promise<boolean> {
    const found = this.#kept.find(({ file }) => file.inode === inode);
    return found !== undefined && (await holds(found.file, found.read));
  }

  /** Whether the file is looked at, or is a copy of such a file with late bytes. These come from the file itself. */
  async covers(file: SourceFile): Promise<boolean> {
    if (await this.keeps(file.inode)) return true;
    for (const late of this.#kept) if (await isCopy(file, late)) return true;
    return false;
  }

  /** The oldest file with unread bytes. It is still looked at, and is not answered again for the same bytes. */
  async grown(sinceMs: number): Promise<GrownFile | undefined> {
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
}

/** Whether the file holds the bytes read of the other file, its late bytes, and no others. */
async function isCopy(file: SourceFile, { file: late, read }: LateFile): Promise<boolean> {
  if (!file.isCompressed && !(await late.standing()).isUnlinked) return false; // another file with the same bytes
  if (!(await holds(file, read))) return false;
  for (let at = read.offset; ; ) {
    const bytes = await file.bytes(at, COMPARED_BYTES);
    if (bytes.length === 0) return at > read.offset;
    if (Buffer.compare(bytes, await late.bytes(at, bytes.length)) !== 0) return false;
    at += bytes.length;
  }
}

/** `over`: why the file is looked at no more. */
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
