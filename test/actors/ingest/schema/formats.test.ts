import { test } from "uvu";
import * as assert from "uvu/assert";
import { TEXT_FORMATS } from "../../../../actors/ingest/schema/formats.ts";
import { COSTLY_FORMATS } from "../../../../bench/support/costly_values.ts";

const CASES: Readonly<Record<string, { readonly valid: readonly string[]; readonly invalid: readonly string[] }>> = {
  date: {
    valid: ["2024-02-29", "0000-02-29"],
    invalid: ["2026-02-30", "2023-02-29", "1900-02-29", "2026-13-01", "2026-1-1"],
  },
  time: {
    valid: ["10:00:00Z", "23:59:60Z", "15:59:60-08:00", "10:00:00.123456789+01:00"],
    invalid: ["24:00:00Z", "10:00:00", "22:59:60Z", "10:60:00Z", "10:00:00+0100", "10:00:00.Z"],
  },
  "date-time": {
    valid: ["2026-12-01T10:00:00Z", "2026-12-01t10:00:00z", "2026-12-01 10:00:00.5-01:30", "2016-12-31T23:59:60Z"],
    invalid: [
      ...["2026-02-30T00:00:00Z", "2026-12-01T24:00:00Z", "2026-12-01T10:00:00", "2026-12-01", "2026-12-15T23:59:60Z"],
      ...["2026-12-01T10:00:00+24:00", "2026-12-01T10:00Z", "yesterday"],
    ],
  },
  duration: { valid: ["P1Y2M3DT4H5M6S", "PT1M", "P3W"], invalid: ["P", "PT", "P1", "1D", "P1W2D"] },
  uri: {
    valid: ["https://example.org:80/a?b=c#d", "urn:isbn:1", "http://[::1]/", "mailto:a@b.org", "http://user:pw@host/"],
    invalid: ["//host", "a b:c", "http://a b", "http://[::g]/", "http://host:port/", "http://%zz/", "https://é.org"],
  },
  "uri-reference": { valid: ["/a", "a/b:c", "#x", "", "?q"], invalid: ["a:b c", "\\\\host", "#a\\b"] },
  "uri-template": { valid: ["/a/{b}", "{?x,y*}", "{+path:3}"], invalid: ["{", "{a b}", "}{", "<a>"] },
  url: { valid: ["https://example.org/a"], invalid: ["mailto:a@b.org", "http:/host"] },
  email: { valid: ["a.b+c@example.org"], invalid: ["a@", "@b", ".a@b.org", "a..b@c.org", "a b@c.org"] },
  hostname: { valid: ["example.org", "a-1"], invalid: ["", "-a", "a_b", "a..b", `${"a".repeat(64)}.org`] },
  ipv4: { valid: ["0.0.0.0", "255.1.2.3"], invalid: ["256.0.0.1", "01.0.0.1", "1.2.3", "1.2.3.4.5"] },
  ipv6: {
    valid: ["::", "::1", "1::", "1:2:3:4:5:6:7:8", "::ffff:1.2.3.4"],
    invalid: ["1", ":::", "1::2::3", "12345::", "1:2:3:4:5:6:7:8:9", "::1.2.3"],
  },
  regex: { valid: ["^a+$"], invalid: ["(", "\\Z", "a".repeat(1_001)] },
  uuid: {
    valid: ["2EB8AA08-aa98-11ea-b4aa-73b441d16380"],
    invalid: ["2eb8aa08-aa98-11ea-b4aa", "2eb8aa08aa9811eab4aa73b441d16380"],
  },
  "json-pointer": { valid: ["", "/a~0b~1c"], invalid: ["a", "/~2", "/~"] },
  "relative-json-pointer": { valid: ["0", "1/a", "2#"], invalid: ["-1", "01", "/a", "1/~"] },
  byte: { valid: ["", "YQ=="], invalid: ["YQ", "Y*=="] },
};

for (const [name, { valid, invalid }] of Object.entries(CASES)) {
  test(`format ${name} takes its texts and refuses others`, () => {
    const format = TEXT_FORMATS.get(name);
    assert.ok(format);
    for (const text of valid) assert.ok(format?.isValid(text), `${text} is valid`);
    for (const text of invalid) {
      assert.not(text.length <= (format?.charactersMax ?? 0) && format?.isValid(text), `${text} is not`);
    }
  });
}

test("every format has a bound on its characters, and a costly text of 1 MiB for the benchmark", () => {
  const withoutRules = new Set(["password", "binary"]);
  for (const [name, { charactersMax }] of TEXT_FORMATS) {
    assert.ok(charactersMax <= 1_048_576, name);
    assert.ok(withoutRules.has(name) || name in COSTLY_FORMATS, name);
  }
});

test.run();
