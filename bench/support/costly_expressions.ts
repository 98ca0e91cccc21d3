/**
 * Expressions that cost most on an event of up to 1 MiB: each function and macro that depends on the size of a value.
 */
import type { Event } from "../../protocols/event.ts";

export interface CostlyExpression {
  readonly source: string;
  readonly event: Event;
}

const list = <Item>(length: number, item: (index: number) => Item): Item[] => Array.from({ length }, (_, i) => item(i));
const text = (character: string, length = 1_048_000): string => character.repeat(Math.floor(length / character.length));
const numbers = list(100_000, (index) => index + 0.5);
const maps = list(50_000, (index) => ({ a: index }));
const keyed = Object.fromEntries(list(60_000, (index) => [`k${index}`, index]));
/** Two texts whose search takes a time of the product of their lengths in the engine's own way. */
const haystack = text("a", 500_000);
const needle = `${text("a", 125_000)}b${text("a", 125_000)}`;

export const COSTLY_EXPRESSIONS: readonly CostlyExpression[] = [
  { source: "event.list.exists(x, x > 1000000000)", event: { list: numbers } },
  { source: "event.list.all(x, x > -1)", event: { list: numbers } },
  { source: "event.list.exists_one(x, x == -1)", event: { list: numbers } },
  { source: "event.list.map(x, x * 2).size() > 0", event: { list: numbers } },
  { source: "event.list.filter(x, x.a > 5).size() > 0", event: { list: maps } },
  { source: "event.list.exists(x, x.b > 5)", event: { list: maps } },
  { source: "event.list.exists(x, x.b > 5) || true", event: { list: maps } },
  { source: "event.list.all(x, event.list.exists(y, y == x))", event: { list: numbers } },
  { source: "event.list.map(x, event.list.filter(y, y == x)).size() > 0", event: { list: numbers } },
  { source: "event.list.exists(x, event.list.exists(y, y.none == x))", event: { list: maps } },
  { source: "event.list.all(x, x in event.list)", event: { list: numbers } },
  { source: "event.list.all(x, event.list == event.other)", event: { list: maps, other: structuredClone(maps) } },
  { source: "event.map.all(key, key in event.map)", event: { map: keyed } },
  { source: "-1 in event.list", event: { list: numbers } },
  { source: "{'a': -1} in event.list", event: { list: maps } },
  { source: "event.list == event.other", event: { list: maps, other: structuredClone(maps) } },
  { source: "event.map == event.other", event: { map: keyed, other: { ...keyed } } },
  { source: "event.a == event.b", event: { a: text("a", 500_000), b: text("a", 500_000) } },
  { source: 'event.a.matches("^[a-z]+$")', event: { a: text("a") } },
  { source: 'event.a.matches("^(a+)+$")', event: { a: `${text("a", 300_000)}!` } },
  { source: 'event.list.exists(x, x.matches("^(a+)+$"))', event: { list: list(50_000, () => "aaaaaaaaa!") } },
  { source: "event.a.matches(event.b)", event: { a: text("a", 500_000), b: "(a+)+$" } },
  { source: "event.list.exists(x, 'a'.matches(x))", event: { list: list(50_000, (index) => `b${index}`) } },
  { source: "event.a.contains(event.b)", event: { a: haystack, b: needle } },
  { source: "event.a.indexOf(event.b) > 0", event: { a: haystack, b: needle } },
  { source: "event.a.lastIndexOf(event.b) > 0", event: { a: haystack, b: needle } },
  { source: "event.a.split(event.b).size() > 0", event: { a: haystack, b: needle } },
  { source: "event.a.split('').size() > 0", event: { a: text("a") } },
  {
    source: "event.list.map(x, event.a).join().size() > 0",
    event: { list: list(20_000, (i) => i), a: text("a", 900_000) },
  },
  { source: "event.list.join(event.a).size() > 0", event: { list: list(50_000, () => "a"), a: text("a", 500_000) } },
  { source: "event.a.lowerAscii() == event.a.upperAscii()", event: { a: text("a") } },
  { source: "event.a.trim() == ''", event: { a: text(" ") } },
  {
    source: "event.a.startsWith(event.b) && event.a.endsWith(event.b)",
    event: { a: text("a", 500_000), b: text("a", 500_000) },
  },
  { source: "size(event.a) > 0", event: { a: text("é") } },
  { source: "event.a.substring(1).size() > 0", event: { a: text("a") } },
  { source: "size(event.map) > 0", event: { map: keyed } },
  { source: "event.list.all(x, event.map.size() > 0)", event: { list: list(1_000, (i) => i), map: keyed } },
  { source: "bytes(event.a).size() > 0", event: { a: text("é") } },
  { source: "string(event.b).size() > 0", event: { b: new Uint8Array(1_000_000).fill(97) } },
  { source: "event.b.hex().size() > 0", event: { b: new Uint8Array(1_000_000) } },
  { source: "event.b.base64().size() > 0", event: { b: new Uint8Array(1_000_000) } },
  { source: "event.b.json().size() > 0", event: { b: new TextEncoder().encode(`[${text("1,", 400_000)}1]`) } },
  { source: "double(event.a) > 0", event: { a: text("1") } },
  { source: "int(event.a) > 0", event: { a: text("1") } },
  { source: "bool(event.a)", event: { a: text("t") } },
  { source: "timestamp(event.a) > timestamp(0)", event: { a: text("1") } },
  { source: "duration(event.a) > duration('1s')", event: { a: text("1") } },
  {
    source: "event.list.all(x, timestamp('2026-01-01T00:00:00Z').getHours('Europe/Berlin') == 1)",
    event: { list: numbers },
  },
  { source: "event.list + event.list == []", event: { list: numbers } },
  { source: "event.a + event.a == ''", event: { a: text("a") } },
  {
    source: `${list(20, (i) => `cel.bind(v${i}, ${i === 0 ? "event.a" : `v${i - 1} + v${i - 1}`},`).join("")} v19.size()${")".repeat(20)} > 0`,
    event: { a: text("a") },
  },
];
