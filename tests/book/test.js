// test.js BOOK: tries the built book in a real browser, as a reader would: from
// disk, without a network. Prints a line "ok ..." or "not ok ..." for each
// thing that must hold of all pages, as the other proofs do.
"use strict";

const fs = require("fs");
const path = require("path");
const { pathToFileURL } = require("url");
const { chromium } = require("playwright-core");
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const book = path.resolve(process.argv[2]);
const pages = fs.readdirSync(book).filter((name) => name.endsWith(".html"));
const most_bytes = 300 * 1024;
const wrong = new Map(); // what must hold -> what was found instead

function must(what, found) {
    wrong.set(what, [...(wrong.get(what) || []), ...found]);
}

function address(page) {
    return pathToFileURL(path.join(book, page)).href;
}

// -- what every page must hold ---------------------------------------------------
const text_of = new Map(pages.map((page) =>
    [page, fs.readFileSync(path.join(book, page), "utf8")]));

function attributes(page, name) {
    return [...text_of.get(page).matchAll(new RegExp(` ${name}="([^"]+)"`, "g"))]
        .map((match) => match[1].replace(/&amp;/g, "&"));
}

const anchors = new Map(pages.map((page) => [page, new Set(attributes(page, "id"))]));

function dead_links(page) {
    return attributes(page, "href").filter((link) => {
        const [target, anchor] = link.split("#");
        if (/^(https?|data):/.test(link)) {
            return false;
        }
        const file = decodeURI(target) || page;
        const known = anchors.get(file);
        return known && anchor ? !known.has(decodeURIComponent(anchor)) :
            !fs.existsSync(path.join(book, file));
    }).map((link) => `${page}: ${link}`);
}

// In the browser.
function look_around() {
    const every = (selector) => [...document.querySelectorAll(selector)];
    return {
        broken: every("img").filter((img) => !img.complete || img.naturalWidth === 0)
            .map((img) => img.getAttribute("src")),
        silent: every("img").filter((img) => img.alt.trim().length < 20)
            .map((img) => img.getAttribute("src")),
        wide: document.scrollingElement.scrollWidth - innerWidth,
        cut: every("pre, .table").filter((block) => block.scrollWidth > block.clientWidth + 1)
            .map((block) => block.textContent.trim().slice(0, 30)),
    };
}

function weight(page) {
    const html = fs.statSync(path.join(book, page)).size;
    return ["book.css", "book.js", "theme.js", "state.js"].reduce(
        (sum, file) => sum + fs.statSync(path.join(book, file)).size, html);
}

// In the dark only the colours differ.
const rules_for = { light: ["wcag2a", "wcag2aa", "best-practice"], dark: ["color-contrast"] };

// The lines of a block are made alike, too: the first thirty stand for all.
const judged = { include: [["body"]], exclude: [["pre code > span:nth-child(n + 30)"]] };

// Pages of code are made alike: one of each language stands for them.
function is_visited(page) {
    const language = (name) => name.match(/\.(\w+)\.html$/)?.[1];
    const alike = pages.filter((other) => other.includes("_") &&
        language(other) === language(page));
    return !page.includes("_") || alike[0] === page;
}

async function judge(tab, page, theme) {
    await tab.evaluate((t) => { document.documentElement.dataset.theme = t; }, theme);
    const report = await tab.evaluate(async ([part, runOnly]) => {
        const options = { runOnly, preload: false, resultTypes: ["violations"] };
        return (await window.axe.run(part, options)).violations
            .filter((v) => v.impact === "serious" || v.impact === "critical")
            .map((v) => `${v.id} at ${v.nodes[0].target}`);
    }, [judged, rules_for[theme]]);
    must(`axe finds nothing serious, ${theme}`, report.map((r) => `${page}: ${r}`));
}

async function visit(tab, page) {
    tab.page_now = page;
    await tab.goto(address(page));
    await tab.evaluate(() => {
        document.querySelectorAll("details").forEach((d) => { d.open = true; });
        dispatchEvent(new Event("resize")); // what depends on the room, now
    });
    const seen = await tab.evaluate(look_around);
    must("each picture is there", seen.broken.map((src) => `${page}: ${src}`));
    must("each picture is described", seen.silent.map((src) => `${page}: ${src}`));
    if (!await tab.evaluate(() => document.body.classList.contains("code"))) {
        await tab.setViewportSize({ width: 1280, height: 900 });
        const { cut } = await tab.evaluate(look_around);
        must("a desk shows code and tables whole", cut.map((block) => `${page}: ${block}`));
    }
    await tab.evaluate(axe);
    await judge(tab, page, "light");
    await judge(tab, page, "dark");
    for (const width of [390, 320]) {
        await tab.setViewportSize({ width, height: 844 });
        const { wide } = await tab.evaluate(look_around);
        must("a phone does not scroll sideways",
            wide > 0 ? [`${page}: ${wide} pixels too wide at ${width}`] : []);
    }
    await tab.setViewportSize({ width: 1440, height: 900 });
}

function listen(tab) {
    must("the console is silent", []);
    must("nothing is asked of a network", []);
    tab.on("console", (message) => {
        if (message.type() === "error" || message.type() === "warning") {
            must("the console is silent", [`${tab.page_now}: ${message.text()}`]);
        }
    });
    tab.on("pageerror", (error) => must("the console is silent",
        [`${tab.page_now}: ${error.message}`]));
    tab.on("request", (request) => {
        if (!/^(file|data):/.test(request.url())) {
            must("nothing is asked of a network", [`${tab.page_now}: ${request.url()}`]);
        }
    });
}

// -- what a reader does ------------------------------------------------------------
async function search(tab, words) {
    await tab.keyboard.press("/");
    await tab.fill("#query", words);
    await tab.waitForFunction(() => document.querySelector("#found").textContent !== "");
    return tab.$$eval("#results a", (links) => links.map((a) => a.getAttribute("href")));
}

async function try_search(tab) {
    const lesson = pages.find((page) => page.startsWith("02-"));
    await tab.goto(address("index.html"));
    const hits = await search(tab, "tombstone");
    must("the search finds, by keyboard", hits.length && hits[0].startsWith(lesson) ? [] :
        [`"tombstone" gives ${hits.slice(0, 3)}`]);
    await tab.fill("#query", "");
    await tab.waitForFunction(() => document.querySelector("#found").textContent === "");
    const begun = await search_again(tab, "hash floo");
    must("the search finds, by keyboard", begun.length ? [] : ['"hash floo" finds nothing']);
    const none = await search_again(tab, "xyzzyplugh");
    must("the search finds, by keyboard", none.length ? ['"xyzzyplugh" is found'] : []);
    await search_again(tab, "tombstone");
    await tab.keyboard.press("ArrowDown");
    await tab.keyboard.press("Enter");
    await tab.waitForURL(/02-/);
}

async function search_again(tab, words) {
    await tab.fill("#query", words);
    await tab.waitForTimeout(100);
    return tab.$$eval("#results a", (links) => links.map((a) => a.getAttribute("href")));
}

async function try_pages(tab) {
    const lessons = pages.filter((page) => /^\d/.test(page)).sort();
    const turned = "n and p turn the page";
    await tab.goto(address(lessons[1]));
    await tab.keyboard.press("n");
    await tab.waitForURL(address(lessons[2]));
    await tab.keyboard.press("p");
    await tab.waitForURL(address(lessons[1]));
    must(turned, []);
    await tab.evaluate(() => document.querySelector("#questions").scrollIntoView());
    await tab.waitForFunction(() => document.querySelector(".here [aria-current]").hash ===
        "#questions", null, { timeout: 10000 }).catch(() => {}); // it is judged below
    const followed = await tab.$eval(".here [aria-current]", (a) => a.hash);
    must("the contents list follows", followed === "#questions" ? [] :
        [`at #questions it shows ${followed}`]);
    await tab.keyboard.press("/");
    await tab.fill("#query", "x");
    await tab.keyboard.press("Escape");
    const open = await tab.$eval("#search", (dialog) => dialog.open);
    must("Escape closes the search", open ? ["it is still open"] : []);
    const before = await tab.evaluate(() => document.documentElement.dataset.theme);
    await tab.click("#theme");
    await tab.reload();
    const after = await tab.evaluate(() => document.documentElement.dataset.theme);
    must("light or dark is remembered", before !== after ? [] : [`still ${after}`]);
    await tab.hover(".code");
    await tab.click(".copy");
    const copied = await tab.evaluate(() => navigator.clipboard.readText());
    must("copy copies", copied.includes("\n") ? [] : [`only ${copied}`]);
}

async function try_states(browser) {
    const tab = await browser.newPage();
    const lesson = pages.filter((page) => /^\d/.test(page)).sort()[1].replace(".html", "");
    await tab.route("**/state.js", (route) => route.fulfill({ contentType: "text/javascript",
        body: `window.bookState = {"${lesson}": "green"};` }));
    await tab.goto(address("index.html"));
    const row = await tab.$eval(`td a[href="${lesson}.html"]`,
        (a) => a.closest("tr").lastElementChild.textContent);
    await tab.goto(address(`${lesson}.html`));
    const line = await tab.textContent(".state");
    must("the reader's state is shown", row === "green" && line === "Yours: green" ? [] :
        [`table: ${row}, page: ${line}`]);
    await tab.close();
}

async function try_contents_on_a_phone(browser) {
    const tab = await browser.newPage({ viewport: { width: 390, height: 844 } });
    await tab.goto(address("index.html"));
    const hidden = await tab.isHidden("#contents");
    await tab.click(".menu");
    const shown = await tab.isVisible("#contents");
    must("a phone opens the contents by a button", hidden && shown ? [] :
        [`hidden first: ${hidden}, shown then: ${shown}`]);
    await tab.close();
}

async function try_paper(browser) {
    const tab = await browser.newPage();
    await tab.goto(address(pages.find((page) => page.startsWith("02-"))));
    await tab.emulateMedia({ media: "print", colorScheme: "dark" });
    const seen = await tab.evaluate(() => [getComputedStyle(document.body).backgroundColor,
        getComputedStyle(document.querySelector(".bar")).display]);
    const light = seen[0].match(/\d+/g).every((part) => Number(part) > 240);
    must("paper is white, and without a bar", light && seen[1] === "none" ? [] : [seen.join()]);
    await tab.close();
}

async function main() {
    const browser = await chromium.launch({ executablePath: process.env.CHROMIUM });
    const context = await browser.newContext({ viewport: { width: 1440, height: 900 },
        permissions: ["clipboard-read", "clipboard-write"] });
    context.setDefaultTimeout(60000); // beside other proofs all takes longer
    for (const page of pages) {
        must("each link leads somewhere", dead_links(page));
        must("a page weighs at most 300 KB",
            weight(page) > most_bytes ? [`${page}: ${weight(page)} bytes`] : []);
    }
    const waiting = pages.filter(is_visited);
    await Promise.all([1, 2].map(async () => {
        const tab = await context.newPage();
        listen(tab);
        while (waiting.length) {
            await visit(tab, waiting.pop());
        }
        await tab.close();
    }));
    const tab = await context.newPage();
    listen(tab);
    await try_search(tab);
    await try_pages(tab);
    await try_states(browser);
    await try_contents_on_a_phone(browser);
    await try_paper(browser);
    await browser.close();
}

main().catch((error) => must("the browser gets through", [error.message])).then(() => {
    for (const [what, found] of wrong) {
        const shown = found.slice(0, 5).join("; ").replace(/\s+/g, " ");
        console.log(found.length ? `not ok the book: ${what}: ${shown}` +
            (found.length > 5 ? ` and ${found.length - 5} more` : "") :
            `ok the book: ${what}`);
    }
});
