/** The page as a person sees it: in a real browser, against a real node. */
import type { Browser, BrowserContextOptions, Locator, Page } from "playwright-core";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Event, eventJson, jsonEvent, partitionOfKey } from "../../protocols/mod.ts";
import { launchChromium, skipWithoutChromium } from "../support/processes/chromium.ts";
import { nodeOfEachTest, runningNode, type TestNode } from "../support/processes/running_node.ts";

skipWithoutChromium("the page is checked");

const YAML = `
log: { type: memory }
streams:
  orders:
    partitions: 2
    key: /customer
    durability: memory
    schema:
      type: object
      required: [customer, amount]
      properties: { customer: { type: string }, amount: { type: number, minimum: 0 } }
  host_metrics: { partitions: 1, durability: memory }
sources: { this_machine: { type: host_metrics, stream: host_metrics, everyMs: 200 } }
pipelines: { keep: { from: orders, to: [archive] } }
sinks: { archive: { type: file, directory: archive, format: ndjson } }
`;

/** Milliseconds within which an element must appear: a broken page then fails before the file's own limit. */
const SEEN_WITHIN_MS = 12_000;

const node = nodeOfEachTest(test, YAML);
let browser: Browser;

/** Each node has one record of orders and one event set aside. */
test.before.each(async () => {
  const response = await fetch(`${node.address}/v1/streams/orders/events`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify([
      { customer: "Blaise", amount: 1 },
      { customer: "Nobody", amount: -1 },
    ]),
  });
  assert.is(response.status, 200);
});

test.before(async () => {
  browser = await launchChromium();
});

test.after(() => browser?.close());

/** Opens the page, hands it to `look`, and fails where the page logged an error or sent a request to another host. */
async function withPage(
  look: (page: Page) => Promise<void>,
  options: BrowserContextOptions & { readonly of?: TestNode } = {},
): Promise<void> {
  const { of: shown = node, ...contextOptions } = options;
  const context = await browser.newContext({
    viewport: { width: 1_400, height: 1_000 },
    ...contextOptions,
  });
  context.setDefaultTimeout(SEEN_WITHIN_MS);
  const page = await context.newPage();
  const complaints: string[] = [];
  const addresses: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("request", (request) => addresses.push(request.url()));
  page.on("websocket", (socket) => addresses.push(socket.url()));
  try {
    await page.goto(shown.address);
    await look(page);
  } finally {
    await context.close();
  }
  assert.equal(complaints, []);
  const elsewhere = addresses.filter((address) => new URL(address).host !== new URL(shown.address).host);
  assert.equal(elsewhere, []);
  assert.ok(addresses.some((address) => address.startsWith("ws://") && address.endsWith("/v1/connect")));
}

/** Chooses the stream, lets the page fill in its newest event to begin from, and sends another. */
async function sendOrder(page: Page, event: object): Promise<void> {
  await page.selectOption("#send-stream", "orders");
  await page.waitForFunction(() => document.querySelector("textarea")?.value.includes('"customer"'));
  await page.fill("#send-event", JSON.stringify(event));
  await page.click("#send button[type=submit]");
}

const textOf = async (locator: Locator): Promise<string> => (await locator.textContent()) ?? "";

test("the page opens without errors and without requests elsewhere, and is live over the public WebSocket", async () => {
  await withPage(async (page) => {
    await page.getByText("Live", { exact: true }).waitFor();
    assert.is(await page.title(), "Headrace");
    for (const id of ["rate", "latency", "machine", "records", "send", "rejected", "sinks", "partitions"]) {
      await page.locator(`section#${id} h2`).waitFor();
    }
  });
});

test("records appear as they become durable, and a record opens to show all its fields", async () => {
  await withPage(async (page) => {
    await page.getByText("Live", { exact: true }).waitFor();
    const producer = node.producer({ producerId: "page-test", stream: "orders" });
    await producer.send({ customer: "Ada", amount: 12.5 });
    await producer.close();
    const row = page.locator("#records tbody tr", { hasText: "Ada" }).first();
    await row.waitFor();
    await row.locator("summary").press("Enter");
    await row.getByText("producer page-test").waitFor();
  });
});

test("records from before the page was opened are shown too", async () => {
  await withPage(async (page) => {
    await page.locator("#records tbody tr", { hasText: "Blaise" }).first().waitFor();
  });
});

test("an event sent from the page is stored, and shown", async () => {
  await withPage(async (page) => {
    await page.locator("#records tbody tr").first().waitFor();
    await sendOrder(page, { customer: "Grace", amount: 7 });
    await page.getByText(/Stored durably in orders\/[01]/).waitFor();
    await page.locator("#records tbody tr", { hasText: "Grace" }).first().waitFor();
  });
});

test("an event that fails its schema is shown with its code, path, reason and content", async () => {
  await withPage(async (page) => {
    await page.locator("#records tbody tr").first().waitFor();
    await sendOrder(page, { customer: "Mallory", amount: -5 });
    await page.getByText(/SCHEMA_VIOLATION \/amount/).waitFor();
    const letter = page.locator("#rejected li", { hasText: "Mallory" });
    await letter.waitFor();
    const text = await textOf(letter);
    assert.match(text, /SCHEMA_VIOLATION/);
    assert.match(text, /\/amount/);
    assert.match(text, />= 0/);
    assert.match(text, /"amount":-5/);
  });
});

test("text that is no JSON object is refused with a reason, and not sent", async () => {
  await withPage(async (page) => {
    await page.fill("#send-event", "[1, 2]");
    await page.click("#send button[type=submit]");
    await page.getByText(/as it must be a map/).waitFor();
  });
});

test("a draft that comes late does not replace the text that was typed meanwhile", async () => {
  await withPage(async (page) => {
    await page.locator("#records tbody tr").first().waitFor();
    let letGo: () => void = () => {};
    const held = new Promise<void>((resolve) => (letGo = resolve));
    const asked = page.waitForRequest(/\/v1\/streams\/orders\/partitions/);
    await page.route(/\/v1\/streams\/orders\/partitions/, async (route) => {
      await held;
      await route.continue();
    });
    await page.selectOption("#send-stream", "orders");
    await asked;
    await page.fill("#send-event", '{"customer":"Trent","amount":3}');
    const answered = page.waitForResponse(/\/v1\/streams\/orders\/partitions/);
    letGo();
    await (await answered).finished();
    await page.click("#send button[type=submit]");
    await page.locator("#records tbody tr", { hasText: "Trent" }).first().waitFor();
    assert.is(await page.inputValue("#send-event"), '{"customer":"Trent","amount":3}');
  });
});

test("every typed value is stored unchanged, and offered again unchanged", async () => {
  const typed =
    '{"customer":"Eve","amount":1e+20,"whole":9007199254740993,"at":{"$time":"2026-12-01T10:00:00.123456Z"},"bytes":{"$bytes":"AP8="},"zero":-0}';
  await withPage(async (page) => {
    await page.locator("#records tbody tr").first().waitFor();
    await page.selectOption("#send-stream", "orders");
    await page.fill("#send-event", typed);
    await page.click("#send button[type=submit]");
    await page.getByText(/Stored durably in orders/).waitFor();
  });
  const sent = jsonEvent(typed);
  const partition = partitionOfKey("Eve", 2);
  const path = `${node.address}/v1/streams/orders/partitions/${partition}/records`;
  const { records } = jsonEvent(await (await fetch(path)).text());
  const stored = (records as readonly { readonly event: Event }[]).map(({ event }) => event);
  assert.equal(stored.find(({ customer }) => customer === "Eve") ?? stored, sent);
  assert.equal(jsonEvent(eventJson(sent)), sent);
});

test("rate, ack latency, lag and this machine's readings are numbers within seconds", async () => {
  await withPage(async (page) => {
    const figure = (name: string) => page.locator(".figure", { hasText: name }).locator("strong");
    await page.waitForFunction(() => {
      const [rate, latency] = [...document.querySelectorAll(".figure strong")].map((one) => one.textContent ?? "");
      return Number(rate?.replace(",", "")) > 0 && /\d ms/.test(latency ?? "");
    });
    assert.match(await textOf(figure("Sink lag")), /^\d+$/);
    const sink = page.locator("#sinks tbody tr", { hasText: "archive" });
    assert.match(await textOf(sink), /delivering/);
    assert.is(await textOf(sink.locator("td.number").first()), "0");
    await page.locator("#machine .tile", { hasText: "Processor" }).locator("strong", { hasText: "%" }).waitFor();
    await page.locator("#machine path.spark-line").first().waitFor({ state: "attached" });
    await page.locator("#rate canvas").waitFor();
  });
});

test("a stream opens by keyboard to show each partition's owner, offsets and epoch", async () => {
  await withPage(async (page) => {
    const button = page.locator("#partitions .disclosure", { hasText: "orders" });
    await button.press("Enter");
    assert.is(await button.getAttribute("aria-expanded"), "true");
    assert.is(await page.locator("#partitions tr.partition").count(), 2);
    assert.match(await textOf(page.locator("#partitions tr.partition").first()), /test.*\d+–\d+/s);
  });
});

test("light and dark differ, and keep text readable on its ground", async () => {
  const grounds: string[] = [];
  for (const colorScheme of ["light", "dark"] as const) {
    await withPage(
      async (page) => {
        await page.locator("#rate canvas").waitFor();
        const [ground, text] = await page.evaluate(() => {
          const { backgroundColor, color } = getComputedStyle(document.body);
          return [backgroundColor, color];
        });
        grounds.push(ground ?? "");
        assert.ok(contrast(ground ?? "", text ?? "") > 7);
      },
      { colorScheme },
    );
  }
  assert.is.not(grounds[0], grounds[1]);
});

/** WCAG 2: relative luminance of both, lighter over darker. */
function contrast(left: string, right: string): number {
  const [dark = 0, light = 0] = [left, right].map(luminance).sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

function luminance(color: string): number {
  const [red = 0, green = 0, blue = 0] = [...color.matchAll(/\d+/g)].map(([part]) => {
    const share = Number(part) / 255;
    return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

for (const width of [320, 390, 768, 1_920]) {
  test(`no element is wider than the page at a width of ${width}`, async () => {
    await withPage(
      async (page) => {
        await page.locator("#records tbody tr").first().waitFor();
        await page.locator("#rejected li").first().waitFor();
        const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        assert.ok(over <= 0, `${over} px too wide`);
      },
      { viewport: { width, height: 900 } },
    );
  });
}

test("while the node is gone the page says so and keeps trying", async () => {
  const mortal = await runningNode("log: { type: memory }\nstreams: { events: { durability: memory } }\n");
  const context = await browser.newContext();
  context.setDefaultTimeout(SEEN_WITHIN_MS);
  const page = await context.newPage();
  await page.goto(mortal.address);
  await page.getByText("Live", { exact: true }).waitFor();
  assert.equal(await mortal.end(), []);
  await page.getByText("Reconnecting", { exact: true }).waitFor();
  await context.close();
});

test("where the node asks for a token the page has a form, shows a refusal, and keeps the token out of the address", async () => {
  const guarded = await runningNode(
    `
log: { type: memory }
streams: { events: { durability: memory } }
security: { tokens: [{ name: operator, valueEnv: PAGE_TOKEN, scopes: [admin] }] }
`,
    { secrets: { PAGE_TOKEN: "the-right-token-1" } },
  );
  const context = await browser.newContext();
  context.setDefaultTimeout(SEEN_WITHIN_MS);
  const page = await context.newPage();
  await page.goto(guarded.address);
  await page.getByLabel("This node asks for a token").fill("a wrong one");
  await page.keyboard.press("Enter");
  await page.getByRole("alert").waitFor();
  await page.getByLabel("This node asks for a token").fill("the-right-token-1");
  await page.getByRole("button", { name: "Connect" }).click();
  await page.getByText("Live", { exact: true }).waitFor();
  await page.click("#send button[type=submit]");
  await page.getByText(/Stored durably in events/).waitFor();
  assert.is(new URL(page.url()).search, "");
  assert.is(await page.evaluate(() => localStorage.length), 0);
  await page.getByRole("button", { name: "forget token" }).click();
  await page.getByLabel("This node asks for a token").waitFor();
  await context.close();
  assert.equal(await guarded.end(), []);
});

test("the files forbid inline and foreign content, and are sent again only where they have changed", async () => {
  const page = await fetch(node.address);
  assert.match(page.headers.get("content-security-policy") ?? "", /default-src 'none'; script-src 'self'/);
  assert.is(page.headers.get("cache-control"), "no-store");
  assert.is(page.headers.get("x-content-type-options"), "nosniff");
  const script = await fetch(`${node.address}/dashboard.js`);
  const text = await script.text();
  assert.not.match(text, /["'`]node:/);
  const etag = script.headers.get("etag") ?? "";
  const again = await fetch(`${node.address}/dashboard.js`, { headers: { "if-none-match": etag } });
  assert.is(again.status, 304);
});

test.run();
