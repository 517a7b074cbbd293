// What the pages do besides showing: tick, copy, say how live they are. Every page works without this file.
(() => {
  "use strict";
  const doc = document;
  const $ = (id) => doc.getElementById(id);
  const set = (el, text) => { if (el && el.textContent !== text) el.textContent = text; };

  // The server's clock. A page can only arrive late, so of all samples the largest offset is the truest.
  let offset = -Infinity;
  const nav = performance.getEntriesByType("navigation")[0];
  const sample = (iso, at) => { const t = Date.parse(iso); if (t) offset = Math.max(offset, t - at); };
  const samples = () => doc.querySelectorAll("[data-now]").forEach((el) => sample(el.dataset.now, Date.now()));
  if (nav) sample(doc.body.dataset.now, performance.timeOrigin + nav.responseStart);
  const now = () => Date.now() + (offset === -Infinity ? 0 : offset);

  // The same words as format.go.
  const coarse = (s) => s < 60 ? s + " s" : s < 3600 ? Math.floor(s / 60) + " min"
    : s < 86400 ? Math.floor(s / 3600) + " h" : Math.floor(s / 86400) + " d";
  const dur = (s) => {
    const two = (a, au, b, bu) => a + " " + au + (b ? " " + b + " " + bu : "");
    return s < 60 ? s + " s" : s < 3600 ? two(Math.floor(s / 60), "min", s % 60, "s")
      : s < 86400 ? two(Math.floor(s / 3600), "h", Math.floor(s % 3600 / 60), "min")
      : two(Math.floor(s / 86400), "d", Math.floor(s % 86400 / 3600), "h");
  };
  const of = (s, limit) => limit < 600 ? s + " s of " + limit + " s" : dur(s) + " of " + dur(limit);
  const since = (iso) => Math.max(0, Math.floor((now() - Date.parse(iso)) / 1000));

  function tick() {
    for (const el of doc.querySelectorAll("time[data-rel]")) {
      const s = since(el.dateTime);
      if (el.dataset.rel === "for") set(el, coarse(s));
      else set(el, s < 60 * 86400 ? coarse(s) + " ago" : el.dateTime.slice(0, 10));
    }
    for (const el of doc.querySelectorAll("[data-from]")) {
      const s = since(el.dataset.from), limit = +el.dataset.limit;
      if (el.tagName === "PROGRESS") el.value = Math.min(s, limit);
      else set(el, limit ? of(s, limit) : dur(s));
    }
    live();
  }

  // How live this page is. Each word is backed by something heard, or not heard, from the stream.
  let heard = 0, age = 0, stale = "", state = "", signedOut = false, trouble = false;
  const quiet = 25000; // two and a half beats
  const first = $("live")?.querySelector("[data-text]").textContent.trim() || "";
  if ($("live")) { age = +$("live").dataset.age || 0; stale = $("live").dataset.stale || ""; }
  function live() {
    const el = $("live"), stream = $("stream");
    if (!el || !stream) return;
    const ago = Math.floor((Date.now() - heard) / 1000);
    let next, text;
    if (stream.hasAttribute("data-done")) [next, text] = ["done", "finished"];
    else if (signedOut) [next, text] = ["bad", "signed out"];
    else if (!heard) [next, text] = trouble || performance.now() > quiet ? ["busy", "connecting, " + first] : ["", ""];
    else if (trouble || ago * 1000 > quiet) [next, text] = ["busy", "reconnecting, last update " + coarse(ago) + " ago"];
    else if (stale) [next, text] = ["unknown", stale];
    else [next, text] = ["ok", "live, " + coarse(age + ago) + " ago"];
    if (!text) return;
    set(el.querySelector("[data-text]"), text);
    if (next === state) return;
    state = next;
    el.dataset.state = next;
    $("live-in").hidden = !signedOut;
    set($("live-say"), next === "ok" ? "live" : text);
  }
  const news = () => { heard = Date.now(); trouble = signedOut = false; };
  const ours = (e) => e.target.id === "stream" || e.detail?.ctx?.sourceElement?.id === "stream";
  // A refusal stays true until something is heard again; a try in between proves nothing.
  const fault = (status) => { trouble = true; if (status) signedOut = status === 401; live(); };

  doc.addEventListener("beat", (e) => {
    news();
    try {
      const beat = JSON.parse(e.detail.data);
      age = Math.max(0, Math.floor(beat.age || 0));
      stale = beat.stale || "";
    } catch { /* a beat that cannot be read is still a sign of life */ }
    live();
  });
  doc.addEventListener("htmx:sse:before:connection", (e) => { if (e.detail.connection.attempt > 0) fault(0); });
  doc.addEventListener("htmx:sse:after:connection", () => { news(); live(); });
  doc.addEventListener("htmx:sse:after:message", (e) => {
    news();
    if (!e.detail.message?.event) age = 0;
    samples();
    tick();
  });
  doc.addEventListener("htmx:sse:error", (e) => fault(e.detail.status));
  doc.addEventListener("htmx:sse:close", () => fault(0));
  doc.addEventListener("htmx:response:error", (e) => { if (ours(e)) fault(e.detail.ctx.response.status); });
  doc.addEventListener("htmx:error", (e) => { if (ours(e)) fault(0); });
  doc.addEventListener("htmx:after:swap", tick);

  // Copying. Without https there is no clipboard API; the old way still works.
  async function copy(text) {
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    const area = doc.createElement("textarea");
    area.value = text;
    doc.body.append(area);
    area.select();
    const ok = doc.execCommand("copy");
    area.remove();
    if (!ok) throw new Error("not copied");
  }
  doc.addEventListener("click", async (e) => {
    const el = e.target.closest?.("[data-copy]");
    if (!el) return;
    const text = el.dataset.copy || $(el.dataset.copyOf)?.textContent || "";
    let say = "copied";
    try { await copy(text); } catch { say = "not copied"; }
    el.dataset.said = say;
    set($("live-say"), say);
    setTimeout(() => { delete el.dataset.said; set($("live-say"), ""); }, 1400);
  });

  // The exact time stays UTC; who hovers also reads the time of the wall.
  doc.addEventListener("pointerover", (e) => {
    const el = e.target.closest?.("time[datetime]");
    if (!el || el.title.includes("\n")) return;
    const at = new Date(el.dateTime);
    el.title += "\n" + at.toLocaleString("sv") + " " + Intl.DateTimeFormat().resolvedOptions().timeZone;
  });

  doc.addEventListener("keydown", (e) => {
    if (e.key !== "/" || e.ctrlKey || e.metaKey || e.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(e.target.tagName)) return;
    const find = $("find");
    if (find) { e.preventDefault(); find.focus(); find.select(); }
  });

  doc.documentElement.classList.add("js");
  doc.addEventListener("visibilitychange", () => { if (!doc.hidden) tick(); });
  setInterval(() => { if (!doc.hidden) tick(); }, 1000);
  tick();
})();
