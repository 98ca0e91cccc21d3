/** The node's log: one line of JSON for each event that a person should know, with its node, stream and partition. */
import { loadDriver } from "../../deps.ts";
import { visibleText } from "../../protocols/values/visible_text.ts";

export type LogLevel = "debug" | "info" | "warn" | "error";

/** Writes a line. Fields never hold events, tokens or secrets. */
export type NodeLog = (level: LogLevel, message: string, fields?: Readonly<Record<string, unknown>>) => void;

/** Bytes of lines that standard error does not take now. They are written with the next line; further lines are dropped. */
const UNWRITTEN_BYTES_MAX = 65_536;

/**
 * Logs to standard error, so that standard output stays free for a program's own output. Where standard error takes nothing,
 * such as a file on a full disk, the node goes on. Once it takes lines again, the number of dropped lines is logged.
 */
export async function createNodeLog(level: LogLevel, node: string): Promise<NodeLog> {
  const { pino } = await loadDriver("pino");
  const out = pino.destination({ fd: 2, sync: true, maxLength: UNWRITTEN_BYTES_MAX });
  const logger = pino(
    { level, base: { node }, redact: { paths: ["token", "secret", "*.token", "*.secret"], censor: "[hidden]" } },
    visibly(out),
  );
  let dropped = 0;
  out.on("error", () => undefined);
  out.on("drop", () => {
    dropped += 1;
  });
  const tellDropped = () => {
    const lines = dropped;
    dropped = 0;
    logger.warn({ lines }, "log lines were dropped: standard error did not take them");
  };
  out.on("write", () => {
    // Not at once: the line that was just taken is still being written.
    if (dropped > 0) queueMicrotask(() => dropped > 0 && tellDropped());
  });
  return (at, message, fields = {}) => logger[at](fields, message);
}

/** Makes control characters visible: standard error may be a terminal, which names from clients must not control. */
const visibly = (out: { write(text: string): unknown }) => ({
  write: (line: string) => void out.write(`${visibleText(line.replace(/\n$/, ""))}\n`),
});
