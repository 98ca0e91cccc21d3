/** What commands print: results to stdout, one line each, at the pace of whoever reads; remarks to stderr. */
import { once } from "node:events";
import { EXIT } from "./exit_codes.ts";

/** Prints a line and waits where the reader is slower. */
export async function print(line: string): Promise<void> {
  if (!process.stdout.write(`${line}\n`)) await once(process.stdout, "drain");
}

export const printJson = (value: unknown): Promise<void> => print(JSON.stringify(value));

export const remark = (line: string): void => {
  process.stderr.write(`headrace: ${line}\n`);
};

/** `headrace tail ... | head -1` closes our output when it has enough: that is an end, not a failure. */
export function endWithReader(): void {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(EXIT.ok);
    throw error;
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

/** Rows as aligned text; numbers to the right. */
export function table<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const cells = [
    columns.map((column) => column.title),
    ...rows.map((row) => columns.map((column) => String(column.cell(row) ?? "-"))),
  ];
  const widths = columns.map((_, at) => Math.max(...cells.map((line) => line[at]?.length ?? 0)));
  const align = (text: string, at: number): string =>
    columns[at]?.isNumber === true ? text.padStart(widths[at] ?? 0) : text.padEnd(widths[at] ?? 0);
  return cells.map((line) => line.map(align).join("  ").trimEnd()).join("\n");
}

export function sizeText(sizeBytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let size = sizeBytes;
  let at = 0;
  for (; size >= 1_024 && at < units.length - 1; at += 1) size /= 1_024;
  return `${at === 0 ? size : size.toFixed(1)} ${units[at]}`;
}
