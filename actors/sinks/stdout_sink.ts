/** Prints each record as a line of JSON. At least once: what was printed before a crash may be printed again. */
import { visibleText } from "../../protocols/visible_text.ts";
import { jsonValue } from "./file_format.ts";
import type { SinkDefinition } from "./sink.ts";

export interface StdoutSinkOptions {
  /** Prints `{position, event}` rather than the event alone. */
  readonly withPosition?: boolean;
}

export const stdoutSink: SinkDefinition<StdoutSinkOptions> = stdoutSinkTo(
  (text) =>
    new Promise((resolve, reject) => process.stdout.write(text, (error) => (error ? reject(error) : resolve()))),
);

/** @param print resolves once the text was taken: a slow reader slows the delivery down */
export function stdoutSinkTo(print: (text: string) => Promise<void>): SinkDefinition<StdoutSinkOptions> {
  return {
    type: "stdout",
    delivery: "at_least_once",
    optionsSchema: {
      type: "object",
      additionalProperties: false,
      properties: { withPosition: { type: "boolean", default: false, description: "Print positions too." } },
    },
    open: async ({ withPosition = false }) => ({
      position: async () => undefined,
      write: async ({ records }) => {
        const lines = records.map(({ position, event }) =>
          visibleText(JSON.stringify(withPosition ? { position, event } : event, jsonValue)),
        );
        if (lines.length > 0) await print(`${lines.join("\n")}\n`);
        return { kind: "written" };
      },
      close: async () => {},
    }),
  };
}
