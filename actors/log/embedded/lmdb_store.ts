/**
 * The ordered store on disk: LMDB, memory-mapped, which writes on a thread of its own. Decides how LMDB's answers are
 * understood: what a commit and a flush are, what each failure means, and how the store comes back.
 *
 *   D1. A commit is one transaction: all of its writes are made, or none.
 *   D2. `flushed` resolves only after LMDB has synced the commit to disk (E10).
 *   D3. After a failure the state tells the reason, and the store tries a write each second, reopening LMDB where that
 *       fails. It is `ready` again once a write has reached the disk.
 */
import { randomUUID } from "node:crypto";
import { statfsSync } from "node:fs";
import type { RootDatabase, RootDatabaseOptions } from "lmdb";
import { loadDriver } from "../../../deps.ts";
import {
  ConfigurationError,
  HeadraceError,
  InvariantError,
  reasonOf,
  type UnavailableCode,
  UnavailableError,
} from "../../../protocols/errors.ts";
import { settledWithin } from "../../kernel/settled_within.ts";
import { StoreHealth } from "../rules/store_health.ts";
import { checkDataFile } from "./lmdb_file.ts";
import type { Commit, OrderedStore, Writes } from "./ordered_store.ts";
import { pack, unpack } from "./stored_state.ts";

const STORE_FORMAT_VERSION = 1;
const FORMAT_KEY = "format";
const PROBE_KEY = "probe";
const PROBE_EVERY_MS = 1_000;
/** A disk that takes longer than this to flush counts as failed. */
const FLUSH_TIMEOUT_MS = 30_000;
/** A failed write with less free space than this counts as a full disk. */
const FREE_BYTES_MIN = 1_048_576;

type Database = RootDatabase<Uint8Array, Uint8Array>;

/** Patterns of LMDB's and the system's messages, with the failure that each tells. The first match counts. */
const FAILURES: readonly (readonly [RegExp, UnavailableCode])[] = [
  [/MDB_MAP_FULL|No space left|ENOSPC|EDQUOT|quota/i, "DISK_FULL"],
  [/Read-only|EROFS|Permission denied|EACCES|Operation not permitted/i, "DISK_READ_ONLY"],
  [/MDB_CORRUPTED|MDB_PAGE_NOTFOUND|MDB_INVALID|MDB_BAD_TXN|wrong type/i, "STORE_CORRUPT"],
];

export class LmdbStore implements OrderedStore {
  readonly #folder: string;
  readonly #open: () => Database;
  #database: Database;
  #identity = randomUUID();
  readonly #health = new StoreHealth(
    { kind: "ready" },
    // The state tells the outcome of the probe; its rejection is for other callers.
    { everyMs: PROBE_EVERY_MS, attempt: () => void this.probe().catch(ignore) },
  );
  #isClosed = false;

  private constructor(folder: string, open: () => Database) {
    this.#folder = folder;
    this.#open = open;
    this.#database = open();
  }

  /**
   * Opens the store in a folder. Rejects with `ConfigurationError` where a newer release wrote the folder. `changed` is for
   * tests, which leave out flushes to show that this is noticed.
   */
  static async open(folder: string, changed: RootDatabaseOptions = {}): Promise<LmdbStore> {
    const { open } = await loadDriver("lmdb");
    const openDatabase = () => {
      checkDataFile(folder);
      return open<Uint8Array, Uint8Array>({
        path: folder,
        noSubdir: false, // also where the folder's name has a dot
        encoding: "binary",
        keyEncoding: "binary",
        cache: false,
        // With overlapping flushes a killed process lost writes that LMDB had reported as flushed (seen in a test).
        // Grouped commits are as fast without. A commit then writes its pages (pwrite, writev) and syncs them (fdatasync).
        // It writes the meta page through a descriptor opened with O_DSYNC, so it is flushed when it ends.
        overlappingSync: false,
        ...changed,
      });
    };
    let store: LmdbStore | undefined;
    try {
      store = new LmdbStore(folder, openDatabase);
      await store.#checkFormat(folder);
      return store;
    } catch (error) {
      await store?.close();
      if (error instanceof HeadraceError) throw error;
      throw unavailable(failureCode(error, folder), reasonOf(error), error);
    }
  }

  async #checkFormat(folder: string): Promise<void> {
    const bytes = this.get(FORMAT_KEY);
    if (bytes === undefined) {
      const commit = this.commit(new Map([[FORMAT_KEY, pack(STORE_FORMAT_VERSION)]]));
      await commit.committed;
      return commit.flushed();
    }
    const version = unpack<number>(bytes);
    if (version > STORE_FORMAT_VERSION) {
      throw new ConfigurationError(
        "FORMAT_TOO_NEW",
        `Cannot open ${folder} as its format must be at most ${STORE_FORMAT_VERSION}: current value is ${version}`,
      );
    }
  }

  get identity(): string {
    return this.#identity;
  }

  readonly get: OrderedStore["get"] = (key) => this.#database.get(Buffer.from(key));

  *range(from: string, to: string): Iterable<readonly [string, Uint8Array]> {
    const found = this.#database.getRange({ start: Buffer.from(from), end: Buffer.from(to) });
    for (const { key, value } of found) yield [Buffer.from(key).toString(), value];
  }

  commit(writes: Writes): Commit {
    return { committed: this.#commit(writes), flushed: () => this.#flush() };
  }

  async #commit(writes: Writes): Promise<void> {
    if (this.#isClosed) throw new UnavailableError("STOPPING", "Cannot write as the log must be open: it is closed");
    const state = this.state();
    if (state.kind === "unavailable") throw unavailable(state.code, state.reason);
    await this.#put(writes);
  }

  async #put(writes: Writes): Promise<void> {
    if (writes.size === 0) return;
    // D1. LMDB makes the writes of one turn of the event loop one transaction. A throw after the first of them would leave
    // that one in it, so keys are checked before.
    const encoded = Array.from(writes, ([key, value]) => [keyBytesOf(key), value] as const);
    const database = this.#database;
    const parts = new Set<Promise<unknown>>();
    // Most writes share one promise. Each is awaited, so that none rejects unheard.
    for (const [key, value] of encoded)
      parts.add(value === undefined ? database.remove(key) : database.put(key, value));
    // The start of the transaction has a promise of its own, made right after this turn, which must not reject unheard.
    setImmediate(() => database.committed.then(ignore, ignore));
    const results = await Promise.allSettled(parts);
    for (const result of results) if (result.status === "rejected") throw await causeOf(result.reason);
  }

  /** D2. The flush of the newest commit covers all before it. */
  async #flush(): Promise<void> {
    const { flushed } = this.#database;
    // LMDB never settles the promise of a flush that failed.
    if (!(await settledWithin(flushed, FLUSH_TIMEOUT_MS))) throw new Error(`No flush within ${FLUSH_TIMEOUT_MS} ms`);
    await flushed;
  }

  failure(error: unknown): Error {
    if (error instanceof HeadraceError) return error;
    const reason = reasonOf(error);
    const code = failureCode(error, this.#folder);
    this.#health.change({ kind: "unavailable", code, reason });
    return unavailable(code, reason, error);
  }

  readonly state: OrderedStore["state"] = () => this.#health.state;
  readonly onStateChange: OrderedStore["onStateChange"] = (listener) => this.#health.onChange(listener);

  async probe(): Promise<void> {
    if (this.#isClosed) throw new UnavailableError("STOPPING", "Cannot probe as the log must be open: it is closed");
    if (this.state().kind === "ready") {
      this.get(FORMAT_KEY);
      return;
    }
    await this.#writeProbe().catch((error: unknown) => this.#reopen(error));
    this.#health.change({ kind: "ready" });
  }

  async #writeProbe(): Promise<void> {
    await this.#put(new Map([[PROBE_KEY, pack(Date.now())]]));
    await this.#flush();
  }

  /** D3. Begins a new life of the store, in which earlier ownerships are void. */
  async #reopen(cause: unknown): Promise<void> {
    try {
      await this.#database.close().catch(ignore); // an earlier try may have closed it
      this.#database = this.#open();
      this.#identity = randomUUID();
      await this.#writeProbe();
    } catch (error) {
      throw this.failure(reasonOf(error) === "" ? cause : error);
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#health.close();
    await this.#database.close();
  }
}

/** Handles promises whose outcome shows elsewhere. */
const ignore = (): void => undefined;

function failureCode(error: unknown, folder: string): UnavailableCode {
  const known = FAILURES.find(([pattern]) => pattern.test(reasonOf(error)))?.[1];
  // LMDB reports a write that a full disk cut short as a plain I/O error, so the disk is asked.
  return known ?? (isDiskFull(folder) ? "DISK_FULL" : "STORE_UNAVAILABLE");
}

function isDiskFull(folder: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize < FREE_BYTES_MIN;
  } catch {
    return false; // a disk that does not answer is not known to be full
  }
}

/** The cause of a failed write: LMDB rejects with "commit failed", and a promise within rejects with the cause a bit later. */
async function causeOf(error: unknown): Promise<unknown> {
  const { commitError } = error as { commitError?: Promise<unknown> | Error };
  try {
    return (await commitError) ?? error;
  } catch (cause) {
    return cause;
  }
}

/** Bytes of a key that LMDB takes at most, with its pages of 4,096 bytes. */
const KEY_BYTES_MAX = 1_978;

function keyBytesOf(key: string): Buffer {
  const bytes = Buffer.from(key);
  if (bytes.length <= KEY_BYTES_MAX) return bytes;
  throw new InvariantError(
    `Cannot write ${key.slice(0, 100)} as a key may have at most ${KEY_BYTES_MAX} bytes: current value is ${bytes.length}`,
  );
}

const unavailable = (code: string, reason: string, cause?: unknown): UnavailableError =>
  new UnavailableError(code as UnavailableCode, `Cannot use the store: ${reason}`, { cause });
