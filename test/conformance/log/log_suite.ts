/** The contract of actors/log/log.ts by examples, for every build of the log. log_histories.ts has random histories. */

import { logAppends } from "./log_appends.ts";
import { logAttached } from "./log_attached.ts";
import { logChains } from "./log_chains.ts";
import { logCheckpoints } from "./log_checkpoints.ts";
import { logClaims } from "./log_claims.ts";
import type { LogHarness } from "./log_harness.ts";
import { logReads } from "./log_reads.ts";
import { logRegistry } from "./log_registry.ts";
import { logRejects } from "./log_rejects.ts";

export { readAll, rejection } from "./log_harness.ts";

export function logSuite(harness: LogHarness): void {
  logClaims(harness);
  logAppends(harness);
  logChains(harness);
  logRejects(harness);
  logCheckpoints(harness);
  logAttached(harness);
  logReads(harness);
  logRegistry(harness);
}
