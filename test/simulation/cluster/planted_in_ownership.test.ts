import { test } from "uvu";
import { CLUSTER_PLANTED_BUGS } from "./cluster_planted_bugs.ts";
import { testThatNoticed } from "./noticing.ts";

/** Planted bugs of late writers, replaced coordinators and grants of a former life: the second part of the list. */
testThatNoticed(Object.entries(CLUSTER_PLANTED_BUGS).slice(5, 9));

test.run();
