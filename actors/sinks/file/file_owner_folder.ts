/**
 * The only way to a file sink's published segments: each opening has an owner folder beside them. A file is published
 * by one rename out of this folder, and taken back by one rename into it. Both renames fail once the folder is gone. So
 * removing the folder takes all power over the segments from an owner that is frozen at any step and may wake up later.
 *
 *   W1. The folder is made once, before its owner shows its fence to the log. If a later opening does not see the
 *       folder, its owner has lost it already, or the log will refuse that owner before it uses the folder.
 *   W2. An opening that the log has confirmed removes the folders of all earlier openings, and only then lists the
 *       segments.
 *   W3. The folder may be emptied at any time: published files are linked or copied into it, and files taken back are
 *       void.
 */
import { copyFile, link, mkdir, readdir, rename, rm, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { FencedError, UnavailableError } from "../../../protocols/errors.ts";
import { syncFolder } from "../../kernel/durable_files.ts";
import { copyStart, ignoreMissing, sizeOf } from "./file_layout.ts";

/** Most tries to empty a folder. An owner that is still at work may put one or two files into it meanwhile. */
const EMPTYINGS_MAX = 16;

let openings = 0;
/** The newest opening of each owner, by the owner's folder. No other process has the same fence (E7). */
const newest = new Map<string, number>();

export interface Publication {
  readonly file: string;
  /** How many bytes are published. Unless `isWhole`, they are copied into a new file. */
  readonly length: number;
  readonly isWhole: boolean;
  readonly segment: string;
}

export class OwnerFolder {
  readonly #beside: string;
  readonly #fence: number;
  readonly #opening: number;
  readonly #owner: string;
  /** Unlike the name of any other opening. */
  readonly name: string;
  #passed = 0;
  #isRemoved = false;

  constructor(beside: string, fence: number) {
    openings += 1;
    this.#beside = beside;
    this.#fence = fence;
    this.#opening = openings;
    this.#owner = join(beside, `.owner-${fence}`);
    this.name = `${fence}-${openings}`;
    newest.set(this.#owner, openings);
  }

  /** Whether the same owner has not opened the sink again since. */
  get isNewest(): boolean {
    return newest.get(this.#owner) === this.#opening;
  }

  /** W1: to be called before the log sees the fence. */
  async make(): Promise<void> {
    await mkdir(this.#path);
  }

  /** W2: to be called once the log has confirmed the fence. */
  async removeEarlier(): Promise<void> {
    for (const name of await readdir(this.#beside)) {
      const [, fence, opening] = /^\.owner-(\d+)-(\d+)$/.exec(name) ?? [];
      if (fence === undefined || opening === undefined) continue;
      const isEarlier = Number(fence) === this.#fence ? Number(opening) < this.#opening : Number(fence) < this.#fence;
      if (isEarlier) await removeFolder(join(this.#beside, name));
    }
  }

  /** Throws `FencedError` if a later opening has removed the folder, and `UnavailableError` after `remove`. */
  async check(): Promise<void> {
    if (this.#isRemoved)
      throw new UnavailableError("STOPPING", "Cannot touch segments as the sink must be open: it is closed");
    if ((await sizeOf(this.#path)) !== undefined) return;
    throw new FencedError(
      "NOT_OWNER",
      `Cannot touch segments as the owner folder ${this.#path} must exist: a newer opening has removed it`,
    );
  }

  /** Publishes a file and its index. Replaces a segment of the same name, so the caller must look first. */
  publish({ file, length, isWhole, segment }: Publication): Promise<void> {
    return this.#within(async () => {
      const passing = this.passing();
      const source = join(this.#beside, file);
      await (isWhole ? link(source, passing) : copyStart(source, passing, length));
      const index = `${segment}.index`;
      await this.takeBack(index); // With another segment's index, a rewind would cut this segment within a record.
      await copyFile(`${source}.index`, `${passing}.index`)
        .then(() => rename(`${passing}.index`, join(this.#beside, index)))
        .catch(ignoreMissing);
      await rename(passing, join(this.#beside, segment));
      await syncFolder(this.#beside);
    });
  }

  takeBack(name: string): Promise<void> {
    return this.#within(async () => {
      const passing = this.passing();
      try {
        await rename(join(this.#beside, name), passing);
      } catch (error) {
        ignoreMissing(error as NodeJS.ErrnoException);
        await this.check();
      }
      await rm(passing, { force: true });
    });
  }

  remove(): Promise<void> {
    this.#isRemoved = true;
    if (this.isNewest) newest.delete(this.#owner);
    return removeFolder(this.#path);
  }

  get #path(): string {
    return join(this.#beside, `.owner-${this.name}`);
  }

  /** A new path in the owner folder, for a file on its way into the partition's folder or out of it. */
  passing(): string {
    this.#passed += 1;
    return join(this.#path, String(this.#passed));
  }

  async #within(steps: () => Promise<void>): Promise<void> {
    try {
      await steps();
    } catch (error) {
      await this.check();
      throw error;
    }
  }
}

/** Removes by `rmdir`: after that no rename can end in it, not even one under way on another machine. */
async function removeFolder(path: string): Promise<void> {
  for (let emptyings = 0; emptyings < EMPTYINGS_MAX; emptyings += 1) {
    try {
      for (const name of await readdir(path)) await rm(join(path, name), { force: true });
      return await rmdir(path);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "ENOENT") return;
      if (code !== "ENOTEMPTY" && code !== "EEXIST") throw error;
    }
  }
  throw new UnavailableError(
    "NOT_READY",
    `Cannot take ${path} from its owner as it must be empty: it was filled ${EMPTYINGS_MAX} times`,
  );
}
