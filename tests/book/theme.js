// Before the page is drawn: light or dark, as chosen before, else as the
// system has it.
(function () {
    "use strict";
    let chosen = null;
    try {
        chosen = localStorage.getItem("theme");
    } catch { /* a browser may keep nothing for pages on disk */ }
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const paper = matchMedia("print");
    function show() {
        const wanted = chosen || (dark.matches ? "dark" : "light");
        document.documentElement.dataset.theme = paper.matches ? "light" : wanted;
    }
    dark.addEventListener("change", show);
    paper.addEventListener("change", show);
    show();
    window.turnTheme = function () {
        chosen = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
        try {
            localStorage.setItem("theme", chosen);
        } catch { /* then for this page only */ }
        show();
    };
})();
