// What a page must have so that people can read it and use it without a mouse or a screen. Gives a list of findings.
// The names of controls are left to the browser's own accessibility tree.
(() => {
  const found = [];
  const say = (what, el) => found.push(what + ": " + (el?.outerHTML ?? "").replace(/\s+/g, " ").slice(0, 160));
  const all = (selector) => [...document.querySelectorAll(selector)];
  const seen = (el) => el.checkVisibility({ visibilityProperty: true, opacityProperty: true }) && !el.closest(".vh, .sprite, .offscreen") &&
    el.getBoundingClientRect().width > 0;

  if (!document.documentElement.lang) say("no language");
  if (!document.title.trim()) say("no title");
  for (const one of ["h1", "main", "header.top"]) if (all(one).length !== 1) say(all(one).length + " of " + one);
  if (all("#main").length && document.querySelector("a")?.getAttribute("href") !== "#main") say("the first link does not skip to the page");
  let level = 1;
  for (const h of all("h1, h2, h3, h4, h5, h6").filter(seen)) {
    const now = +h.tagName[1];
    if (now > level + 1) say("heading level skipped after h" + level, h);
    level = now;
  }
  for (const el of [...document.body.children]) {
    if (seen(el) && el.innerText.trim() && !el.matches("header, main, footer, nav, .skip, [role=status]")) say("outside every landmark", el);
  }

  const ids = new Map();
  for (const el of all("[id]")) { if (ids.has(el.id)) say("id used twice", el); ids.set(el.id, el); }
  for (const attr of ["for", "aria-labelledby", "aria-describedby", "aria-controls"]) {
    for (const el of all("[" + attr + "]")) for (const id of el.getAttribute(attr).split(/\s+/)) if (!ids.has(id)) say(attr + " leads nowhere", el);
  }
  for (const el of all("input:not([type=hidden]), select, textarea")) {
    if (!el.labels?.length && !el.ariaLabel) say("no label", el);
  }
  for (const el of all("img:not([alt])")) say("no alt", el);
  for (const el of all("svg")) if (el.ariaHidden !== "true" && !el.ariaLabel) say("a picture without a name", el);
  for (const el of all("ul > :not(li), ol > :not(li)")) say("not an item of its list", el);
  for (const el of all("th:not([scope])")) say("a column without scope", el);
  for (const el of all("[tabindex]")) if (el.tabIndex > 0) say("tabindex changes the order", el);
  for (const el of all("a[href] a, a[href] button, button a, button button")) say("a control in a control", el);
  for (const el of all("[style], [onclick], style, script:not([src])")) say("inline", el);

  // Contrast, as painted: every colour through the browser's own reading, see-through ones over what lies below.
  const pen = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (css) => {
    pen.clearRect(0, 0, 1, 1);
    pen.fillStyle = css;
    pen.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const lum = (c) => {
    const [r, g, b] = c.map((v) => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const contrast = (a, b) => { const [x, y] = [lum(a), lum(b)].sort((m, n) => n - m); return (x + .05) / (y + .05); };
  const canvas = rgba(getComputedStyle(document.documentElement).colorScheme.includes("dark") && matchMedia("(prefers-color-scheme: dark)").matches ? "#121212" : "#fff");
  const ground = (el) => {
    const stack = [];
    for (let e = el; e; e = e.parentElement) {
      const s = getComputedStyle(e);
      if (s.backgroundImage !== "none" && e.tagName !== "SELECT") say("text on a picture", e);
      stack.unshift(rgba(s.backgroundColor));
    }
    return stack.reduce((below, top) => over(top, below), canvas);
  };
  const measure = (el, colour, what) => {
    const s = getComputedStyle(el), below = ground(el), ratio = contrast(over(rgba(colour), below), below);
    const px = parseFloat(s.fontSize), large = px >= 24 || px >= 18.66 && +s.fontWeight >= 700;
    if (ratio < (large ? 3 : 4.5)) say(what + " has a contrast of " + ratio.toFixed(2), el);
    for (let e = el; e; e = e.parentElement) if (getComputedStyle(e).opacity !== "1") say("see-through text", e);
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const el = texts.currentNode.parentElement;
    if (texts.currentNode.data.trim() && seen(el)) measure(el, getComputedStyle(el).color, "text");
  }
  for (const el of all("input, select, textarea").filter(seen)) {
    if (el.placeholder) measure(el, getComputedStyle(el, "::placeholder").color, "placeholder");
    measure(el, getComputedStyle(el).color, "field");
    if (contrast(over(rgba(getComputedStyle(el).borderColor), ground(el.parentElement)), ground(el.parentElement)) < 1.1) say("a field that cannot be told", el);
  }

  // Every stop of the Tab key shows that it has the focus.
  for (const el of all("a[href], button, input:not([type=hidden]), select, textarea, [tabindex='0']").filter(seen)) {
    el.focus({ focusVisible: true, preventScroll: true });
    const s = getComputedStyle(el);
    if (document.activeElement !== el) { say("takes no focus", el); continue; }
    if (s.outlineStyle === "none" || parseFloat(s.outlineWidth) < 2) say("focus not seen", el);
    else if (contrast(over(rgba(s.outlineColor), ground(el.parentElement)), ground(el.parentElement)) < 3) say("focus too faint", el);
  }
  document.activeElement?.blur();
  return found;
})()
