import { test } from "uvu";
import { CLUSTER_PLANTED_BUGS } from "./cluster_planted_bugs.ts";
import { testThatNoticed } from "./noticing.ts";

/** Planted bugs of orders, the table and epochs: the first part of the list. */
testThatNoticed(Object.entries(CLUSTER_PLANTED_BUGS).slice(0, 5));

test.run();
