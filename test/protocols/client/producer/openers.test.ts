import { test } from "uvu";
import * as assert from "uvu/assert";
import { Openers } from "../../../../protocols/client/producer/openers.ts";

const place = (partition: number) => ({ stream: "orders", partition });
const OPENED = { lastSequence: undefined } as never;

test("all callers that wait for one partition get its answer, and others go on waiting", async () => {
  const openers = new Openers();
  const [first, second, other] = [openers.wait(place(0)), openers.wait(place(0)), openers.wait(place(1))];
  openers.resolve(place(0), OPENED);
  assert.equal(await Promise.all([first, second]), [OPENED, OPENED]);
  openers.reject(place(1), new Error("fenced"));
  assert.is(await other.catch((error: Error) => error.message), "fenced");
  openers.resolve(place(0), OPENED); // nobody waits any more
});

test("the end of the producer rejects every caller once", async () => {
  const openers = new Openers();
  const waiting = [openers.wait(place(0)), openers.wait(place(1))];
  openers.rejectAll(new Error("closed"));
  openers.rejectAll(new Error("again"));
  const reasons = await Promise.all(waiting.map((one) => one.catch((error: Error) => error.message)));
  assert.equal(reasons, ["closed", "closed"]);
});

test.run();
