import { test } from "uvu";
import { memoryLeases } from "./lease_store_memory.ts";
import { leaseStoreSuite } from "./lease_store_suite.ts";

leaseStoreSuite(memoryLeases);

test.run();
