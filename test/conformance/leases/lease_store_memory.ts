/** The suite's harness for the lease store in memory. */
import { MemoryLeaseDomain } from "../../support/fakes/memory_lease_store.ts";
import { CLOCK_START_MS, type LeaseStoreHarness } from "./lease_domains.ts";

export const memoryLeases: LeaseStoreHarness = {
  name: "memory",
  make: async () => {
    let nowMs = CLOCK_START_MS;
    const domain = new MemoryLeaseDomain(() => nowMs);
    return {
      open: async () => domain.open(),
      setClock: async (to) => {
        nowMs = to;
      },
      keep: async () => {
        const kept = domain.snapshot();
        return async () => domain.restore(kept);
      },
      close: async () => {},
    };
  },
};
