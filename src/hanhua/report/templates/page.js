(function () {
  "use strict";
  var root = document.documentElement;
  function keep(key, value) { try { localStorage.setItem(key, value); } catch (e) { /* a file page may have none */ } }
  function kept(key) { try { return localStorage.getItem(key); } catch (e) { return null; } }
  function show(language) {
    root.setAttribute("data-show", language);
    root.setAttribute("lang", language === "zh" ? "zh-CN" : "en");
  }
  var asked = location.hash === "#zh" ? "zh" : location.hash === "#en" ? "en" : null;
  show(asked || kept("hanhua-language") || (/^zh/i.test(navigator.language || "") ? "zh" : "en"));
  var theme = kept("hanhua-theme");
  if (theme) { root.setAttribute("data-theme", theme); }
  document.getElementById("language").addEventListener("click", function () {
    var next = root.getAttribute("data-show") === "zh" ? "en" : "zh";
    show(next); keep("hanhua-language", next);
  });
  document.getElementById("theme").addEventListener("click", function () {
    var now = root.getAttribute("data-theme") ||
      (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    var next = now === "dark" ? "light" : "dark";
    root.setAttribute("data-theme", next); keep("hanhua-theme", next);
  });
})();
