/**
 * The places that a file of a file sink can be rewound to, one line for each commit. The lines need not be durable:
 * without a line that a crash took, a rewind goes back further. So many lines are gathered for one write.
 */
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { comparePositions, type Position } from "../../../protocols/position.ts";
import { type Boundary, boundaryLine, listSegments, readBoundaries, sizeOf } from "./file_layout.ts";

/** Most lines in memory: those that a crash may take. */
const LINES_WAITING_MAX = 256;

export class FileIndex {
  readonly #handle: FileHandle;
  #lines: string[] = [];
  #writtenBytes = 0;

  private constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  static async create(path: string): Promise<FileIndex> {
    return new FileIndex(await open(path, "w"));
  }

  /** Takes a line. Undefined while the line may wait for others; otherwise resolves once the lines are written. */
  add(boundary: Boundary): Promise<void> | undefined {
    this.#lines.push(boundaryLine(boundary));
    return this.#lines.length >= LINES_WAITING_MAX ? this.flush() : undefined;
  }

  /** Writes every line taken so far. After a failure they are written again, over the bytes it left. */
  async flush(): Promise<void> {
    const lines = this.#lines;
    if (lines.length === 0) return;
    const bytes = Buffer.from(lines.join(""));
    const at = this.#writtenBytes;
    this.#lines = [];
    this.#writtenBytes += bytes.length;
    try {
      await writeFully(this.#handle, bytes, at);
    } catch (error) {
      this.#lines = [...lines, ...this.#lines];
      this.#writtenBytes = at;
      throw error;
    }
  }

  async close(): Promise<void> {
    try {
      await this.flush();
    } finally {
      await this.#handle.close();
    }
  }
}

/** Where a rewind cuts: the last place that a segment has at or before the position, among all its places. */
export interface SegmentCut {
  readonly segment: { readonly name: string; readonly first: number };
  readonly kept: Boundary;
  readonly boundaries: readonly Boundary[];
}

/** Undefined where even the first segment begins too late. */
export async function cutBefore(folder: string, to: Position | undefined): Promise<SegmentCut | undefined> {
  for (const segment of (await listSegments(folder)).reverse()) {
    const size = (await sizeOf(join(folder, segment.name))) ?? 0;
    // An index may name places beyond the segment's end: those of commits that the log has lost since.
    const all = await readBoundaries(join(folder, `${segment.name}.index`));
    const boundaries = all.filter((one) => one.length <= size);
    const kept = boundaries.filter((boundary) => comparePositions(boundary.position, to) <= 0).at(-1);
    if (kept !== undefined) return { segment, kept, boundaries };
  }
  return undefined;
}

export async function writeFully(handle: FileHandle, bytes: Uint8Array, at: number): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, at + done);
    done += bytesWritten;
  }
}
