/** The log lines of a file source, for a person. Each is written once for each change, with the path. */
import type { FileText } from "../records/file_text.ts";
import type { FoundRecord } from "../records/record_cutter.ts";
import type { SourceContext, SourceItem } from "../source.ts";
import { type FileSourceOptions, lastLineAfterMsOf } from "./file_options.ts";
import { FILES_BEFORE_MAX, type FilePlace, type ReadFile } from "./file_place.ts";
import { unreadableBeside } from "./file_search.ts";
import type { FileTroubleError } from "./file_trouble.ts";
import { beginsAlike, isReplaced } from "./replaced_file.ts";
import type { SourceFile } from "./source_file.ts";

export class FileReports {
  readonly #options: FileSourceOptions;
  readonly #context: SourceContext;
  #trouble: string | undefined;
  #damage: string | undefined;
  #lateInodes: ReadonlySet<string> = new Set();

  constructor(options: FileSourceOptions, context: SourceContext) {
    this.#options = options;
    this.#context = context;
  }

  log(level: "info" | "warn" | "error", message: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.#context.log(level, message, { path: this.#options.path, ...fields });
  }

  /** Reports that the path cannot be read, or that it can be read again. */
  trouble(trouble: FileTroubleError | undefined): void {
    if (trouble?.errno === this.#trouble) return;
    const errno = trouble?.errno;
    this.#trouble = errno;
    this.#context.trouble(errno);
    if (trouble === undefined) this.log("info", "the file can be read");
    else if (errno === "ENOENT") this.log("info", "waiting for the file to exist", { errno });
    else this.log("error", "the file cannot be read", { errno, reason: trouble.message });
  }

  /** A warning if late bytes came from the file before, else an information. */
  lateEnd({ inode }: SourceFile, reason: string, wasLate: boolean): void {
    const message = "a rotated file is looked at no more: bytes written to it from now on are not read";
    this.log(wasLate ? "warn" : "info", message, { inode, reason });
  }

  /** After a restart: earlier files that have no name any more, or cannot be told from others. */
  notFound(files: readonly ReadFile[]): void {
    if (files.length === 0) return;
    const message =
      "rotated files are not found again, perhaps as they were compressed or removed: bytes written to them since are not read";
    this.log("info", message, { inodes: files.map(({ inode }) => inode) });
  }

  late({ inode }: SourceFile, { offset }: ReadFile, generation: number): void {
    if (this.#lateInodes.has(inode)) return;
    this.#lateInodes = new Set([inode, ...this.#lateInodes].slice(0, FILES_BEFORE_MAX));
    this.log(
      "info",
      "a program writes on to a file that was rotated: its late records come between those of the next file",
      { inode, offset, generation },
    );
  }

  /** Reports if the next file begins like the one read, and goes on with other bytes. */
  async readAgain({ file, head, offset }: FileText, next: SourceFile): Promise<void> {
    const { path } = this.#options;
    if (next.path !== path || !(await beginsAlike(next, head)) || !(await isReplaced(path, file, offset))) return;
    this.log(
      "warn",
      "the file was written anew with the same beginning, and other bytes after it than were read: it is read again from its beginning",
      { readBytes: offset },
    );
  }

  damage({ path, damage }: SourceFile): void {
    if (damage !== undefined && damage !== this.#damage) {
      this.#context.log("error", "a compressed file is cut short or damaged", { path, damage });
    }
    this.#damage = damage;
  }

  /** Whether a record is the rest of a line whose first part was given out before. If so, reports it. */
  rest(records: readonly FoundRecord[]): boolean {
    const rest = records.find(({ isRest }) => isRest);
    if (rest === undefined) return false;
    this.log(
      "warn",
      "the rest of a line came after its first part was given out: the line is in two records; a longer lastLineAfterMs, or never, keeps lines whole",
      { offset: rest.position, lastLineAfterMs: lastLineAfterMsOf(this.#options) },
    );
    return true;
  }

  /** The item. For a malformed one, the place is put before its reason. */
  item(item: SourceItem, generation: number, offset: number): SourceItem {
    if (item.kind === "event") return item;
    this.log("warn", "a record was set aside", { generation, offset, reason: item.reason });
    return { ...item, reason: `${this.#options.path}, byte ${offset}: ${item.reason}` };
  }

  /** Reports bytes that cannot be found. `lostBytes` counts those that the last look saw. */
  async loss(over: FilePlace, wasUnwatched: boolean, signal: AbortSignal): Promise<void> {
    const { sizeBytes, offset, generation, modifiedMs } = over;
    const lostBytes = sizeBytes === undefined ? undefined : Math.max(0, sizeBytes - offset);
    const lastLook = modifiedMs === undefined ? {} : { lastSeenChange: new Date(modifiedMs).toISOString() };
    const unreadable = await unreadableBeside(this.#options.path, signal);
    const about = { generation, offset, ...lastLook, ...(unreadable.length === 0 ? {} : { unreadable }) };
    if (lostBytes === 0) {
      const message = `the file that was read is gone or was written anew, and no copy of it is found: its ${offset} bytes that were seen are read; whether more was written to it after the last look cannot be known`;
      this.log(wasUnwatched ? "error" : "warn", message, about);
    } else {
      const message =
        "bytes of a file that is gone or was written anew are lost: they were not read; whether more was written to it after the last look cannot be known";
      this.log("error", message, lostBytes === undefined ? about : { ...about, lostBytes });
    }
  }
}
