import { test } from "uvu";
import * as assert from "uvu/assert";
import { expressionCompiler } from "../../../../actors/pipeline/steps/expression.ts";
import type { Event } from "../../../../protocols/event.ts";
import { position } from "../../../../protocols/position.ts";
import { dateOf } from "../../../../protocols/values/precise_date.ts";

const compile = await expressionCompiler();
const CONTEXT = { stream: "s", partition: 0, position: position(1, 1), timeMs: 0 };
const answerOf = (source: string, event: Event = {}): unknown => compile(source, "here")(event, CONTEXT);

function failureOf(source: string, given: Event): { readonly code: string; readonly message: string } {
  try {
    answerOf(source, given);
  } catch (error) {
    return error as { code: string; message: string };
  }
  return assert.unreachable(`${source} has a value`) as never;
}

const numbers = Array.from({ length: 20_000 }, (_, index) => index);
const maps = numbers.map((a) => ({ a }));

/** Expressions whose cost is the square of the event's size, or one error for each of the event's elements. */
const TOO_COSTLY: readonly (readonly [source: string, event: Event])[] = [
  ["event.list.all(x, event.list.exists(y, y == x))", { list: numbers }],
  ["event.list.map(x, event.list.filter(y, y == x)).size() > 0", { list: numbers }],
  ["event.list.all(x, x in event.list)", { list: numbers }],
  ["event.list.all(x, event.list == event.other)", { list: maps, other: structuredClone(maps) }],
  ["event.list.exists(x, x.none > 5)", { list: maps }],
  ["event.list.exists(x, x.none > 5) || true", { list: maps }],
  ["event.list.exists(x, event.list.exists(y, y.none == x))", { list: maps }],
  ["event.list.map(x, event.text).join().size() > 0", { list: numbers, text: "a".repeat(1_000_000) }],
  ["event.list.all(x, event.text.size() > 0)", { list: numbers, text: "a".repeat(100_000) }],
  ['event.text.matches("^(a+)+$")', { text: `${"a".repeat(1_000_000)}!` }],
  ["event.list.all(x, timestamp('2026-01-01T00:00:00Z').getHours('UTC') == 0)", { list: numbers }],
];

for (const [source, event] of TOO_COSTLY) {
  test(`${source} ends at its budget, and the reason names it`, () => {
    const { code, message } = failureOf(source, event);
    assert.is(code, "STEP_FAILED");
    assert.match(message, /here: the expression takes more than its budget of \d+ steps/);
  });
}

test("a budget is spent for one record alone, and the same record spends it again", () => {
  const judge = compile("event.list.all(x, event.list.exists(y, y == x))", "here");
  const spend = () => assert.throws(() => judge({ list: numbers }, CONTEXT), /budget/);
  spend();
  assert.is(judge({ list: [1, 2, 3] }, CONTEXT), true);
  spend();
});

test("macros over a list of 50,000 elements, and pairs of 50 elements, are within the budget", () => {
  const list = Array.from({ length: 50_000 }, (_, index) => index + 0.5);
  assert.is(answerOf("event.list.filter(x, x > 49999.0).size()", { list }), 1);
  assert.is(answerOf("event.list.all(x, event.list.exists_one(y, y == x))", { list: list.slice(0, 50) }), true);
});

test("text is searched in time linear in both texts", () => {
  const event = { text: "a".repeat(200_000), needle: `${"a".repeat(50_000)}b${"a".repeat(50_000)}` };
  assert.is(answerOf("event.text.contains(event.needle)", event), false);
  assert.is(answerOf("event.text.indexOf(event.needle)", event), -1);
  assert.is(answerOf("event.text.lastIndexOf(event.needle)", event), -1);
  assert.is(answerOf("size(event.text.split(event.needle))", event), 1);
});

test("integers of 64 bits, signed and unsigned, are compared and computed exactly", () => {
  const event = { id: 9_007_199_254_740_993n, one: 1, most: 18_446_744_073_709_551_615n };
  assert.is(answerOf("event.id == 9007199254740993", event), true);
  assert.is(answerOf("event.id == 9007199254740992", event), false);
  assert.is(answerOf("event.id > 9007199254740992 && event.id in [9007199254740993]", event), true);
  assert.is(answerOf("event.id + 1", event), 9_007_199_254_740_994n);
  assert.is(answerOf("event.id + event.one", event), 9_007_199_254_740_994n);
  assert.is(answerOf("event.id - event.one", event), 9_007_199_254_740_992);
  assert.is(answerOf("event.id % 10", event), 3);
  assert.is(answerOf("string(event.id)", event), "9007199254740993");
  assert.is(answerOf("event.most > event.id", event), true);
  assert.is(answerOf("event.most", event), 18_446_744_073_709_551_615n);
  assert.match(failureOf("event.most + 1", event).message, /overflow/);
});

test("A1: whole numbers are computed exactly on both sides of 2^53, and a result beyond 64 bits is an error", () => {
  const sizes = [0n, 1n, 7n, 100n, 2n ** 31n, 2n ** 32n + 1n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 62n];
  const values = [...sizes, ...sizes.map((size) => -size), 2n ** 63n, 2n ** 64n - 1n, -(2n ** 63n)];
  const inEvent = (value: bigint) => (value >= -(2n ** 53n) && value <= 2n ** 53n ? Number(value) : value);
  const isRoomy = (value: bigint) => value >= -(2n ** 63n) && value < 2n ** 64n;
  const exact: Readonly<Record<string, (left: bigint, right: bigint) => bigint>> = {
    "+": (left, right) => left + right,
    "-": (left, right) => left - right,
    "*": (left, right) => left * right,
    "%": (left, right) => left % right,
  };
  for (const [operator, compute] of Object.entries(exact)) {
    for (const left of values) {
      for (const right of values) {
        if (operator === "%" && right === 0n) continue;
        const expected = compute(left, right);
        const event = { left: inEvent(left), right: inEvent(right) };
        const forms = [`event.left ${operator} event.right`];
        if (right >= 0n && right < 2n ** 63n) forms.push(`event.left ${operator} ${right}`);
        for (const form of forms) {
          const where = `${left} ${form} ${right}`;
          if (isRoomy(expected)) assert.ok(Object.is(answerOf(form, event), inEvent(expected)), where);
          else assert.match(failureOf(form, event).message, /overflow/, where);
        }
      }
    }
  }
});

test("A2: a quotient is a double whatever its size, and CEL's own ints divide as ints", () => {
  assert.is(answerOf("event.a / 100", { a: 1250 }), 12.5);
  assert.is(answerOf("event.a / 100", { a: 9_007_199_254_740_993n }), 90_071_992_547_409.92);
  assert.is(answerOf("7 / 2"), 3);
  assert.is(answerOf("event.a / 2.0", { a: 7 }), 3.5);
});

test("A3: a negated or multiplied 0 is 0, never -0; a negated integer beyond 64 bits is an error", () => {
  assert.ok(Object.is(answerOf("-event.a", { a: 0 }), 0));
  assert.ok(Object.is(answerOf("event.a * -1.0", { a: 0 }), 0));
  assert.is(answerOf("-event.a", { a: 2.5 }), -2.5);
  assert.is(answerOf("-event.a", { a: 9_007_199_254_740_993n }), -9_007_199_254_740_993n);
  assert.match(failureOf("-event.a", { a: 2n ** 64n - 1n }).message, /does not fit 64 bits/);
  assert.match(failureOf("int(event.a)", { a: 1e20 }).message, /does not fit 64 bits|overflow/);
  assert.is(answerOf("'a' + event.text + 'b'", { text: "-" }), "a-b");
});

test("times finer than a millisecond can be compared, and keep their digits where they are passed on", () => {
  const at = dateOf(Date.parse("2026-12-01T10:00:00.123Z"), 456_789);
  assert.is((answerOf("event.at", { at }) as Date).toISOString(), "2026-12-01T10:00:00.123456789Z");
  assert.is(answerOf("event.at > timestamp('2026-12-01T10:00:00Z')", { at }), true);
  assert.is(answerOf("event.at - timestamp('2026-12-01T10:00:00Z') < duration('1s')", { at }), true);
  assert.is(answerOf("event.at.getFullYear()", { at }), 2026);
  assert.is(answerOf("event.list.all(one, one == event.list[0])", { list: [at, at] }), true);
});

test("names of JavaScript's own properties, such as constructor, are ordinary keys", () => {
  const names = ["constructor", "valueOf", "toString", "hasOwnProperty", "hasValue", "prototype", "__proto__"];
  for (const name of names) {
    const inner = Object.fromEntries([[name, 4]]);
    const event = { k: 1, inner, list: [inner], ...(name === "__proto__" ? {} : inner) };
    assert.is(answerOf("event.k == 1 && size(event.list) == 1", event), true, name);
    assert.is(answerOf(`event.list.all(one, one["${name}"] == 4)`, event), true, name);
    assert.equal(Object.entries(answerOf("event.inner", event) as object), [[name, 4]], name);
  }
});

test("a timestamp is RFC 3339, and a day that does not exist has no value", () => {
  assert.is(answerOf("timestamp('2026-12-01T10:00:00+01:00') == timestamp('2026-12-01T09:00:00Z')"), true);
  for (const text of ["2026-02-30T00:00:00Z", "2026-12-01T10:00:00.000000", "December 1, 2026 10:00"]) {
    assert.match(failureOf("timestamp(event.at) > timestamp(0)", { at: text }).message, /RFC 3339/);
  }
  assert.is(answerOf("timestamp('2026-07-01T00:00:00Z').getDayOfYear()"), 181);
  assert.is(answerOf("timestamp('2026-12-31T23:30:00Z').getDayOfYear('Europe/Berlin')"), 0);
});

test("a failure is told in fewer than 700 characters, whatever the event holds", () => {
  assert.ok(failureOf("bool(event.text)", { text: "t".repeat(100_000) }).message.length < 700);
  assert.match(failureOf("duration(event.text) > duration('1s')", { text: "1".repeat(5_000) }).message, /at most 100/);
});

test("a pattern that RE2 does not take is refused when the expression is compiled", () => {
  assert.throws(() => compile('event.text.matches("(?=a)")', "here"), /Cannot compile here/);
});

test.run();
