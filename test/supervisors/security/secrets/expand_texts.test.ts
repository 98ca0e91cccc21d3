// biome-ignore-all lint/suspicious/noTemplateCurlyInString: a configuration names variables this way
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { expandTexts } from "../../../../supervisors/security/secrets/expand_texts.ts";
import { HIDDEN, HiddenTexts } from "../../../../supervisors/security/secrets/hidden_texts.ts";

const folder = await mkdtemp(join(tmpdir(), "headrace-secrets-"));
const VARIABLES: Readonly<Record<string, string>> = { TOKEN: "sekret-of-the-test", EMPTY: "", HOST: "hooks.example" };

async function expand(value: unknown) {
  const hidden = new HiddenTexts();
  const lineAt = (path: readonly (string | number)[]) => path.length;
  const expanded = await expandTexts(value, { variable: (name) => VARIABLES[name], folder, lineAt, hidden });
  return { ...expanded, hidden };
}

test("a variable is put into any text, as often as it is named, and two dollars stand for one", async () => {
  const { value, problems } = await expand({
    sinks: { o: { headers: { authorization: "Bearer ${TOKEN}" }, list: ["${TOKEN}${TOKEN}", 7, null, true] } },
    pipelines: { p: { steps: [{ filter: 'event.text == "$${TOKEN}" && "$5" == "${EMPTY}"' }] } },
  });
  assert.equal(problems, []);
  assert.equal(value, {
    sinks: {
      o: {
        headers: { authorization: "Bearer sekret-of-the-test" },
        list: ["sekret-of-the-testsekret-of-the-test", 7, null, true],
      },
    },
    pipelines: { p: { steps: [{ filter: 'event.text == "${TOKEN}" && "$5" == ""' }] } },
  });
});

test("a value that was put in is not expanded again", async () => {
  const hidden = new HiddenTexts();
  const expansion = { variable: () => "$& $1 ${TOKEN} $${", folder, lineAt: () => 1, hidden };
  assert.is((await expandTexts("<${ANY}>", expansion)).value, "<$& $1 ${TOKEN} $${>");
});

test("an unset variable and an invalid name are problems with their line", async () => {
  const { problems } = await expand({
    log: { url: "redis://${ABSENT}" },
    sinks: { a: { url: "${TOKEN:-x}", b: "${" } },
  });
  assert.equal(
    problems.map(({ line, path, reason }) => [line, path, reason.slice(0, 33)]),
    [
      [2, "/log/url", "variable ABSENT must be set: it i"],
      [3, "/sinks/a/url", "${ must begin the name of a varia"],
      [3, "/sinks/a/b", "${ must begin the name of a varia"],
    ],
  );
});

test("a map of valueEnv or valueFile stands for a text of the log, a source or a sink, and of no other section", async () => {
  await writeFile(join(folder, "password"), "from a file\n");
  const map = { valueEnv: "TOKEN" };
  const { value, problems, filled } = await expand({
    log: { sentinel: { password: { valueFile: "password" } } },
    sinks: { o: { url: map, both: { valueEnv: "TOKEN", other: 1 } } },
    pipelines: { p: { steps: [{ map }] } },
  });
  assert.equal(problems, []);
  assert.equal(value, {
    log: { sentinel: { password: "from a file" } },
    sinks: { o: { url: "sekret-of-the-test", both: { valueEnv: "TOKEN", other: 1 } } },
    pipelines: { p: { steps: [{ map }] } },
  });
  assert.equal([...filled].sort(), ["/log/sentinel/password", "/sinks/o/url"]);
});

test("a missing file and an empty secret are problems", async () => {
  const { problems } = await expand({
    sinks: { a: { url: { valueFile: "absent" } }, b: { url: { valueEnv: "EMPTY" } } },
  });
  assert.match(String(problems.find(({ path }) => path === "/sinks/a/url")?.reason), /valueFile cannot be read/);
  assert.match(String(problems.find(({ path }) => path === "/sinks/b/url")?.reason), /valueEnv EMPTY must hold 1 to/);
});

test("values of variables and files are hidden in any form, and addresses except their host", async () => {
  const { hidden } = await expand({
    sinks: {
      a: { url: "https://${HOST}/services/${TOKEN}?key=1", headers: { authorization: "Bearer ${TOKEN}" } },
      b: { url: "https://user:pass%20word@plain.example:8443/a/path" },
    },
  });
  const told = "POST https://hooks.example/services/sekret-of-the-test?key=1 with Bearer sekret-of-the-test";
  assert.is(hidden.hide(told), `POST https://hooks.example/${HIDDEN} with Bearer ${HIDDEN}`);
  assert.is(hidden.hide("at plain.example:8443/a/path"), `at plain.example:8443/${HIDDEN}`);
  const said = hidden.hide("https://user:pass%20word@plain.example:8443/a/path: user:pass%20word@ and pass word");
  assert.not.match(said, /pass|user|\/a\/path/);
  assert.match(said, /plain\.example:8443/);
  assert.is(hidden.hide("the node listens on 127.0.0.1"), "the node listens on 127.0.0.1");
  assert.is(JSON.stringify({ hidden }), `{"hidden":"${HIDDEN}"}`);
});

test("secrets are hidden in an error, its cause and its stack, and it stays the same error", async () => {
  const { hidden } = await expand({ sinks: { a: { key: "${TOKEN}" } } });
  const error = new Error("failed with sekret-of-the-test", { cause: new Error("at sekret-of-the-test") });
  assert.is(hidden.hideInError(error), error);
  assert.not.match(`${error.message} ${error.stack} ${(error.cause as Error).stack}`, /sekret/);
});

test.after(() => rm(folder, { recursive: true, force: true }));

test.run();
