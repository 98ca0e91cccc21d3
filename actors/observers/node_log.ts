/** Structured logs: one line of JSON for each thing that a person should know, with its node, stream and partition. */
import { loadDriver } from "../../deps.ts";
import { visibleText } from "../../protocols/values/visible_text.ts";

export type LogLevel = "debug" | "info" | "warn" | "error";

/** Writes a line. Fields never hold events, tokens or secrets. */
export type NodeLog = (level: LogLevel, message: string, fields?: Readonly<Record<string, unknown>>) => void;

/** Of lines that can not be written now: they are tried again with the next line, and those beyond are dropped. */
const UNWRITTEN_BYTES_MAX = 65_536;

/**
 * Logs to standard error, so that standard output stays a program's own. Where it takes nothing, as a file on a full disk,
 * the node goes on; how many lines were dropped is told once it takes lines again.
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
    // Not amid the writing of the line that went through.
    if (dropped > 0) queueMicrotask(() => dropped > 0 && tellDropped());
  });
  return (at, message, fields = {}) => logger[at](fields, message);
}

/** Standard error may be a terminal: names and reasons from elsewhere do not steer it, and stay one line. */
const visibly = (out: { write(text: string): unknown }) => ({
  write: (line: string) => void out.write(`${visibleText(line.replace(/\n$/, ""))}\n`),
});
