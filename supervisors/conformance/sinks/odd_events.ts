/**
 * Unusual events that a user's step may make or a producer may send, with the form that each format must give them.
 * `undefined` where the format has no form, so that the record must be set aside.
 */

export interface OddEvent {
  readonly name: string;
  readonly event: Readonly<Record<string, unknown>>;
  readonly traceparent?: string;
  /** The line, without its line break. */
  readonly json: string | undefined;
  /** The CSV cell of column `odd`. */
  readonly csv: string | undefined;
  /** The event as the node answers it over HTTP. */
  readonly stream: unknown;
}

const HALF = "\ud800";
const TIME = new Date(Date.UTC(2026, 0, 2, 3, 4, 5, 678));

/** Texts that every sink must take. */
const TEXTS: Readonly<Record<string, string>> = {
  "a line break": "a\nb\r\nc\r",
  "no character at all": "",
  "control characters": "\u0000\u0001\u001b\u007f\u0085",
  "separators of lines and paragraphs": "\u2028\u2029",
  "a turn of the writing direction": "\u202e\u2066",
  "characters of four bytes": "\u{1f600}\u{10ffff}",
  "a quote, a comma and a backslash": '"a", \\b',
  "what a spreadsheet would run": "=1+1",
  "the name of every object's prototype": "__proto__",
  "100,000 characters": "x".repeat(100_000),
};

function ofText([name, text]: [string, string]): OddEvent[] {
  const value = { odd: text };
  const below = { odd: [{ [text]: text }] };
  const key = { [text]: 1, odd: "" };
  return [
    { name: `${name}, as a value`, event: value, json: JSON.stringify(value), csv: text, stream: value },
    {
      name: `${name}, as a key and a value further down`,
      event: below,
      json: JSON.stringify(below),
      csv: JSON.stringify(below.odd),
      // The node refuses a key that would change an object's prototype.
      stream: text === "__proto__" ? undefined : below,
    },
    {
      name: `${name}, as a key`,
      event: key,
      json: JSON.stringify(key),
      csv: "",
      stream: text === "__proto__" ? undefined : key,
    },
  ];
}

function ofTrace([name, traceparent]: [string, string]): OddEvent {
  const event = { odd: 1 };
  const delivered = { name: `${name}, as a trace`, event, traceparent, json: JSON.stringify(event), csv: "1" };
  return { ...delivered, stream: event };
}

const plain = (name: string, odd: unknown, json: string | undefined, csv: string | undefined, stream: unknown) => ({
  name,
  event: { odd },
  json: json === undefined ? undefined : `{"odd":${json}}`,
  csv,
  stream: stream === undefined ? undefined : { odd: stream },
});

const cycle: Record<string, unknown> = {};
cycle.again = cycle;
const deep = (levels: number): unknown => {
  let value: unknown = 1;
  for (let level = 0; level < levels; level += 1) value = { in: value };
  return value;
};
const lists = (levels: number): unknown => {
  let value: unknown = 1;
  for (let level = 0; level < levels; level += 1) value = [value];
  return value;
};

class Point {
  readonly x = 1;
}

const VALUES: readonly OddEvent[] = [
  plain("2^53 + 1", 2n ** 53n + 1n, '"9007199254740993"', "9007199254740993", { $int: "9007199254740993" }),
  plain("-2^63", -(2n ** 63n), '"-9223372036854775808"', "-9223372036854775808", { $int: "-9223372036854775808" }),
  plain("2^64 - 1", 2n ** 64n - 1n, '"18446744073709551615"', "18446744073709551615", { $int: "18446744073709551615" }),
  plain("2^64", 2n ** 64n, '"18446744073709551616"', "18446744073709551616", undefined),
  plain("a large number inside", [2n ** 60n], '["1152921504606846976"]', '["1152921504606846976"]', [
    { $int: "1152921504606846976" },
  ]),
  plain("a whole float beyond 2^53", 1e20, "1e+20", "1e+20", 1e20),
  plain("a whole float beyond 2^53, inside", [-(2 ** 54)], "[-1.8014398509481984e+16]", "[-1.8014398509481984e+16]", [
    -(2 ** 54),
  ]),
  plain("2^53", 2 ** 53, "9007199254740992", "9007199254740992", 2 ** 53),
  plain("-2^53, inside", [-(2 ** 53)], "[-9007199254740992]", "[-9007199254740992]", [-(2 ** 53)]),
  plain("minus zero", -0, "-0.0", "-0.0", -0),
  plain("binary", new Uint8Array([0, 255]), '"AP8="', "AP8=", { $bytes: "AP8=" }),
  plain("a time", TIME, '"2026-01-02T03:04:05.678Z"', "2026-01-02T03:04:05.678Z", {
    $time: "2026-01-02T03:04:05.678Z",
  }),
  plain("a time that does not exist", new Date(Number.NaN), undefined, undefined, undefined),
  plain("a time that does not exist, inside", [new Date(Number.NaN)], undefined, undefined, undefined),
  plain("not a number", Number.NaN, undefined, "NaN", undefined),
  plain("infinity", Number.POSITIVE_INFINITY, undefined, "Infinity", undefined),
  plain("infinity inside", { a: Number.NEGATIVE_INFINITY }, undefined, undefined, undefined),
  plain("the largest number", Number.MAX_VALUE, "1.7976931348623157e+308", "1.7976931348623157e+308", Number.MAX_VALUE),
  { name: "a field that is undefined", event: { odd: undefined }, json: "{}", csv: "", stream: { odd: null } },
  plain("null", null, "null", "", null),
  plain("true", true, "true", "true", true),
  plain("half of a surrogate pair", HALF, '"\\ud800"', undefined, undefined),
  plain("half of a surrogate pair inside", [`a${HALF}b`], '["a\\ud800b"]', '["a\\ud800b"]', undefined),
  {
    name: "half of a surrogate pair, as a key",
    event: { [HALF]: 1 },
    json: '{"\\ud800":1}',
    csv: "",
    stream: undefined,
  },
  plain(
    "half of a long surrogate pair",
    "x".repeat(1_000) + HALF,
    `"${"x".repeat(1_000)}\\ud800"`,
    undefined,
    undefined,
  ),
  plain(
    "names that objects of JavaScript know",
    { constructor: 1, toJSON: 2, valueOf: 3 },
    '{"constructor":1,"toJSON":2,"valueOf":3}',
    '{"constructor":1,"toJSON":2,"valueOf":3}',
    { constructor: 1, toJSON: 2, valueOf: 3 },
  ),
  plain("a function", () => 1, undefined, undefined, undefined),
  plain("a function inside", { toJSON: () => 1 }, undefined, undefined, undefined),
  plain("a symbol", Symbol("s"), undefined, undefined, undefined),
  plain("a Map", new Map([["a", 1]]), undefined, undefined, undefined),
  plain("a Set", new Set([1]), undefined, undefined, undefined),
  plain("an instance of a class", new Point(), undefined, undefined, undefined),
  plain("a value inside itself", cycle, undefined, undefined, undefined),
  plain("30 maps inside one another", deep(30), JSON.stringify(deep(30)), JSON.stringify(deep(30)), deep(30)),
  plain("20,000 maps inside one another", deep(20_000), undefined, undefined, undefined),
  plain("20,000 lists inside one another", lists(20_000), undefined, undefined, undefined),
];

const TRACES: Readonly<Record<string, string>> = {
  "a line break": "x\ny",
  "no character of Latin-1": "\u2603",
  "a zero": "\u0000",
  "half of a surrogate pair": HALF,
};

export const ODD_EVENTS: readonly OddEvent[] = [
  ...Object.entries(TEXTS).flatMap(ofText),
  ...Object.entries(TRACES).map(ofTrace),
  ...VALUES,
];
