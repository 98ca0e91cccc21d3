import { test } from "uvu";
import * as assert from "uvu/assert";
import { connectionWords, type ToldState } from "../../dashboard/connection_words.ts";
import { formatTime } from "../../dashboard/format.ts";

const NOW_MS = Date.UTC(2026, 0, 1, 12, 0, 0);
const told = (state: Partial<ToldState>): ToldState => ({
  state: "online",
  address: "ws://node/v1/connect",
  attempt: 0,
  nextTryMs: undefined,
  lastError: undefined,
  atMs: NOW_MS,
  ...state,
});

test("a live connection has the word live, unless the node no longer answers over HTTP", () => {
  assert.equal(connectionWords(told({}), undefined), { tone: "online", word: "Live", detail: undefined });
  const problem = "Cannot read /v1/streams as the node must answer within 4000 ms";
  assert.equal(connectionWords(told({}), problem), { tone: "silent", word: "No answer", detail: problem });
});

test("a connection that waits tells the attempt, the time of the next try and the reason", () => {
  const lastError = new Error("Cannot reach the node");
  const { word, detail } = connectionWords(told({ state: "waiting", attempt: 3, nextTryMs: 5_000, lastError }), "x");
  assert.is(word, "Reconnecting");
  assert.is(detail, `attempt 4 at ${formatTime(NOW_MS + 5_000)}: Cannot reach the node`);
});

test("a silent connection tells its time of silence, and an ended one its reason", () => {
  const silent = connectionWords(told({ state: "silent", lastError: new Error("said nothing") }), undefined);
  assert.equal([silent.word, silent.detail], ["No answer", `since ${formatTime(NOW_MS)}: said nothing`]);
  const closed = connectionWords(told({ state: "closed", lastError: new Error("expired") }), undefined);
  assert.equal([closed.word, closed.detail], ["Disconnected", "expired"]);
});

test("the first attempt connects, a later one reconnects", () => {
  assert.is(connectionWords(undefined, undefined).word, "Connecting");
  assert.is(connectionWords(told({ state: "connecting", attempt: 1 }), undefined).word, "Connecting");
  const again = told({ state: "connecting", attempt: 2, lastError: new Error("down") });
  assert.equal(connectionWords(again, undefined), {
    tone: "connecting",
    word: "Reconnecting",
    detail: "attempt 2: down",
  });
});

test.run();
