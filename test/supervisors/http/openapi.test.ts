import { test } from "uvu";
import * as assert from "uvu/assert";
import { OPENAPI } from "../../../supervisors/http/openapi.ts";
import { PAGE_FILE_NAMES } from "../../../supervisors/http/page_files.ts";
import { runningNode } from "../../support/processes/running_node.ts";

const inOpenApi = Object.entries(OPENAPI.paths).flatMap(([path, operations]) =>
  Object.keys(operations).map((method) => `${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ":$1")}`),
);

test("every route that a node mounts is described, and nothing else is", async () => {
  const node = await runningNode("log: { type: memory }\nstreams: {}\n");
  // The page's own files are no part of the API.
  const files = new Set(["GET /", ...PAGE_FILE_NAMES.map((name) => `GET /${name}`)]);
  const api = node.routes.filter((route) => !route.endsWith("/*") && !files.has(route));
  assert.equal([...inOpenApi].sort(), [...api].sort());
  const served = (await (await fetch(`${node.address}/openapi.json`)).json()) as typeof OPENAPI;
  assert.equal(served, JSON.parse(JSON.stringify(OPENAPI)));
  await node.end();
});

test("every reference names a schema that is there", () => {
  const names = [...JSON.stringify(OPENAPI).matchAll(/#\/components\/schemas\/(\w+)/g)].map(([, name]) => name);
  for (const name of names) assert.ok(Object.hasOwn(OPENAPI.components.schemas, String(name)), name);
  assert.ok(names.length > 0);
});

test.run();
