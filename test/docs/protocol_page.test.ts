/** Compares docs/protocol.md with the code: each limit, interval, cost, close code and minor version. */
import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { RECORDS_LIMITS } from "../../actors/ingest/session/records_budget.ts";
import { FRAME_COSTS } from "../../actors/ingest/session/session_machine.ts";
import { BYTES_OF_COST, SESSION_LIMITS } from "../../actors/ingest/session/session_state.ts";
import { FRAME_ALLOWANCE } from "../../actors/transport/frame_allowance.ts";
import { LISTENER_LIMITS } from "../../actors/transport/websocket_listener.ts";
import { PRODUCER_DEFAULTS } from "../../protocols/client/producer/producer_options.ts";
import { FIELD_LIMITS } from "../../protocols/limits.ts";
import { DEFINITIONS_MAX, GROWTH_BYTES_MAX } from "../../protocols/values/scan.ts";
import { UNREADABLE_REASON_CHARACTERS_MAX } from "../../protocols/values/unreadable.ts";
import { CLOSE_CODES } from "../../protocols/wire/closing.ts";
import { PROTOCOL_MINOR, WIRE_DEFAULTS } from "../../protocols/wire/frames.ts";
import { CONFIGURATION_SCHEMA } from "../../supervisors/configuration/configuration_schema.ts";
import { HTTP_LIMITS } from "../../supervisors/http/http_server.ts";

const page = readFileSync(new URL("../../docs/protocol.md", import.meta.url), "utf8");
const number = (value: number): string => value.toLocaleString("en-US");

/** The cells of each row of the table under a heading, its first two lines left out. */
function tableUnder(heading: string): string[][] {
  const [, section = ""] = page.split(`\n## ${heading}\n`);
  const rows = (section.split(/\n## /)[0] ?? "").split("\n").filter((line) => line.startsWith("|"));
  return rows.slice(2).map((row) =>
    row
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

const { properties } = CONFIGURATION_SCHEMA.properties.limits as unknown as {
  properties: Record<string, { default: number }>;
};
const defaultOf = (name: string): number => properties[name]?.default ?? Number.NaN;

const LIMITS: Readonly<Record<string, string>> = {
  frame: `${number(WIRE_DEFAULTS.frameBytesMax)} bytes`,
  event: `${number(WIRE_DEFAULTS.eventBytesMax)} bytes as encoded`,
  "events in an append": number(WIRE_DEFAULTS.batchEventsMax),
  "values in a frame, and in an array of events": number(WIRE_DEFAULTS.frameTokensMax),
  nesting: `${WIRE_DEFAULTS.frameDepthMax} levels`,
  "record definitions in an array": number(DEFINITIONS_MAX),
  "bytes that records grow by as maps, an array": number(GROWTH_BYTES_MAX),
  "dedupe window": `${number(PRODUCER_DEFAULTS.dedupeWindowMs)} ms`,
  "name of a stream, producer or instance": `${number(FIELD_LIMITS.nameCharactersMax)} characters`,
  client: `${number(FIELD_LIMITS.clientCharactersMax)} characters`,
  token: `${number(FIELD_LIMITS.tokenCharactersMax)} characters`,
  "address, name of a node": `${number(FIELD_LIMITS.addressCharactersMax)} characters`,
  code: `${number(FIELD_LIMITS.codeCharactersMax)} characters`,
  path: `${number(FIELD_LIMITS.pathCharactersMax)} characters`,
  "message, reason": `${number(FIELD_LIMITS.messageCharactersMax)} characters`,
  position: `${number(FIELD_LIMITS.positionBytesMax)} bytes as MessagePack`,
  "sequences listed by an append": number(FIELD_LIMITS.sequencesMax),
  "schema version": number(FIELD_LIMITS.schemaVersionMax),
  sequence: number(Number.MAX_SAFE_INTEGER),
  "time to `hello`": `${number(SESSION_LIMITS.helloWithinMs)} ms`,
  "subscriptions of a connection": number(SESSION_LIMITS.subscriptionsMax),
  "partitions of a subscription": number(FIELD_LIMITS.subscriptionPartitionsMax),
  "credit of a subscription": `${number(SESSION_LIMITS.subscriptionCreditBytesMax)} bytes`,
  "calls under way on a connection": number(SESSION_LIMITS.callsUnderWayMax),
  "cost of calls": `${number(FRAME_ALLOWANCE.costMax)} at once, then ${number(FRAME_ALLOWANCE.costPerSecond)} a second`,
  "records under way to a connection": `${number(RECORDS_LIMITS.connectionBytesMax)} bytes`,
  "records not taken while others wait for room": `${number(RECORDS_LIMITS.undisturbedMs)} ms`,
  "unsent bytes of a connection": `${number(LISTENER_LIMITS.unsentBytesMax)} bytes for ${number(LISTENER_LIMITS.unsentForMs)} ms`,
  "fragments of a message": number(LISTENER_LIMITS.fragmentsMax),
  "connections of a node": number(defaultOf("connectionsMax")),
  "connections of one address": number(defaultOf("connectionsPerAddressMax")),
  "headers of an HTTP request": `${number(HTTP_LIMITS.headerBytesMax)} bytes`,
  "body of an HTTP request, inflated": `${number(HTTP_LIMITS.bodyBytesMax)} bytes`,
  "time of an HTTP request": `${number(HTTP_LIMITS.requestWithinMs)} ms; its headers ${number(HTTP_LIMITS.headersWithinMs)} ms`,
};

test("each limit of the page is the one in code, and the page has all of them", () => {
  assert.equal(Object.fromEntries(tableUnder("Limits").map(([name = "", value]) => [name, value])), LIMITS);
});

test("each close code of the page is one that a node uses, and the page has all of them", () => {
  assert.equal(
    tableUnder("Closing").map(([code]) => Number(code)),
    Object.values(CLOSE_CODES),
  );
});

test("intervals, costs and the minor version are those in code", () => {
  const { open, lost, subscribe, ...others } = FRAME_COSTS;
  assert.is(open, lost);
  assert.equal([...new Set(Object.values(others))], [1]);
  for (const sentence of [
    `Nodes ping every ${number(LISTENER_LIMITS.pingEveryMs)} ms`,
    `within ${SESSION_LIMITS.helloWithinMs / 1_000} s of the upgrade`,
    `\`open\` and \`lost\` cost ${open}, \`subscribe\` ${subscribe}, any other and a refused append 1, and 1 more for each ${number(BYTES_OF_COST)} bytes`,
    `newest minor version it speaks (${PROTOCOL_MINOR})`,
    `minor ${PROTOCOL_MINOR}, which this page is`,
    `cut to ${number(UNREADABLE_REASON_CHARACTERS_MAX)} characters`,
  ]) {
    assert.ok(page.includes(sentence), sentence);
  }
});

test.run();
