/**
 * Holds one caller before its n-th call of the file system, as a process that is frozen there, while the test does
 * other things; or lets that call fail, as a disk does. Other callers are not held. Calls that name a path count; calls
 * on an open file do not.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import files from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";

/** Runtimes other than Node bind these calls at the import: no call can be held there. */
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
  /** The call that `body` is held before; undefined where `body` ended earlier. */
  readonly reached: Promise<string | undefined>;
  readonly #ended: Promise<unknown>;
  readonly #holdAt: number;
  readonly #isFailure: boolean;
  #calls = 0;
  #reach: (call: string) => void = () => {};
  #release: () => void = () => {};

  /** Begins `body`, and holds it before its call number `holdAt`, from 0, or lets that call fail. */
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

  /** Lets `body` go on; answers its result, or its error as a value. */
  resume(): Promise<unknown> {
    this.#release();
    return this.#ended;
  }
}
