import { test } from "uvu";
import { createMemoryLog, type MemoryLog } from "../../actors/log/memory_log.ts";
import { logSuite } from "./log_suite.ts";

logSuite({
  name: "memory",
  tier: "fsync",
  open: async () => createMemoryLog(),
  reopen: async (log) => {
    (log as MemoryLog).faults.restart("unflushed");
    return log;
  },
  close: async () => {},
});

test.run();
