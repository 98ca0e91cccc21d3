/**
 * Reads one generation until it is over, and decides how it ended. Leaves what follows to file_source.ts, which defines
 * the rules.
 */
import { pause } from "../../../protocols/clock.ts";
import { endLine, finish, type Generation, readTo, type Steps } from "./file_generation.ts";
import { type FileSourceOptions, lastLineAfterMsOf } from "./file_options.ts";
import type { FileReports } from "./file_reports.ts";
import type { FileSuccession } from "./file_succession.ts";
import { FileTroubleError, ifThere } from "./file_trouble.ts";
import type { GrownFile, LateFiles } from "./late_files.ts";
import { type SourceFile, standingOf } from "./source_file.ts";

/** The longest wait for the rest of a rotated file's last line, in ms. The next file waits meanwhile. */
const ROTATED_LINE_AFTER_MS = 1_000;

export type Ending =
  | { readonly kind: "written anew" | "rotated"; readonly file?: never }
  /** The file was filled, copied and emptied between two looks, or replaced (F7). The next file is open. */
  | { readonly kind: "overtaken" | "replaced"; readonly file: SourceFile }
  /** An earlier file has grown (F4). */
  | { readonly kind: "late"; readonly late: GrownFile };

/** Undefined once `signal` aborts. */
export async function* follow(
  generation: Generation,
  options: FileSourceOptions,
  reports: FileReports,
  late: LateFiles,
  succession: FileSuccession,
  signal: AbortSignal,
): Steps<Ending | undefined> {
  const { text, backTo, place } = generation;
  const { everyMs } = succession;
  if (place.lineEndsAt !== undefined) {
    const isAnew = (yield* readTo(generation, reports, signal, place.lineEndsAt)) === "written anew";
    if (isAnew) return { kind: "written anew" };
    if (signal.aborted) return undefined;
    yield await finish(generation, reports); // F8: where it was ended before
  }
  const isLate = backTo !== undefined;
  const lastLineAfterMs = lastLineAfterMsOf(options);
  let isRotated = isLate;
  let { isDue } = generation;
  let quietMs = 0;
  let seenBytes = text.nextByte;
  while (!signal.aborted) {
    const overtaking = isLate ? undefined : await overtakingOf(generation, options.path, succession, signal);
    if (overtaking !== undefined) return { kind: "overtaken", file: overtaking };
    // Late bytes come before those of a next file: a program that has opened the next one no longer writes to an older one.
    const grown = isRotated || isDue ? undefined : await late.grown(everyMs);
    if (grown !== undefined) return { kind: "late", late: grown };
    isDue = false;
    if ((yield* readTo(generation, reports, signal)) === "written anew") return { kind: "written anew" };
    if (signal.aborted) return undefined;
    const replacing = isRotated && !isLate ? await succession.replacementOf(generation, signal) : undefined;
    if (replacing !== undefined) return { kind: "replaced", file: replacing };
    quietMs = text.nextByte === seenBytes ? quietMs : 0;
    seenBytes = text.nextByte;
    // F5: a program may still write to a rotated file that it has not closed, so the last line may be half a line.
    const isOver = isRotated && (!text.isMidRecord || text.file.isCompressed);
    const afterMs = isRotated ? Math.min(lastLineAfterMs, ROTATED_LINE_AFTER_MS) : lastLineAfterMs;
    if (isOver || quietMs >= afterMs) {
      reports.damage(text.file);
      yield* endLine(generation, reports, isRotated);
      if (isRotated) return { kind: "rotated" };
      quietMs = 0;
    }
    const wasRotated = isRotated;
    isRotated ||= await isPathTaken(text.file, options.path, reports);
    if (isRotated !== wasRotated) quietMs = -everyMs; // the wait begins at the rename
    await pause(everyMs, signal);
    quietMs += everyMs;
  }
  return undefined;
}

/** The copy of an empty file that was filled, copied and emptied since: only its copy can tell. */
async function overtakingOf(
  generation: Generation,
  path: string,
  succession: FileSuccession,
  signal: AbortSignal,
): Promise<SourceFile | undefined> {
  const { text, place } = generation;
  if (text.file.path !== path) return undefined; // programs do not empty a rotated file
  if (text.head.length > 0 || place.seen !== undefined || place.offset > 0) return undefined;
  const { modifiedNs } = await text.file.standing();
  if (modifiedNs === generation.lookedAtNs || Number(modifiedNs / 1_000_000n) === place.modifiedMs) return undefined;
  generation.lookedAtNs = modifiedNs;
  return succession.later(place, false, signal);
}

/** Whether another file lies at the path. Trouble with the path is reported, and the open file may still grow. */
async function isPathTaken(file: SourceFile, path: string, reports: FileReports): Promise<boolean> {
  try {
    const found = await ifThere(standingOf(path));
    reports.trouble(undefined);
    return found !== undefined && found.inode !== file.inode;
  } catch (error) {
    if (!(error instanceof FileTroubleError)) throw error;
    reports.trouble(error);
    return false;
  }
}
