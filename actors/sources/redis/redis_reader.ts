/** What the two readers of Redis streams share: a connection that is made again after a wait, and the trouble told. */
import { backoffMs, pause, shortenedMs } from "../../../protocols/clock.ts";
import { reasonOf } from "../../../protocols/errors.ts";
import type { SourceContext } from "../source.ts";
import { codeOf, hostOf, RedisLink } from "./redis_link.ts";

/** Entries of one read: with entries of a few KiB, a read is a few MiB. */
export const READ_ENTRIES = 500;
/** The longest wait of one command for entries, in ms. */
export const BLOCK_MS = 2_000;

const RETRY_FIRST_MS = 50;
const RETRY_MAX_MS = 5_000;

/** Reads by `readOn`, which calls `works` after each answer, over connection after connection, until `signal` aborts. */
export async function* overConnections<Batch>(
  url: string,
  { log, trouble }: Pick<SourceContext, "log" | "trouble">,
  signal: AbortSignal,
  readOn: (link: RedisLink, works: () => void) => AsyncIterable<Batch>,
): AsyncIterable<Batch> {
  let told: string | undefined;
  let tries = 0;
  const works = () => {
    tries = 0;
    trouble(undefined);
    if (told !== undefined) log("info", "reading goes on", { redis: hostOf(url) });
    told = undefined;
  };
  for (; !signal.aborted; tries += 1) {
    let link: RedisLink | undefined;
    try {
      link = await RedisLink.open(url, signal);
      yield* readOn(link, works);
    } catch (error) {
      if (signal.aborted) return;
      const reason = reasonOf(error);
      trouble(codeOf(error));
      if (reason !== told) log("warn", "the stream cannot be read", { redis: hostOf(url), reason });
      told = reason;
    } finally {
      link?.close();
    }
    await pause(shortenedMs(backoffMs(tries, RETRY_FIRST_MS, RETRY_MAX_MS), Math.random()), signal);
  }
}
