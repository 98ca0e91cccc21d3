import { test } from "uvu";
import * as assert from "uvu/assert";
import { answersBeforeFlush, type FlushRule, parseCalls } from "./system_calls.ts";

const RULE: FlushRule = { file: /data\.mdb>/, marks: /mark-\d+;/g, hasCommitWrite: true };

/** The order of a correct commit; the opening of the descriptor that writes through is told as `opening` says. */
const traceOf = (...opening: string[]): string =>
  [
    ...opening,
    '11 pwrite64(20</d/data.mdb>, "mark-1;", 7, 0) = 7',
    "11 fdatasync(20</d/data.mdb>) = 0",
    '11 pwrite64(21</d/data.mdb>, "meta", 4, 0) = 4',
    '10 write(1, "acked mark-1;", 13) = 13',
  ].join("\n");

const wrong = (trace: string): string[] =>
  answersBeforeFlush(parseCalls(trace), RULE, [{ mark: "mark-1;", leftAt: trace.split("\n").length - 1 }]);

test("a descriptor is known by its result, also where another thread's call came between", () => {
  const whole = 'openat(AT_FDCWD, "/d/data.mdb", O_WRONLY|O_DSYNC) = 21</d/data.mdb>';
  assert.equal(wrong(traceOf(`10 ${whole}`)), []);
  const begun = '10 openat(AT_FDCWD, "/d/data.mdb", O_WRONLY|O_DSYNC <unfinished ...>';
  assert.equal(wrong(traceOf(begun, "12 fsync(9</d/other>) = 0", "10 <... openat resumed>) = 21</d/data.mdb>")), []);
});

test("a write through a descriptor that failed to open is no commit", () => {
  const failed = '10 openat(AT_FDCWD, "/d/data.mdb", O_WRONLY|O_DSYNC) = -1 EACCES (Permission denied)';
  assert.match(wrong(traceOf(failed))[0] ?? "", /before the commit/);
});

test.run();
