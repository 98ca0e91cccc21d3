import { test } from "uvu";
import { CLUSTER_PLANTED_BUGS } from "./cluster_planted_bugs.ts";
import { testThatNoticed } from "./noticing.ts";

/** Planted bugs of members, links, partitions and sinks: the last part of the list. */
testThatNoticed(Object.entries(CLUSTER_PLANTED_BUGS).slice(9));

test.run();
