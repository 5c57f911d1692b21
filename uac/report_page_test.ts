import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { reportPage } from "./report_page.ts";
import { Series } from "./series.ts";
import { ignore, Page, why } from "./test_chromium.ts";
import { TestNetwork } from "./test_network.ts";
import { BUILTIN } from "./builtin.ts";
import { loadScenario } from "./files_io.ts";

const LOCAL = { host: "192.0.2.1", port: 5060 };
const REMOTE = { host: "192.0.2.2", port: 5060 };

/** A run of five seconds over a network that loses messages. */
function page(): string {
  const network = new TestNetwork(3, { loss: 0.05, delay: [1, 40] });
  network.engine({ scenario: loadScenario(BUILTIN.uas, "uas"), local: REMOTE });
  const scenario = { ...loadScenario(BUILTIN.uac, "uac"), name: 'A <b>"caller"</b> & more' };
  const caller = network.engine({ scenario, local: LOCAL, remote: REMOTE, rate: 100, calls: 500 });
  const series = new Series(caller);
  for (let second = 1; second <= 6; second++) {
    const until = caller.startedAt + second * 1000;
    network.run(() => network.now >= until, until - network.now);
    series.sample(Math.max(until, network.now));
  }
  network.run(() => caller.done);
  return reportPage({
    report: caller.report(network.now),
    points: series.points,
    histogram: caller.statistics.timers[0].distribution(),
    startedAt: 0,
    address: "192.0.2.2:5060",
    cpuUsPerCall: 12.3,
    cpuPercent: 4,
  });
}

Deno.test("report: names are escaped, and nothing is fetched", () => {
  const html = page();
  assertStringIncludes(html, "A &#60;b&#62;&#34;caller&#34;&#60;/b&#62; &#38; more");
  assert(!/<b>|<script|https?:|url\(|@import|NaN|undefined|Infinity/.test(html));
});

/** Contrast of two colours "rgb(r, g, b)" by WCAG 2. */
function contrast(a: string, b: string): number {
  const luminance = (colour: string) => {
    const [r, g, b] = colour.match(/\d+/g)!.slice(0, 3).map((part) => {
      const c = Number(part) / 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
}

Deno.test({
  name: `report in Chromium: offline, by day and night, narrow and on paper${why}`,
  ignore,
  async fn() {
    const file = await Deno.makeTempFile({ suffix: ".html" });
    await Deno.writeTextFile(file, page());
    const browser = await Page.open();
    try {
      await browser.send("Network.emulateNetworkConditions", {
        offline: true,
        latency: 0,
        downloadThroughput: 0,
        uploadThroughput: 0,
      });
      await browser.load(`file://${file}`);
      const of = (name: string) => browser.events.filter(({ method }) => method === name);
      assertEquals(of("Network.requestWillBeSent").map(({ params }) => params.request.url), [
        `file://${file}`,
      ]);
      assertEquals([of("Runtime.exceptionThrown"), of("Log.entryAdded")], [[], []]);

      assertEquals(await browser.evaluate("document.querySelectorAll('svg').length"), 3);
      assertEquals(
        await browser.evaluate("[...document.querySelectorAll('h2')].map((h) => h.textContent)"),
        ["Rate and failures", "Latency", "Messages", "Authentication"],
      );
      // What is drawn lies within its chart.
      assertEquals(
        await browser.evaluate(
          `[...document.querySelectorAll('svg')].every((svg) => { const box = svg.getBoundingClientRect();
            return box.height > 100 && [...svg.children].every((child) => { const it = child.getBoundingClientRect();
              return it.left >= box.left - 1 && it.right <= box.right + 1 && it.bottom <= box.bottom + 1; }); })`,
        ),
        true,
      );
      const colours = `(() => { const page = getComputedStyle(document.body).backgroundColor;
        const all = (query) => [...document.querySelectorAll(query)].map((e) => getComputedStyle(e));
        return { page, texts: [...all('h1, p, td, th, figcaption, li, summary').map((s) => s.color),
          ...all('.tick').map((s) => s.fill)], lines: [...all('.line').map((s) => s.stroke), ...all('rect').map((s) => s.fill)] }; })()`;
      interface Colours {
        readonly page: string;
        readonly texts: readonly string[];
        readonly lines: readonly string[];
      }
      const pages: string[] = [];
      for (const [media, scheme] of [["screen", "light"], ["screen", "dark"], ["print", "dark"]]) {
        await browser.send("Emulation.setEmulatedMedia", {
          media,
          features: [{ name: "prefers-color-scheme", value: scheme }],
        });
        const { page, texts, lines } = await browser.evaluate<Colours>(colours);
        pages.push(page);
        for (const text of texts) {
          assert(contrast(text, page) >= 4.5, `${media} ${scheme}: ${text} on ${page}`);
        }
        for (const line of lines) assert(contrast(line, page) >= 3, `${media} ${scheme}: ${line} on ${page}`);
      }
      assertEquals(pages[0], "rgb(255, 255, 255)");
      assert(pages[1] !== pages[0]);
      assertEquals(pages[2], pages[0]);

      await browser.send("Emulation.setEmulatedMedia", { media: "screen", features: [] });
      await browser.send("Emulation.setDeviceMetricsOverride", {
        width: 360,
        height: 740,
        deviceScaleFactor: 1,
        mobile: true,
      });
      assertEquals(await browser.evaluate("document.documentElement.scrollWidth <= 360"), true);
      await browser.send("Emulation.clearDeviceMetricsOverride");
      const { data } = await browser.send<{ data: string }>("Page.printToPDF", {});
      assertStringIncludes(atob(data.slice(0, 16)), "%PDF-");
    } finally {
      await browser.close();
      await Deno.remove(file);
    }
  },
});
