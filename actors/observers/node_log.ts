/** Structured logs: one line of JSON for each thing that a person should know, with its node, stream and partition. */
import { loadDriver } from "../../deps.ts";
import { visibleText } from "../../protocols/visible_text.ts";

export type LogLevel = "debug" | "info" | "warn" | "error";

/** Writes a line. Fields never hold events, tokens or secrets. */
export type NodeLog = (level: LogLevel, message: string, fields?: Readonly<Record<string, unknown>>) => void;

/** Logs to standard error, so that standard output stays a program's own. */
export async function createNodeLog(level: LogLevel, node: string): Promise<NodeLog> {
  const { pino } = await loadDriver("pino");
  const logger = pino(
    { level, base: { node }, redact: { paths: ["token", "secret", "*.token", "*.secret"], censor: "[hidden]" } },
    visibly(pino.destination({ fd: 2, sync: true })),
  );
  return (at, message, fields = {}) => logger[at](fields, message);
}

/** Standard error may be a terminal: names and reasons from elsewhere do not steer it, and stay one line. */
const visibly = (out: { write(text: string): unknown }) => ({
  write: (line: string) => void out.write(`${visibleText(line.replace(/\n$/, ""))}\n`),
});
