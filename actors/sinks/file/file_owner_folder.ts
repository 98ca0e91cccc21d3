/**
 * The only way to a file sink's published segments: a folder of each opening's own, beside them. What is published comes
 * out of it and what is taken back goes into it, by one rename, which fails once the folder is gone. So removing the
 * folder takes every power over the segments from an owner that may be frozen, at any step, and wake up later.
 *
 *   W1. It is made once, before its owner shows its fence to the log. An owner whose folder is not there when a later one
 *       looks has lost it already, or will be refused by the log before it uses it.
 *   W2. An opening that the log has confirmed removes the folders of all before it, and only then looks at what is published.
 *   W3. It is removed empty, by `rmdir`: not even a rename that is under way, on another machine, ends in it after that.
 *   W4. Nothing in it is worth keeping: what is published is linked into it, or copied, and what is taken back is void.
 */
import { copyFile, link, mkdir, readdir, rename, rm, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { FencedError, UnavailableError } from "../../../protocols/errors.ts";
import { syncFolder } from "../../kernel/durable_files.ts";
import { copyStart, ignoreMissing, sizeOf } from "./file_layout.ts";

/** An owner that still works while its folder is emptied puts a file or two into it. */
const EMPTYINGS_MAX = 16;

let openings = 0;
/** The newest opening of each owner that is open: of one fence, which no other process has (E7), the newest counts. */
const newest = new Map<string, number>();

export interface Publication {
  readonly file: string;
  /** Bytes that are published. Where the file is not `whole`, a copy is cut to them. */
  readonly length: number;
  readonly isWhole: boolean;
  readonly segment: string;
}

export class OwnerFolder {
  readonly #beside: string;
  readonly #fence: number;
  readonly #opening: number;
  readonly #owner: string;
  /** No other opening has it. */
  readonly name: string;
  #passed = 0;
  #isRemoved = false;

  /** @param beside the partition's folder */
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

  /** W1: call it before the fence is shown. */
  async make(): Promise<void> {
    await mkdir(this.#path);
  }

  /** W2: call it once the log has confirmed the fence. */
  async removeEarlier(): Promise<void> {
    for (const name of await readdir(this.#beside)) {
      const [, fence, opening] = /^\.owner-(\d+)-(\d+)$/.exec(name) ?? [];
      if (fence === undefined || opening === undefined) continue;
      const isEarlier = Number(fence) === this.#fence ? Number(opening) < this.#opening : Number(fence) < this.#fence;
      if (isEarlier) await removeFolder(join(this.#beside, name));
    }
  }

  /** Throws `FencedError` where a later opening has removed the folder, `UnavailableError` after `remove`. */
  async check(): Promise<void> {
    if (this.#isRemoved) throw new UnavailableError("STOPPING", "Cannot touch what is published as the sink is closed");
    if ((await sizeOf(this.#path)) !== undefined) return;
    throw new FencedError("NOT_OWNER", `Cannot touch what is published as ${this.#path} must be there: it was removed`);
  }

  /** Publishes a file and its index. What has the segment's name is replaced: look first. */
  publish({ file, length, isWhole, segment }: Publication): Promise<void> {
    return this.#within(async () => {
      const passing = this.passing();
      const source = join(this.#beside, file);
      await (isWhole ? link(source, passing) : copyStart(source, passing, length));
      const index = `${segment}.index`;
      await this.takeBack(index); // A segment without an index can be rewound less far; one with another's would be torn.
      await copyFile(`${source}.index`, `${passing}.index`)
        .then(() => rename(`${passing}.index`, join(this.#beside, index)))
        .catch(ignoreMissing);
      await rename(passing, join(this.#beside, segment));
      await syncFolder(this.#beside);
    });
  }

  /** Removes a published name, if it is there. */
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

  /** A path for a file on its way into the partition's folder or out of it. No other opening uses it. */
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

/** W3 */
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
