import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { test } from "uvu";
import * as assert from "uvu/assert";

test("the clients bundle for browsers, without Node's modules and globals", async () => {
  const { outputFiles, warnings } = await build({
    entryPoints: [fileURLToPath(new URL("../../../protocols/mod.ts", import.meta.url))],
    bundle: true,
    platform: "browser",
    format: "esm",
    target: "es2022",
    write: false,
    logLevel: "silent",
  });
  const text = outputFiles[0]?.text ?? "";
  assert.ok(text.includes("headrace.v1.msgpack"));
  assert.not.match(text, /["'`]node:/);
  assert.not.match(text, /\brequire\(["']/);
  assert.equal(warnings, []);
});

test.run();
