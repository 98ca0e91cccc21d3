/** One open generation of a followed file, with its stored place. */

import { FileText, type TextOptions } from "../records/file_text.ts";
import { type FilePlace, type ReadFile, seenOf } from "./file_place.ts";
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
