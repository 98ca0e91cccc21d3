/**
 * Holds a lease store to the contract in supervisors/cluster/leases/lease_store.ts, by direct examples. Random histories are in
 * lease_store_histories.test.ts.
 */
import { test } from "uvu";
import type { LeaseStoreHarness, Scenario } from "./lease_domains.ts";
import { testElection, testFences } from "./lease_elections.ts";
import { testDeaths, testRegistry } from "./lease_registry.ts";
import { testTable } from "./lease_tables.ts";
import { testClock, testLostTail } from "./lease_times.ts";

export function leaseStoreSuite(harness: LeaseStoreHarness): void {
  const scenario: Scenario = (name, run) =>
    test(`${harness.name}: ${name}`, async () => {
      const domain = await harness.make();
      try {
        await run(await domain.open(), domain);
      } finally {
        await domain.close();
      }
    });
  testRegistry(scenario);
  testElection(scenario);
  testFences(scenario);
  testTable(scenario);
  testDeaths(scenario);
  testClock(scenario);
  testLostTail(scenario);
}
