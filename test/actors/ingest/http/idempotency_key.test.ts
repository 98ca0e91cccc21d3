import { test } from "uvu";
import * as assert from "uvu/assert";
import { producerOf, readKey } from "../../../../actors/ingest/http/idempotency_key.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const REQUEST = { key: "k", subject: "s", owner: undefined, payload: bytes("{}") };

test("a key has 1 to 255 characters, without the spaces around it", () => {
  assert.is(readKey(undefined), undefined);
  assert.is(readKey([" k "]), "k");
  assert.is(readKey(["k".repeat(255)]), "k".repeat(255));
  for (const [key, length] of [
    ["", 0],
    ["  ", 0],
    ["k".repeat(256), 256],
  ] as const) {
    try {
      readKey([key]);
      assert.unreachable();
    } catch (error) {
      assert.is((error as { code: string }).code, "MALFORMED_FRAME");
      assert.match((error as Error).message, new RegExp(`current length is ${length}$`));
    }
  }
});

test("a key that is given twice is refused, as no one can know which is meant", () => {
  assert.throws(() => readKey(["a", "b"]), /Idempotency-Key must be given once: current number is 2/);
});

test("K1: the same request is the same producer; another stream, subject or key is another one", () => {
  const first = producerOf("orders", REQUEST);
  assert.equal(producerOf("orders", { ...REQUEST, owner: "someone" }), first);
  const others = [
    producerOf("payments", REQUEST),
    producerOf("orders", { ...REQUEST, subject: "t" }),
    producerOf("orders", { ...REQUEST, key: "l" }),
    producerOf("orderss", { ...REQUEST, subject: "" }), // the same letters, cut elsewhere
  ];
  assert.is(new Set([first, ...others].map(({ producerId }) => producerId)).size, 5);
});

test("K1: another payload under the same key is another instance of the same producer, so that it is fenced", () => {
  const [first, second] = [producerOf("orders", REQUEST), producerOf("orders", { ...REQUEST, payload: bytes("[]") })];
  assert.is(first.producerId, second.producerId);
  assert.is.not(first.instance, second.instance);
});

test.run();
