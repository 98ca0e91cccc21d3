import { test } from "uvu";
import * as assert from "uvu/assert";
import type { RedisLink } from "../../../../actors/log/redis/redis_link.ts";
import { ShardLinks } from "../../../../actors/log/redis/shard_links.ts";

const linkTo = () => ({ onStateChange: () => undefined, begin: async () => undefined }) as unknown as RedisLink;

test("callers of one address share one link, which is made once", async () => {
  let made = 0;
  const links = new ShardLinks(
    async () => {
      made += 1;
      return linkTo();
    },
    () => undefined,
  );
  const [first, second] = await Promise.all([links.at("a:1"), links.at("a:1")]);
  assert.is(first, second);
  assert.is(await links.at("a:1"), first);
  assert.is(made, 1);
});

test("an address whose link could not be made is tried again by the next caller", async () => {
  let tries = 0;
  const links = new ShardLinks(
    async () => {
      tries += 1;
      if (tries === 1) throw new Error("no such host");
      return linkTo();
    },
    () => undefined,
  );
  const refusals = await Promise.allSettled([links.at("a:1"), links.at("a:1")]);
  assert.equal(
    refusals.map(({ status }) => status),
    ["rejected", "rejected"],
  );
  assert.is(links.get("a:1"), undefined);
  assert.ok(await links.at("a:1"));
  assert.is(tries, 2);
});

test.run();
