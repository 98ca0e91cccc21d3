import { test } from "uvu";
import { FAKE_HARNESSES } from "./fake_places.ts";
import { sourceSuite } from "./source_suite.ts";

for (const harness of FAKE_HARNESSES) sourceSuite(harness);

test.run();
