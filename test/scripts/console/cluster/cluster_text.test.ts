import { test } from "uvu";
import * as assert from "uvu/assert";
import { changesBetween, clusterLines, sightOf } from "../../../../scripts/console/cluster/cluster_text.ts";
import { endsOf, rateBetween } from "../../../../scripts/console/local_cluster/local_cluster_sight.ts";
import { openScreen } from "../../../../scripts/console/screen.ts";
import { SmallCluster } from "../../../support/processes/small_cluster.ts";

const drain = (cluster: SmallCluster, node: string) => cluster.ask({ kind: "drain", node: node as never });

test("a cluster is shown as a table of nodes with the coordinator marked, and moves with their reasons", async () => {
  const cluster = new SmallCluster(["a", "b"], { orders: 4 });
  assert.equal(clusterLines(sightOf(cluster.overview()), "zone"), [
    "node  state  partitions  records/s  zone     address",
    "a *   ready           2          -  default  ws://127.0.0.1:7070/v1/connect",
    "b     ready           2      1,250  default  ws://127.0.0.1:7071/v1/connect",
    "",
    "4 partitions; * coordinates",
  ]);
  await drain(cluster, "b");
  assert.equal(clusterLines(sightOf(cluster.overview()), "zone").slice(4), [
    "4 partitions; * coordinates",
    "2 moves under way",
    "  orders/1  b -> a  b is draining: 2 partitions move",
    "  orders/3  b -> a  b is draining: 2 partitions move",
  ]);
});

test("partitions without an owner are named, and many of them counted; so are moves", async () => {
  const cluster = new SmallCluster(["a", "b"], { orders: 20 });
  await drain(cluster, "b");
  assert.is(clusterLines(sightOf(cluster.overview()), "zone").at(-1), "  and 5 more");
  cluster.removeNode("b");
  cluster.loseCoordinator();
  assert.match(
    clusterLines(sightOf(cluster.overview()), "zone").join("\n"),
    /20 partitions, 10 without an owner now: orders\/1, orders\/3, orders\/5, orders\/7, orders\/9 and 5 more/,
  );
});

test("only changes are shown: states, nodes that come and go, the coordinator, and partitions with a new owner", async () => {
  const cluster = new SmallCluster(["a", "b", "c"], { orders: 6 });
  const sight = () => sightOf(cluster.overview());
  let before = sight();
  const changes = () => {
    const told = changesBetween(before, sight());
    before = sight();
    return told;
  };
  assert.equal(changes(), []);
  await drain(cluster, "c");
  assert.equal(changes(), ["c is draining (was ready)"]);
  cluster.settle();
  assert.equal(changes(), ["1 partition c -> a: orders/2", "1 partition c -> b: orders/5"]);
  cluster.removeNode("c");
  assert.equal(changes(), ["c is not there any more"]);
  cluster.loseCoordinator();
  assert.equal(changes(), ["nobody coordinates"]);
  cluster.setState("d", "ready");
  assert.equal(changes(), ["d is there: ready"]);
  assert.match(changesBetween(undefined, before)[0] ?? "", /^node +state/, "the first look tells all");
});

test("a rate counts only partitions that a node owned throughout, not the whole length of one that it took over", () => {
  const before = {
    atMs: 1_000,
    ends: new Map([
      ["orders/0@5", 100],
      ["orders/1@5", 70],
    ]),
  };
  const after = {
    atMs: 1_500,
    ends: new Map([
      ["orders/0@5", 150],
      ["orders/2@9", 90_000],
    ]),
  };
  assert.is(rateBetween(before, after), 100);
  assert.is(rateBetween(undefined, after), undefined);
  assert.is(rateBetween(after, after), undefined);
});

test("a node's row counts only the partitions that it owns, not those of others", () => {
  const partitions = [0, 1, 2].map((partition) => ({
    partition,
    state: "owned",
    epoch: 5,
    endOffset: 100 * partition,
  }));
  const { nodes: _, ...overview } = new SmallCluster(["a", "b"], { orders: 3 }).overview();
  const ends = endsOf([{ name: "orders", schemaVersions: [], partitions }], overview);
  assert.equal(
    [...ends],
    [
      ["orders/0@5", 0],
      ["orders/2@5", 200],
    ],
  );
});

test("lines are redrawn in place, cut to the width and the height of the terminal", () => {
  let written = "";
  const screen = openScreen({
    columns: 6,
    rows: 4,
    write: (text: string) => {
      written += text;
      return true;
    },
  } as never);
  written = "";
  screen.draw(["one", "two"]);
  assert.is(written, "\r\u001b[Jone\ntwo\n");
  written = "";
  screen.draw(["a line that is long", "2", "3", "4"]);
  assert.is(written, "\u001b[2F\u001b[Ja line\n2\n3\n");
  written = "";
  screen.draw([]);
  assert.is(written, "\u001b[3F\u001b[J");
});

test.run();
