/** The part of a store that belongs to no partition: producers' names and epochs, metadata, and its health. */
import * as assert from "uvu/assert";
import { type LogHarness, scenariosOf } from "./log_harness.ts";

export function logRegistry(harness: LogHarness): void {
  const { scenario } = scenariosOf(harness);

  scenario(
    "an instance keeps its producer epoch, the next one gets a higher, and the earlier one is fenced",
    async (log) => {
      const epochOf = async (instance: string, held?: number) => {
        const outcome = await log.welcomeProducer("sensor", instance, held, Date.now());
        assert.is(outcome.kind, "welcomed");
        return outcome.kind === "welcomed" ? outcome.producerEpoch : 0;
      };
      const first = await epochOf("one");
      assert.ok(first >= 1);
      assert.is(await epochOf("one", first), first);
      assert.is(await epochOf("one"), first);
      const second = await epochOf("two");
      assert.ok(second > first);
      assert.equal(await log.welcomeProducer("sensor", "one", first, Date.now()), { kind: "fenced", current: second });
      assert.ok(
        (await epochOf("two", second + 50)) > second + 50,
        "an epoch that the store has lost is not made again",
      );
    },
  );

  scenario(
    "a producer's name belongs to the first principal that was welcomed under it, and to none without principals",
    async (log) => {
      const welcome = async (instance: string, owner?: string) =>
        (
          await log.welcomeProducer(
            ...(["sensor", instance, undefined, Date.now()] as const),
            owner === undefined ? undefined : { subject: owner },
          )
        ).kind;
      assert.is(await welcome("one"), "welcomed");
      assert.is(await welcome("two", "plant"), "welcomed");
      assert.is(await welcome("three", "office"), "owned");
      assert.is(await welcome("three", "plant"), "welcomed");
      assert.is(await welcome("four"), "welcomed");
      assert.is(await welcome("four", "office"), "owned");
    },
  );

  scenario("a principal with producersMax names gets no further one, and other principals do", async (log) => {
    const welcome = async (producerId: string, subject: string, producersMax?: number) => {
      const owner = producersMax === undefined ? { subject } : { subject, producersMax };
      return (await log.welcomeProducer(producerId, "one", undefined, Date.now(), owner)).kind;
    };
    const outcomes = [];
    for (const name of ["a", "b", "c", "a"]) outcomes.push(await welcome(name, "plant", 2));
    assert.equal(outcomes, ["welcomed", "welcomed", "crowded", "welcomed"]);
    assert.equal(await Promise.all(["c", "d"].map((name) => welcome(name, "office", 1))), ["welcomed", "crowded"]);
    assert.is(await welcome("e", "plant"), "welcomed", "a principal without a bound gets every name");
    assert.is(await welcome("f", "plant", 3), "crowded", "names that came without a bound count");
    assert.is(await welcome("f", "plant", 4), "welcomed", "a higher bound holds at once");
  });

  scenario("an epoch that no node can have given is refused, and does not shut its producer out", async (log) => {
    const welcome = (held?: number) => log.welcomeProducer("sensor", "one", held, Date.now());
    for (const held of [Number.MAX_SAFE_INTEGER, Date.now() + 2 * 86_400_000]) {
      assert.is((await welcome(held)).kind, "unknown_epoch");
    }
    const outcome = await welcome();
    assert.is(outcome.kind, "welcomed");
    const given = outcome.kind === "welcomed" ? outcome.producerEpoch : 0;
    assert.ok(given <= Date.now() + 1_000);
    // A node whose clock was an hour ahead may have given this epoch, so it is accepted (E24).
    assert.is((await welcome(given + 3_600_000)).kind, "welcomed");
  });

  scenario("metadata under a key that the store cannot hold does not harm the store", async (log) => {
    const key = "x".repeat(5_000);
    const states: string[] = [];
    log.onStateChange(({ kind }) => states.push(kind));
    await log.readMetadata(key).catch(() => undefined);
    await log.writeMetadata(key, Buffer.from("1"), 0).catch(() => undefined);
    assert.equal(states, []);
    assert.is(await log.writeMetadata("schemas/a", Buffer.from("1"), 0), 1);
  });

  scenario("metadata is written by compare-and-set and listed by prefix", async (log) => {
    const value = (text: string) => Buffer.from(text);
    assert.is(await log.readMetadata("schemas/a"), undefined);
    assert.is(await log.writeMetadata("schemas/a", value("1"), 1), undefined);
    assert.is(await log.writeMetadata("schemas/a", value("1"), 0), 1);
    assert.is(await log.writeMetadata("schemas/a", value("2"), 0), undefined);
    assert.is(await log.writeMetadata("schemas/a", value("\u0000\u00ff"), 1), 2);
    await log.writeMetadata("schemas/b", value("b"), 0);
    await log.writeMetadata("schemasx", value("x"), 0);
    assert.equal([...(await log.listMetadata("schemas/")).keys()].sort(), ["schemas/a", "schemas/b"]);
    const read = await log.readMetadata("schemas/a");
    assert.is(read?.version, 2);
    assert.is(Buffer.from(read?.value ?? []).toString(), "\u0000\u00ff");
    const racing = await Promise.all(["x", "y"].map((text) => log.writeMetadata("race", value(text), 0)));
    assert.equal(racing.filter((version) => version === 1).length, 1);
  });

  scenario("a log on a sound store is ready, and a probe passes", async (log) => {
    assert.equal(log.state(), { kind: "ready" });
    await log.probe();
  });
}
