import { test } from "uvu";
import * as assert from "uvu/assert";
import { ClusterView, VIEW_AGE_MAX_MS } from "../../../supervisors/cluster/cluster_view.ts";
import { SmallCluster } from "../../support/processes/small_cluster.ts";

test("partitions are encoded as JSON once while nothing changes, and the age anew", () => {
  const cluster = new SmallCluster(["a", "b"], { orders: 10 });
  let written = 0;
  const { partitions, ...rest } = cluster.overview();
  const counted = Object.assign([...partitions], {
    toJSON: () => {
      written += 1;
      return partitions;
    },
  });
  let nowMs = 0;
  const view = new ClusterView(
    () => ({ ...rest, partitions: counted, ageMs: nowMs }),
    () => nowMs,
  );
  for (; nowMs < 100 * VIEW_AGE_MAX_MS; nowMs += VIEW_AGE_MAX_MS) {
    assert.is((JSON.parse(String(view.json())) as { ageMs: number }).ageMs, nowMs);
  }
  assert.is(written, 1);
});

test.run();
