/**
 * One open generation of a followed file: reads its batches up to an end, and keeps the place that is stored. Decides
 * neither when its last line has ended nor which file comes next; file_source.ts does.
 */
import { FileText, type TextOptions } from "../records/file_text.ts";
import type { FoundRecord } from "../records/record_cutter.ts";
import type { SourceBatch } from "../source.ts";
import { type FilePlace, type ReadFile, seenOf } from "./file_place.ts";
import type { FileReports } from "./file_reports.ts";
import type { SourceFile } from "./source_file.ts";

export interface Generation extends Pick<FilePlace, "backTo"> {
  readonly number: number;
  readonly text: FileText;
  readonly before: readonly ReadFile[];
  place: FilePlace;
  /** Time of the file's last change at the last search for copies of it. */
  lookedAtNs?: bigint;
  isRestTold: boolean;
  /** Whether it is read before any late bytes, as it has waited for some or is read again. */
  readonly isDue: boolean;
}

/** The place where a generation begins. Without `offset`, that is the beginning of its file. */
export type Begin = Pick<Generation, "number" | "before" | "backTo"> &
  Partial<Pick<FilePlace, "offset" | "mark" | "seen" | "lineEndsAt">> & {
    readonly sinceMs?: number | undefined;
    readonly isDue?: boolean;
  };

/** Undefined if the file holds other bytes than were read, as it was emptied after it was found. */
export async function openGeneration(
  file: SourceFile,
  options: TextOptions,
  { number, before, backTo, lineEndsAt, sinceMs, isDue = false, offset = 0, ...marks }: Begin,
): Promise<Generation | undefined> {
  const text = await FileText.open(file, options, { offset, ...marks });
  if (text === undefined) return undefined;
  const begun = { number, text, before, ...(backTo === undefined ? {} : { backTo }), isRestTold: false, isDue };
  const place = {
    ...(await placeOf(begun)),
    ...(lineEndsAt === undefined ? {} : { lineEndsAt }),
    // If the file was emptied before any of its bytes were seen, its copies are older than its last change.
    ...(sinceMs === undefined ? {} : { modifiedMs: sinceMs }),
  };
  return { ...begun, place };
}

export async function placeOf({ text, number, before, backTo }: Omit<Generation, "place">): Promise<FilePlace> {
  const { file, offset } = text;
  const { sizeBytes, modifiedNs, bornMs } = await file.standing();
  return {
    generation: number,
    inode: file.inode,
    offset,
    mark: await text.mark(),
    ...seenOf(text.head),
    ...(file.isCompressed ? {} : { sizeBytes }),
    modifiedMs: Number(modifiedNs / 1_000_000n),
    bornMs,
    ...(file.target === undefined ? {} : { path: file.target }),
    before,
    ...(backTo === undefined ? {} : { backTo }),
  };
}

/** The place behind all bytes read, also behind those of a record that is held. */
export const seenPlaceOf = ({ place, text }: Generation): FilePlace => ({
  ...place,
  offset: text.nextByte,
  mark: text.seenMark(),
});

export type Steps<Result> = AsyncGenerator<SourceBatch, Result>;

/** Reads up to the end of the file, or up to `end`. Undefined there, and once `signal` aborts. */
export async function* readTo(
  generation: Generation,
  reports: FileReports,
  signal: AbortSignal,
  end?: number,
): Steps<"written anew" | undefined> {
  for (;;) {
    const records = await generation.text.next(end);
    if (records === undefined || records === "written anew") return records;
    yield* give(generation, reports, records);
    if (signal.aborted) return undefined;
  }
}

async function* give(generation: Generation, reports: FileReports, records: readonly FoundRecord[]): Steps<void> {
  const { text, place } = generation;
  if (place.seen === undefined) yield { items: [], resume: { ...place, ...seenOf(text.head) } }; // F1
  yield await batchOf(generation, reports, records);
}

/** F5, F8. */
export async function* endLine(generation: Generation, reports: FileReports, isOver: boolean): Steps<void> {
  const { text } = generation;
  await text.settle();
  // Settling may have decided how to read the beginning: read it now.
  for (let more = await text.next(); Array.isArray(more); more = await text.next()) {
    yield* give(generation, reports, more);
  }
  if (!text.isMidRecord || !(isOver || text.canEndHere)) return;
  generation.place = { ...generation.place, ...seenOf(text.head), lineEndsAt: text.nextByte };
  yield { items: [], resume: { ...generation.place } };
  yield await finish(generation, reports);
}

/** Ends the held record, though it has no line break. */
export async function finish(generation: Generation, reports: FileReports): Promise<SourceBatch> {
  const { text } = generation;
  const records = await text.finish();
  const fault = "the compressed file is cut short or damaged here";
  const faulty = text.file.damage === undefined ? records : records.map((one) => ({ ...one, fault }));
  return batchOf(generation, reports, faulty);
}

async function batchOf(
  generation: Generation,
  reports: FileReports,
  records: readonly FoundRecord[],
): Promise<SourceBatch> {
  const { number: term, text } = generation;
  const read = (await text.reader?.read(records)) ?? [];
  generation.isRestTold ||= reports.rest(records); // F5
  const items = read.map(({ item, position }) => ({ item: reports.item(item, term, position), position, term }));
  generation.place = await placeOf(generation);
  return { items, resume: { ...generation.place } };
}
