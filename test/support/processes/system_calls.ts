/**
 * The system calls of a process, as strace saw them: for tests of the order of writes, syncs and answers. Lines come in
 * the order in which calls began and ended, for all threads together. A call that waits for another thread's call comes
 * after it.
 */
import { execFileSync } from "node:child_process";

export interface SystemCall {
  readonly name: string;
  /** The descriptor of the call, with its path or the ends of its connection: `29</data/log/data.mdb>`. */
  readonly target: string;
  /** All arguments of the call; bytes that are no text are escaped. */
  readonly text: string;
  /** Lines of the trace. A call that never ended has no `endedAt`. */
  readonly beganAt: number;
  endedAt?: number;
  /** The result of the call, as `29</data/log/data.mdb>`; undefined where the call failed or never ended. */
  result?: string;
}

/** Calls that move bytes or flush them; `openat` tells which descriptors write through to the disk. */
const TRACED = "openat,fdatasync,fsync,msync,sync_file_range,pwrite64,pwritev,pwritev2,write,writev,sendto,sendmsg";
const TEXT_BYTES_MAX = 4_194_304;

/**
 * The command that runs another under strace. The traced process is its child, not its grandchild, so that the test can
 * signal it. The trace is whole once the child's streams are closed.
 */
export const straced = (tracePath: string): readonly string[] => [
  "strace",
  ...["-D", "-f", "--seccomp-bpf", "-qq", "-yy", "-s", String(TEXT_BYTES_MAX), "-e", `trace=${TRACED}`],
  ...["-e", "signal=none", "-o", tracePath],
];

/** Ends this test file as skipped where strace is not installed or may not trace. */
export function requireStrace(): void {
  try {
    execFileSync("strace", ["-qq", "-f", "--seccomp-bpf", "-o", "/dev/null", "true"], { stdio: "ignore" });
  } catch (error) {
    console.log(`SKIPPED: strace is not installed or may not trace (${(error as Error).message})`);
    process.exit(77);
  }
}

/** The calls of a trace, in the order in which they began. */
export function parseCalls(trace: string): SystemCall[] {
  const calls: SystemCall[] = [];
  const underWay = new Map<string, SystemCall>();
  for (const [at, line] of trace.split("\n").entries()) {
    const [, thread = "", rest = ""] = /^(\d+) +(.*)$/.exec(line) ?? [];
    const resumed = /^<\.\.\. \w+ resumed>/.test(rest);
    if (resumed) {
      const call = underWay.get(thread);
      underWay.delete(thread);
      if (call !== undefined) end(call, rest, at);
      continue;
    }
    const [, name, text] = /^(\w+)\((.*)$/.exec(rest) ?? [];
    if (name === undefined || text === undefined) continue;
    const target = /^[^,)]*/.exec(text)?.[0] ?? "";
    const call: SystemCall = { name, target, text, beganAt: at };
    calls.push(call);
    if (text.endsWith("<unfinished ...>")) underWay.set(thread, call);
    else end(call, rest, at);
  }
  return calls;
}

function end(call: SystemCall, line: string, at: number): void {
  call.endedAt = at;
  // Taken from the line that ended the call: a call that another thread interrupted has no result in its first line.
  const result = / = (\d+(?:<.*>)?)$/.exec(line)?.[1];
  if (result !== undefined) call.result = result;
}

const WRITES = new Set(["pwrite64", "pwritev", "pwritev2", "write", "writev", "sendto", "sendmsg"]);
const SYNCS = new Set(["fdatasync", "fsync"]);

export const isWrite = ({ name }: SystemCall): boolean => WRITES.has(name);

/** One answer that was sent: the mark of the event that it acknowledges, and the line of its call. */
export interface SentAnswer {
  readonly mark: string;
  readonly leftAt: number;
}

/** For each mark the first write to `file` that holds it. */
function firstWrites(calls: readonly SystemCall[], file: RegExp, marks: RegExp): Map<string, SystemCall> {
  const found = new Map<string, SystemCall>();
  for (const call of calls) {
    if (!isWrite(call) || !file.test(call.target)) continue;
    for (const [mark] of call.text.matchAll(marks)) if (!found.has(mark)) found.set(mark, call);
  }
  return found;
}

export interface FlushRule {
  /** The file that must hold the acknowledged events. */
  readonly file: RegExp;
  /** Matches the mark of an event, in its stored bytes and in `answers`. A global pattern. */
  readonly marks: RegExp;
  /**
   * The engine's commit: after the sync of the pages, a write through a descriptor that syncs by itself (O_DSYNC).
   * Without that write the pages may be on the disk, but no root page leads to them.
   */
  readonly hasCommitWrite: boolean;
}

/** The fault of each answer that left before its acknowledged event had reached the disk. */
export function answersBeforeFlush(
  calls: readonly SystemCall[],
  rule: FlushRule,
  answers: readonly SentAnswer[],
): string[] {
  const writes = firstWrites(calls, rule.file, rule.marks);
  const syncs = calls.filter(
    ({ name, target, result }) => SYNCS.has(name) && result !== undefined && rule.file.test(target),
  );
  const writingThrough = new Set(
    calls.filter(({ name, text }) => name === "openat" && text.includes("O_DSYNC")).map(({ result }) => result),
  );
  const commits = calls.filter((call) => isWrite(call) && call.result !== undefined && writingThrough.has(call.target));
  const endOfNext = (among: readonly SystemCall[], after: number): number =>
    among.find(({ beganAt }) => beganAt > after)?.endedAt ?? Number.POSITIVE_INFINITY;
  return answers.flatMap(({ mark, leftAt }) => {
    const write = writes.get(mark);
    if (write?.endedAt === undefined || write.endedAt > leftAt) return [`${mark}: acknowledged before it was written`];
    const syncedAt = endOfNext(syncs, write.endedAt);
    if (syncedAt > leftAt) return [`${mark}: acknowledged before a sync of what was written`];
    if (rule.hasCommitWrite && endOfNext(commits, syncedAt) > leftAt) {
      return [`${mark}: acknowledged before the commit that leads to it`];
    }
    return [];
  });
}
