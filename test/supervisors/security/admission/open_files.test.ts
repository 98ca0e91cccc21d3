import { test } from "uvu";
import * as assert from "uvu/assert";
import { placeLimits } from "../../../../supervisors/security/admission/open_files.ts";
import { configurationOf } from "../../../support/processes/running_node.ts";

const configuration = await configurationOf("streams: { s: { partitions: 4 } }\nlimits: { connectionsMax: 1000 }", ".");

test("connections leave the files that the log and the sinks need", () => {
  const { placesMax, upgradesMax } = placeLimits(configuration, 512);
  assert.is(placesMax, 512 - 96 - 8);
  assert.ok(upgradesMax < placesMax);
});

test("with enough files, the configuration alone bounds WebSockets, and HTTP has places beside them", () => {
  for (const filesMax of [undefined, 1_000_000]) {
    const { placesMax, upgradesMax } = placeLimits(configuration, filesMax);
    assert.is(upgradesMax, 1_000);
    assert.ok(placesMax > upgradesMax);
  }
});

test("a process with very few files still takes some connections", () => {
  const { placesMax, upgradesMax, waitingPerAddressMax } = placeLimits(configuration, 20);
  assert.ok(placesMax >= 10 && upgradesMax >= 4 && waitingPerAddressMax >= 4);
});

test.run();
