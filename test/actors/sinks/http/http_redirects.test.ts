import { test } from "uvu";
import * as assert from "uvu/assert";
import { judgeRedirect, type RedirectOptions } from "../../../../actors/sinks/http/http_redirects.ts";

const URL = "https://a.example/in";

function judge(status: number, location: string | null, options?: RedirectOptions, followed = 0) {
  const redirect = judgeRedirect({ status, location }, URL, URL, followed, options);
  return redirect.kind === "follow" ? redirect : redirect.reason;
}

test("a redirect to the endpoint's own origin is followed, by a whole address or a path", () => {
  for (const location of ["/moved", "https://a.example/moved", "moved", "https://a.example:443/moved"])
    assert.equal(judge(308, location), { kind: "follow", url: "https://a.example/moved", isOwnOrigin: true });
});

test("another host, port or scheme is another origin", () => {
  for (const location of ["https://b.example/", "https://a.example:444/", "http://a.example/", "//b.example/"])
    assert.match(judge(307, location) as string, /redirects\.origins/);
  const named = { origins: ["https://b.example/"] };
  assert.equal(judge(307, "//b.example/x", named), { kind: "follow", url: "https://b.example/x", isOwnOrigin: false });
  assert.match(judge(307, "https://b.example.evil/", named) as string, /redirects\.origins/);
});

test("an invalid address, one that is not HTTP, and one with a password are not followed", () => {
  for (const location of [null, "https://", "file:///etc/passwd", "https://u:p@a.example/", "javascript:0"])
    assert.match(judge(307, location) as string, /must name an address/);
});

test("the number of redirects is bounded", () => {
  assert.match(judge(307, "/x", { max: 2 }, 2) as string, /'redirects\.max' = 2/);
  assert.match(judge(308, "/x", { max: 0 }) as string, /'redirects\.max' = 0/);
});

test("a redirect that would turn the post into a GET is not followed", () => {
  for (const status of [300, 301, 302, 303]) assert.match(judge(status, "/x") as string, /set 'url'/);
});

test.run();
