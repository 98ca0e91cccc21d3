/** The stored point from which a source, or one shard of it, resumes: one small value in the log's metadata. */
import { UnavailableError } from "../../../protocols/errors.ts";
import { decodeTrustedEvents, encodeEvents } from "../../../protocols/values/event_codec.ts";
import type { Log } from "../../log/log.ts";
import type { SourcePosition } from "../source.ts";

export type SourceStore = Pick<Log, "readMetadata" | "writeMetadata">;

export interface ResumePoint {
  /** The point that an earlier life stored; undefined where there is none. */
  readonly stored: SourcePosition | undefined;
  /** Stores another point; undefined is the beginning. Calls must not overlap. Rejects where another node has stored one since. */
  store(point: SourcePosition | undefined): Promise<void>;
}

/** @param name `<source>`, or `<source>/<shard>` */
export async function readResumePoint(log: SourceStore, name: string): Promise<ResumePoint> {
  const key = `source/${name}`;
  const found = await log.readMetadata(key);
  let version = found?.version ?? 0;
  return {
    stored: found === undefined ? undefined : decodeTrustedEvents(found.value)[0],
    async store(point) {
      const points = point === undefined ? [] : [point];
      const written = await log.writeMetadata(key, encodeEvents(points, { asRecords: false }), version);
      if (written === undefined) throw runElsewhere(name, "where it resumes");
      version = written;
    },
  };
}

/** Another node runs the same source or shard. The next life reads what that node has stored. */
export const runElsewhere = (name: string, what: string): UnavailableError =>
  new UnavailableError(
    "NOT_READY",
    `Cannot store ${what} for ${name} as one node alone may run it: another node has stored it meanwhile`,
  );
