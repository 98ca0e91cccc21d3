import { chmod, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { exposuresOf, makeDataFolder } from "../../../../supervisors/security/access/exposures.ts";
import { configurationOf } from "../../../support/processes/running_node.ts";

const folder = await mkdtemp(join(tmpdir(), "headrace-exposures-"));
const data = join(folder, "data");
const reasons = async (yaml: string): Promise<string> =>
  (await exposuresOf(await configurationOf(yaml, folder)))
    .map(({ path, reason }) => `${path.join(".")}: ${reason}`)
    .join("\n");

test("a data folder is made readable by its owner alone, and a wider mode gets a warning", async () => {
  await makeDataFolder(data);
  assert.is((await stat(data)).mode & 0o777, 0o700);
  assert.is(await reasons("streams: {}"), "");
  await chmod(data, 0o755);
  assert.match(await reasons("streams: {}"), /^node\.data: .* should be 0700, current value is 0755$/);
  await chmod(data, 0o700);
});

test("a secret's file that others may read gets a warning, which names these users", async () => {
  const file = join(folder, "edge.token");
  const yaml = `security: { tokens: [{ name: edge, valueFile: ${file}, scopes: [admin] }] }`;
  await writeFile(file, "a token of the test", { mode: 0o600 });
  assert.is(await reasons(yaml), "");
  await chmod(file, 0o640);
  assert.match(await reasons(yaml), /^security\.tokens\.0: its group may use .* 0640$/);
  await chmod(file, 0o644);
  assert.match(await reasons(yaml), /^security\.tokens\.0: every user of this machine may use .* 0644$/);
});

test("tokens and secret headers that travel beyond loopback without TLS get a warning", async () => {
  const tokens = "security: { tokens: [{ name: edge, valueEnv: EDGE, scopes: [admin] }] }";
  assert.is(await reasons(tokens), "");
  assert.match(
    await reasons(`node: { host: 0.0.0.0 }\n${tokens}`),
    /^security: tokens travel in clear text to 0\.0\.0\.0/,
  );
  const sink = (url: string, header = "Authorization") =>
    `sinks: { o: { type: http, url: "${url}", headers: { ${header}: "Bearer x" } } }`;
  assert.match(
    await reasons(sink("http://in.example/x")),
    /^sinks\.o\.url: header Authorization travels in clear text to in\.example/,
  );
  for (const header of ["Proxy-Authorization", "api-key", "X-Api-Key", "X-Auth-Token", "Cookie"])
    assert.match(await reasons(sink("http://in.example/x", header)), new RegExp(`header ${header} travels`));
  assert.is(await reasons(sink("http://in.example/x", "Accept")), "");
  for (const url of ["https://in.example/x", "http://127.0.0.1:9/x"]) assert.is(await reasons(sink(url)), "");
});

test.after(() => rm(folder, { recursive: true, force: true }));

test.run();
