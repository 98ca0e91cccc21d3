/** Shows that the random histories of log_places.ts notice bugs in the count of places, planted around the log. */
import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createMemoryLog } from "../../../actors/log/embedded/memory_log.ts";
import type { Log } from "../../../actors/log/log.ts";
import { replacing } from "../../simulation/planted_bugs.ts";
import { placeSteps, runSteps } from "./log_places.ts";

type Replace = (log: Log) => Partial<Log>;

const ownerless: Replace = (log) => ({
  append: (ownership, request) => {
    const batches = request.batches.map(({ owner: _, ...batch }) => batch);
    return log.append(ownership, { ...request, batches });
  },
});

const BUGS: Readonly<Record<string, Replace>> = {
  "the places of a principal are not counted": (log) => ({
    ...ownerless(log),
    openChain: (ownership, channel, producerId, producerEpoch, nowMs) =>
      log.openChain(ownership, channel, producerId, producerEpoch, nowMs),
  }),
  "a chain that an append makes anew counts for no principal": ownerless,
  "all principals are one": (log) => ({
    openChain: (ownership, channel, producerId, producerEpoch, nowMs, owner) =>
      log.openChain(ownership, channel, producerId, producerEpoch, nowMs, owner && "all"),
  }),
  "a chain that is opened again stays with its first principal": (log) => {
    const owners = new Map<string, string | undefined>();
    return {
      openChain: (ownership, channel, producerId, producerEpoch, nowMs, owner) => {
        const first = owners.get(producerId) ?? owner;
        owners.set(producerId, first);
        return log.openChain(ownership, channel, producerId, producerEpoch, nowMs, first);
      },
    };
  },
};

const harness = {
  name: "memory",
  tier: "fsync",
  open: async () => createMemoryLog(),
  reopen: async (log: Log) => log,
  close: async () => {},
} as const;

for (const [bug, replace] of Object.entries(BUGS)) {
  test(`planted: ${bug}`, async () => {
    const wrap = (log: Log): Log => replacing(replace)(log, { world: { isChaos: false } } as never);
    const property = fc.asyncProperty(placeSteps, (steps) => runSteps(harness, steps, wrap));
    const { failed } = await fc.check(property, { seed: 1, numRuns: 1_000, endOnFailure: true });
    assert.ok(failed, "no history has noticed it");
  });
}

test.run();
