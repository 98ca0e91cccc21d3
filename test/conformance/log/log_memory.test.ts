import { test } from "uvu";
import { createMemoryLog, type MemoryLog } from "../../../actors/log/embedded/memory_log.ts";
import type { LogHarness } from "./log_harness.ts";
import { logHistories } from "./log_histories.ts";
import { logPlaces } from "./log_places.ts";
import { logSuite } from "./log_suite.ts";
import { logUnencodable } from "./log_unencodable.ts";

const harness: LogHarness = {
  name: "memory",
  tier: "fsync",
  open: async () => createMemoryLog(),
  reopen: async (log) => {
    (log as MemoryLog).faults.restart("unflushed");
    return log;
  },
  close: async () => {},
};

logSuite(harness);
logUnencodable(harness);
logPlaces(harness, 100);
logHistories(harness, 300);

test.run();
