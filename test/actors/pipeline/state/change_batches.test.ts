/** The stored form of change batches: a kept sample, newer versions, damaged bytes. */
import { readFile } from "node:fs/promises";
import * as fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { STATE_LIMITS } from "../../../../actors/pipeline/keyed_state.ts";
import { PipelineState } from "../../../../actors/pipeline/state/pipeline_state.ts";
import { offset } from "../../../../protocols/position.ts";
import { decodeTrustedEvents } from "../../../../protocols/values/event_codec.ts";
import { EAGER_LIMITS, StoredChannel } from "./stored_channel.ts";

const SAMPLE = JSON.parse(
  await readFile(new URL("./samples/changes_format_1.json", import.meta.url), "utf8"),
) as readonly string[];

const VALUES = {
  ...{ nil: null, yes: true, no: false, small: 7, byte: 200, short: 40_000, word: 3_000_000_000, long: 2 ** 52 + 1 },
  ...{
    negative: -1,
    farNegative: -(2 ** 40),
    half: 0.5,
    minusZero: -0,
    text: "é",
    long16: "v".repeat(300),
    list: [1, { a: null }],
  },
  ...{ when: new Date(1_700_000_000_123), bytes: Uint8Array.of(0, 255), wide: 2n ** 60n },
};

/** Two batches with every form of key, value, time and change. */
function sampleChannel(): StoredChannel {
  const state = new PipelineState(EAGER_LIMITS);
  state.loaded();
  const channel = new StoredChannel();
  const values = state.table("values", STATE_LIMITS);
  const keys = state.table("ключи", { ...STATE_LIMITS, timeToLiveMs: 1_000 });
  for (const [name, value] of Object.entries(VALUES)) values.put(name, value);
  keys.at(1_700_000_000_000.5);
  for (const length of [0, 10, 11, 31, 32, 85, 86, 256, 1_024]) keys.put("k".repeat(length), length);
  channel.store(state);
  keys.remove("");
  keys.at(1_700_000_000_900);
  keys.put("k".repeat(10), -10);
  channel.store(state);
  return channel;
}

const hexOf = (channel: StoredChannel) => channel.batches.map(({ events }) => Buffer.from(events).toString("hex"));

function loadHex(hexes: readonly string[]): PipelineState {
  const state = new PipelineState();
  let endOffset = 0;
  for (const hex of hexes) {
    const events = Buffer.from(hex, "hex");
    const count = events.readUInt32BE(1);
    state.load({ events, firstOffset: offset(endOffset), count });
    endOffset += count;
  }
  state.loaded();
  return state;
}

function codeOf(hexes: readonly string[]): string {
  try {
    loadHex(hexes);
  } catch (error) {
    return `${(error as Error).name} ${(error as { code: string }).code}`;
  }
  return "none";
}

test("change batches are written as the kept sample of format 1, byte for byte", () => {
  assert.equal(hexOf(sampleChannel()), SAMPLE);
});

test("change batches of format 1 are read with their full meaning", () => {
  const state = loadHex(SAMPLE);
  const values = state.table("values", STATE_LIMITS);
  assert.is(values.size, Object.keys(VALUES).length);
  for (const [name, value] of Object.entries(VALUES)) {
    const found = values.get(name);
    if (value instanceof Uint8Array) assert.equal([...(found as Uint8Array)], [...value]);
    else assert.equal(found, value, name);
  }
  assert.ok(Object.is(values.get("minusZero"), -0));
  const keys = state.table("ключи", { ...STATE_LIMITS, timeToLiveMs: 1_000 });
  assert.equal(
    [keys.size, keys.get("k".repeat(10)), keys.get("k".repeat(1_024)), keys.get("")],
    [8, -10, 1_024, undefined],
  );
  keys.at(1_700_000_001_000.5);
  assert.is(keys.get("k".repeat(11)), 11);
  keys.at(1_700_000_001_001);
  assert.equal(
    Array.from(keys.scan(), ([key]) => key),
    ["k".repeat(10)],
  );
});

test("G2: each batch is a MessagePack array that decodes by itself and names its tables", () => {
  for (const hex of SAMPLE) {
    const [head, ...changes] = decodeTrustedEvents(Buffer.from(hex, "hex")) as unknown as unknown[][];
    assert.equal(head, [1, "values", null, "ключи", head?.[4]]);
    assert.ok(changes.every(({ length }) => length === 2 || length === 5));
  }
});

test("G1: a batch of a newer format is refused, before anything of it is taken over", () => {
  const newer = SAMPLE.map((hex) => hex.replace(/^(dd.{8}95)01/, "$102"));
  assert.not.equal(newer, SAMPLE);
  assert.is(codeOf(newer), "ConfigurationError FORMAT_TOO_NEW");
});

test("a change of a table that the head does not name is refused as STORE_CORRUPT", () => {
  const table = (at: string) => `dd000000029301a16bc092${at}a161`;
  assert.equal([codeOf([table("00")]), codeOf([table("01")])], ["none", "UnavailableError STORE_CORRUPT"]);
});

test("cut or changed bytes are refused as STORE_CORRUPT or read as another batch, and never end otherwise", () => {
  const [first = ""] = SAMPLE;
  for (let length = 10; length < first.length; length += 2)
    assert.is(codeOf([first.slice(0, length)]), "UnavailableError STORE_CORRUPT", `${length / 2} bytes`);
  fc.assert(
    fc.property(fc.nat(first.length / 2 - 1), fc.nat(255), (at, byte) => {
      const bytes = Buffer.from(first, "hex");
      bytes[at] = byte;
      assert.match(
        codeOf([bytes.toString("hex")]),
        /^(UnavailableError STORE_CORRUPT|ConfigurationError FORMAT_TOO_NEW|none)$/,
      );
    }),
    { numRuns: 500 },
  );
});

test("values beyond 64 KiB, names of many bytes and a thousand keys come back as they were put", () => {
  const state = new PipelineState();
  state.loaded();
  const channel = new StoredChannel();
  const table = state.table("é".repeat(2_000), STATE_LIMITS);
  const text = "v".repeat(70_000);
  table.put("large", text);
  for (let n = 0; n < 1_000; n++) table.put(`k${n}`, { n });
  channel.store(state);
  const again = channel.restore().table("é".repeat(2_000), STATE_LIMITS);
  assert.equal([again.get("large"), again.get("k999"), again.size], [text, { n: 999 }, 1_001]);
});

test.run();
