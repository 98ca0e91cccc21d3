// biome-ignore-all lint/suspicious/noTemplateCurlyInString: a configuration names variables this way
import { test } from "uvu";
import * as assert from "uvu/assert";
import { clearSecrets } from "../../../../supervisors/security/secrets/clear_secrets.ts";

const found = (value: unknown) => clearSecrets(value, (path) => path.length).map(({ path }) => path);

test("passwords, tokens and keys in clear text are found with their place", () => {
  assert.equal(
    found({
      log: { url: "redis://user:pass@10.0.0.5", sentinel: { password: "pw" } },
      sinks: {
        a: {
          url: "https://hooks.example/services/T0ABCDEFG/B0ABCDEFG/x1y2z3x1y2z3x1y2z3x1y2z3",
          headers: { Authorization: "Bearer x" },
        },
        b: { url: "https://in.example/v1?api_key=123", headers: { "X-Api-Key": "123", cookie: "a=b" } },
        c: { list: ["ghp_0123456789"] },
      },
    }),
    [
      "/log/url",
      "/log/sentinel/password",
      "/sinks/a/url",
      "/sinks/a/headers/Authorization",
      "/sinks/b/url",
      "/sinks/b/headers/X-Api-Key",
      "/sinks/b/headers/cookie",
      "/sinks/c/list/0",
    ],
  );
});

test("names of variables and files, and texts that are no secrets, cause no warning", () => {
  assert.equal(
    found({
      log: { url: "redis://user:${PASSWORD}@10.0.0.5", sentinel: { password: { valueEnv: "PASSWORD" } } },
      security: { tokens: [{ name: "edge", valueFile: "edge.token" }], jwt: { secretEnv: "JWT" } },
      sinks: { a: { url: "https://in.example/v1/events", headers: { authorization: "Bearer ${TOKEN}", accept: "x" } } },
      streams: { tokens: { key: "/token" } },
      pipelines: { p: { steps: [{ map: { token: "event.token" } }] } },
    }),
    [],
  );
});

test.run();
