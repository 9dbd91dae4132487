// What a page does beside being read: it shows the reader's state, follows
// the scrolling in its list of contents, copies code, and searches. Without
// it the page is the same text.
"use strict";

const one = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

// -- the reader's state, from state.js ----------------------------------------
function showStates(states) {
    for (const [lesson, state] of Object.entries(states)) {
        const entry = one(`#contents [data-lesson="${lesson}"]`);
        if (entry) {
            entry.dataset.state = state;
        }
        for (const link of all(`main td a[href="${lesson}.html"]`)) {
            link.closest("tr").lastElementChild.textContent = state;
        }
    }
    const here = states[document.documentElement.dataset.page];
    if (here) {
        const line = one(".state");
        line.textContent = `Yours: ${here}`;
        line.dataset.state = here;
        line.hidden = false;
    }
}

// -- the contents list follows --------------------------------------------------
function followScrolling() {
    const links = new Map(all(".here a").map((a) => [a.hash.slice(1), a]));
    const headings = all("main h2[id], main h3[id]").filter((h) => links.has(h.id));
    let current = null;
    function follow() {
        const passed = headings.filter((h) => h.getBoundingClientRect().top < 120);
        const now = links.get((passed.at(-1) || headings[0])?.id);
        if (now !== current) {
            current?.removeAttribute("aria-current");
            now?.setAttribute("aria-current", "true");
            now?.scrollIntoView({ block: "nearest" });
            current = now;
        }
    }
    if (headings.length) {
        addEventListener("scroll", follow, { passive: true });
        follow();
    }
}

// -- a copy button at each block of code ----------------------------------------
function addCopyButtons() {
    for (const pre of all("pre.sourceCode")) {
        const frame = pre.parentElement;
        const button = document.createElement("button");
        button.type = "button";
        button.className = "copy";
        button.textContent = "Copy";
        button.addEventListener("click", async () => {
            await navigator.clipboard.writeText(pre.innerText);
            button.textContent = "Copied";
            setTimeout(() => { button.textContent = "Copy"; }, 1500);
        });
        frame.classList.add("code");
        frame.append(button);
    }
}

// What scrolls sideways can be reached by keyboard.
function reachScrollers() {
    for (const part of all("pre, .table, figure")) {
        if (part.scrollWidth > part.clientWidth) {
            part.tabIndex = 0;
        } else {
            part.removeAttribute("tabindex");
        }
    }
}

// -- the search -------------------------------------------------------------------
let index = null;
const sections = [];
window.bookParts = { push: (part) => sections.push(part) };

function load(file) {
    return new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = file;
        script.onload = resolve;
        script.onerror = () => reject(new Error(`${file} is missing`));
        document.head.append(script);
    });
}

async function prepareSearch() {
    if (index) {
        return;
    }
    await load("lunr.js");
    await load("search.js");
    index = window.lunr(function () {
        this.ref("place");
        this.field("section", { boost: 6 });
        this.field("title", { boost: 3 });
        this.field("text");
        sections.forEach((part, place) => this.add({ place, ...part }));
    });
}

// Every word must be there; the last may be the beginning of one.
function find(words) {
    return index.query((query) => {
        words.forEach((word, i) => {
            const required = window.lunr.Query.presence.REQUIRED;
            const clauses = query.clauses.length;
            query.term(word, { presence: required });
            if (i === words.length - 1) {
                query.clauses[clauses].presence = window.lunr.Query.presence.OPTIONAL;
                query.term(word, {
                    wildcard: window.lunr.Query.wildcard.TRAILING,
                    usePipeline: false,
                    presence: words.length === 1 ?
                        window.lunr.Query.presence.OPTIONAL : required,
                });
            }
        });
    });
}

// The text around the first of the words, the word itself marked.
function excerpt(text, words) {
    const lower = text.toLowerCase();
    const found = words.map((w) => [lower.indexOf(w), w]).filter(([at]) => at >= 0);
    const [at, word] = found.sort((a, b) => a[0] - b[0])[0] || [0, ""];
    const from = Math.max(0, at - 60);
    const small = document.createElement("small");
    const mark = document.createElement("mark");
    mark.textContent = text.slice(at, at + word.length);
    small.append((from ? "… " : "") + text.slice(from, at), mark,
        `${text.slice(at + word.length, at + 110)} …`);
    return small;
}

function showResults(typed) {
    const words = typed.toLowerCase().match(/[\p{L}\p{N}_]+/gu) || [];
    const hits = words.length ? find(words).slice(0, 20) : [];
    one("#results").replaceChildren(...hits.map((hit) => {
        const part = sections[hit.ref];
        const item = document.createElement("li");
        const link = document.createElement("a");
        const title = document.createElement("b");
        title.textContent = part.section;
        link.href = part.page;
        link.append(title, part.section === part.title ? "" : ` in ${part.title}`,
            excerpt(part.text, words));
        link.addEventListener("click", () => one("#search").close());
        item.append(link);
        return item;
    }));
    one("#found").textContent = !words.length ? "" : hits.length === 0 ?
        "Nothing found." : hits.length === 1 ? "One place." : `${hits.length} places.`;
}

async function openSearch() {
    one("#search").showModal();
    one("#query").select();
    try {
        await prepareSearch();
        showResults(one("#query").value);
    } catch (error) {
        one("#found").textContent = `The search is not there: ${error.message}.`;
    }
}

function moveInResults(step) {
    const stops = [one("#query"), ...all("#results a")];
    const at = stops.indexOf(document.activeElement);
    stops[Math.max(0, Math.min(stops.length - 1, at + step))].focus();
}

// -- the keyboard: / searches, p and n turn the page --------------------------------
function onKey(event) {
    const typing = event.target.closest("input, dialog");
    if (event.ctrlKey || event.metaKey || event.altKey) {
        return;
    }
    if (typing && event.key === "Escape") {
        one("#search").close(); // at once: a filled field would be emptied first
    } else if (typing && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
        event.preventDefault();
        moveInResults(event.key === "ArrowDown" ? 1 : -1);
    } else if (!typing && event.key === "/") {
        event.preventDefault();
        openSearch();
    } else if (!typing && (event.key === "n" || event.key === "p")) {
        one(`.turn [rel="${event.key === "n" ? "next" : "prev"}"]`)?.click();
    }
}

// A link to the contract opens it; on paper all is open.
function openTarget() {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    const details = target && target.closest("details");
    if (details) {
        details.open = true;
    }
}

showStates(window.bookState || {});
followScrolling();
addCopyButtons();
reachScrollers();
addEventListener("resize", reachScrollers);
addEventListener("toggle", reachScrollers, { capture: true }); // a <details>
openTarget();
addEventListener("hashchange", openTarget);
addEventListener("beforeprint", () => all("details").forEach((d) => { d.open = true; }));
addEventListener("keydown", onKey);
one("#find").addEventListener("click", openSearch);
one("#theme").addEventListener("click", () => window.turnTheme());
one("#query").addEventListener("input", (event) => index && showResults(event.target.value));
one("#search form").addEventListener("submit", (event) => {
    if (event.submitter === null || event.submitter.textContent !== "Close") {
        event.preventDefault();
        one("#results a")?.click();
    }
});
one("#search").addEventListener("click", (event) => {
    if (event.target === event.currentTarget) {
        event.currentTarget.close();
    }
});
