/** Prints each record as a line of JSON. At least once: lines printed before a crash may be printed again. */
import { fstatSync, writeSync } from "node:fs";
import { visibleText } from "../../protocols/values/visible_text.ts";
import { finalRejection } from "./expressible.ts";
import { jsonText } from "./file/file_format.ts";
import type { SinkDefinition, SinkRecord, WriteOutcome } from "./sink.ts";

export interface StdoutSinkOptions {
  readonly withPosition?: boolean;
}

type Print = (text: string) => Promise<void>;

const STDOUT = 1;

const printOn = (text: string): Promise<void> =>
  new Promise((resolve, reject) => process.stdout.write(text, (error) => (error ? reject(error) : resolve())));

export const stdoutSink: SinkDefinition<StdoutSinkOptions> = stdoutSinkTo(
  isFile(STDOUT) ? printWhole((bytes) => writeSync(STDOUT, bytes)) : printOn,
);

function isFile(descriptor: number): boolean {
  try {
    return fstatSync(descriptor).isFile();
  } catch {
    return false; // closed
  }
}

/**
 * Prints to a file until the whole text is taken. A full disk takes a part and answers its length, which
 * `process.stdout` ignores. A line that was cut this way stays cut, and the next text begins on a new line.
 *
 * @param writeSome answers how many bytes were taken
 */
export function printWhole(writeSome: (bytes: Buffer) => number): Print {
  const lineBreak = "\n".charCodeAt(0);
  let isLineCut = false;
  return async (text) => {
    for (let left = Buffer.from(isLineCut ? `\n${text}` : text); left.length > 0; ) {
      const taken = writeSome(left);
      if (taken > 0) isLineCut = left[taken - 1] !== lineBreak;
      left = left.subarray(taken);
    }
  };
}

/** @param print resolves once the text is taken, so that a slow reader slows the delivery down */
export function stdoutSinkTo(print: Print): SinkDefinition<StdoutSinkOptions> {
  return {
    type: "stdout",
    delivery: "at_least_once",
    keepsDeliveriesApart: true, // no line is known again; a reader cannot tell whose delivery a line is
    optionsSchema: {
      type: "object",
      additionalProperties: false,
      properties: { withPosition: { type: "boolean", default: false, description: "Print positions too." } },
    },
    open: async ({ withPosition = false }) => ({
      position: async () => undefined,
      write: ({ records }) => printAll(print, records, withPosition),
      close: async () => {},
    }),
  };
}

/** Prints the records up to the first that JSON cannot express. */
async function printAll(print: Print, records: readonly SinkRecord[], withPosition: boolean): Promise<WriteOutcome> {
  const lines: string[] = [];
  let problem: WriteOutcome | undefined;
  for (const [at, { position, event }] of records.entries()) {
    const line = jsonText(withPosition ? { position, event } : event);
    if (typeof line === "string") {
      lines.push(visibleText(line));
      continue;
    }
    problem = { kind: "taken", count: at, problem: { kind: "rejected", records: [finalRejection(at, line)] } };
    break;
  }
  if (lines.length > 0) await print(`${lines.join("\n")}\n`);
  return problem ?? { kind: "written" };
}
