import { test } from "uvu";
import * as assert from "uvu/assert";
import { faultOfHeaders, headerIn, mergeHeaders } from "../../../../actors/sinks/http/http_headers.ts";

test("a header of the sink or of the connection is refused in upper or lower case; its name is told, and its value is not", () => {
  const names =
    "Host,Content-Length,Transfer-Encoding,Connection,Keep-Alive,Proxy-Connection,Upgrade,Expect,TE,Trailer";
  for (const name of `${names},Content-Encoding,Idempotency-Key,traceparent`.split(",")) {
    for (const written of [name, name.toLowerCase(), name.toUpperCase()]) {
      const fault = faultOfHeaders({ "x-a": "1", [written]: "sekret" }) ?? "none";
      assert.match(fault, `'headers' must leave ${name.toLowerCase()} to the sink`);
      assert.match(fault, `it holds '${written}'`);
      assert.not.match(fault, "sekret");
    }
  }
});

test("a header named twice in different case is refused", () => {
  assert.match(faultOfHeaders({ "X-Key": "1", "x-key": "2" }) ?? "", "it holds 'X-Key' and 'x-key'");
});

test("any other header is accepted", () => {
  const free = { "Content-Type": "a/b", Authorization: "s", Accept: "*/*", "User-Agent": "u", constructor: "1" };
  assert.is(faultOfHeaders(free), undefined);
});

test("headers merge without regard to case, and the sink's win", () => {
  const merged = mergeHeaders({ "X-A": "1", "X-B": "2" }, { "x-a": "3" });
  assert.equal(merged, { "x-a": "3", "x-b": "2" });
  assert.is(headerIn({ "CONTENT-type": "a/b" }, "content-type"), "a/b");
  assert.is(headerIn({}, "content-type"), undefined);
});

test.run();
