import { test } from "uvu";
import { CLUSTER_PLANTED_BUGS } from "./cluster_planted_bugs.ts";
import { testThatNoticed } from "./noticing.ts";

/** Orders, the table, grants and epochs: the first half of the list. */
testThatNoticed(Object.entries(CLUSTER_PLANTED_BUGS).slice(0, 9));

test.run();
