/**
 * Holds one caller's calls of the file system: before its n-th, for as long as the test does other things, as a process
 * that is frozen there would; or lets the n-th fail, as a disk does. Others call as ever. Every call by name counts; what is done through an open file does not.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import files from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";

/** Runtimes other than Node bind these calls where they are imported: there nothing can be held. */
export const CAN_HOLD_FILES = !("deno" in process.versions);

const HELD = [
  ...["access", "copyFile", "link", "mkdir", "open", "readdir", "readFile", "rename", "rm", "rmdir", "stat"],
  ...["truncate", "unlink", "writeFile"],
] as const;

const callers = new AsyncLocalStorage<Held>();
const calls = files as unknown as Record<string, (...args: readonly unknown[]) => Promise<unknown>>;
for (const name of HELD) {
  const call = calls[name];
  if (call === undefined) continue;
  calls[name] = async (...args) => {
    await callers.getStore()?.step(name, args);
    return call(...args);
  };
}
syncBuiltinESMExports();

export class Held {
  /** The call that it is held before; undefined where `body` ended earlier. */
  readonly reached: Promise<string | undefined>;
  readonly #ended: Promise<unknown>;
  readonly #holdAt: number;
  readonly #isFailure: boolean;
  #calls = 0;
  #reach: (call: string) => void = () => {};
  #release: () => void = () => {};

  /** Begins `body`, and holds it before its call `holdAt`, from 0, or lets that fail. */
  constructor(holdAt: number, body: (held: Held) => Promise<unknown>, isFailure = false) {
    this.#holdAt = holdAt;
    this.#isFailure = isFailure;
    const atCall = new Promise<string>((resolve) => {
      this.#reach = resolve;
    });
    this.#ended = callers.run(this, () => body(this)).catch((error: unknown) => error);
    this.reached = Promise.race([atCall, this.#ended.then(() => undefined)]);
  }

  async step(name: string, args: readonly unknown[] = []): Promise<void> {
    const call = this.#calls;
    this.#calls += 1;
    if (call !== this.#holdAt) return;
    this.#reach(`${name} ${args.filter((arg) => typeof arg === "string").join(" ")}`);
    if (this.#isFailure) throw Object.assign(new Error("the disk failed"), { code: "EIO" });
    await new Promise<void>((resolve) => {
      this.#release = resolve;
    });
  }

  /** Lets it go on; answers what it ended with, an error as a value. */
  resume(): Promise<unknown> {
    this.#release();
    return this.#ended;
  }
}
