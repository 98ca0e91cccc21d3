/**
 * Writes all output: results to stdout, one line each, at the reader's pace; remarks to stderr. Names, reasons and
 * events come from producers and nodes, so each line is escaped: it stays one line, and cannot steer the terminal.
 */
import { once } from "node:events";
import { exactJson } from "../../protocols/values/exact_json.ts";
import { visibleText } from "../../protocols/values/visible_text.ts";
import { EXIT, explain } from "./exit_codes.ts";

let isReaderGone = false;
/** Whether the command goes on though stdout cannot be written. */
let isOutlived = false;

const isBrokenPipe = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === "EPIPE";

/** Prints one or more lines, and waits for a slow reader. Does nothing once the reader is gone. */
export async function print(text: string | readonly string[]): Promise<void> {
  if (isReaderGone || process.stdout.write(linesOf(text))) return;
  await once(process.stdout, "drain").catch(() => undefined); // `outliveReader` handles the error
}

export const printJson = (value: unknown): Promise<void> => print(exactJson(value));

/** Prints lines to stderr, without the prefix of a remark. */
export function printAside(text: string | readonly string[]): void {
  process.stderr.write(linesOf(text));
}

export const remark = (line: string): void => printAside(`headrace: ${line}`);

/** Explains an error on stderr. */
export const complain = (error: unknown): void => printAside(explain(error));

/** For a library that prints lines of its own, with their line breaks. */
export const printAsideWhole = (text: string): void => printAside(text.replace(/\n$/, "").split("\n"));

const linesOf = (text: string | readonly string[]): string =>
  (typeof text === "string" ? [text] : text).map((line) => `${visibleText(line)}\n`).join("");

/**
 * A reader that goes away changes neither the work nor the exit code: the command goes on without it. A stdout that
 * takes no more bytes, such as a file on a full disk, ends the command, as a script would mistake half of the output
 * for all.
 */
export function outliveReader(): void {
  process.stdout.on("error", (error) => {
    if (isBrokenPipe(error)) isReaderGone = true;
    else if (!isOutlived) {
      remark(`Cannot print the result as standard output must take it: ${error.message}`);
      process.exit(EXIT.output);
    }
  });
  process.stderr.on("error", () => undefined); // stderr itself is gone
}

/** For a node, whose work goes on even if its output cannot be written. */
export function outliveOutput(): void {
  isOutlived = true;
}

/**
 * For a command that only prints: when the reader of `headrace tail ... | head -1` goes away, the command ends with 0.
 */
export function endWithReader(): void {
  process.stdout.on("error", (error) => {
    if (isBrokenPipe(error)) process.exit(EXIT.ok);
  });
}

/** Aborts on the first Ctrl-C or SIGTERM; the next one ends the process as the system would. */
export function interruption(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => controller.abort());
  return controller.signal;
}

export interface Column<Row> {
  readonly title: string;
  readonly isNumber?: boolean;
  readonly cell: (row: Row) => string | number | undefined;
}

/** Formats rows as aligned lines, with numbers to the right. */
export function table<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): readonly string[] {
  const cells = [
    columns.map((column) => column.title),
    ...rows.map((row) => columns.map((column) => visibleText(String(column.cell(row) ?? "-")))),
  ];
  const widths = columns.map((_, at) => Math.max(...cells.map((line) => line[at]?.length ?? 0)));
  const align = (text: string, at: number): string =>
    columns[at]?.isNumber === true ? text.padStart(widths[at] ?? 0) : text.padEnd(widths[at] ?? 0);
  return cells.map((line) => line.map(align).join("  ").trimEnd());
}

export function sizeText(sizeBytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let size = sizeBytes;
  let at = 0;
  for (; size >= 1_024 && at < units.length - 1; at += 1) size /= 1_024;
  return `${at === 0 ? size : size.toFixed(1)} ${units[at]}`;
}
