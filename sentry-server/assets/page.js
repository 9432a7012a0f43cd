"use strict";
/* Keeps the page fresh: an event says that something changed, the server says what stands there now. Without this
   script all that the page shows is there as well; it is then asked for again now and then. */
(() => {
  const SETTLE = 400; // Events that come together are one look, in milliseconds.
  const AGAIN = 60_000; // However quiet it is, a look this often: suspensions make no event.
  const told = document.getElementById("told");
  const state = document.getElementById("live-state");
  let source = null, timer = 0, looking = false, missed = false, retry = 0;

  /* Times go on: said as the server says them. */
  const say = (seconds) => {
    const unit = (n) => n < 60 ? `${n} s` : n < 3600 ? `${Math.floor(n / 60)} min`
      : n < 172800 ? `${Math.floor(n / 3600)} h` : `${Math.floor(n / 86400)} days`;
    if (Math.abs(seconds) < 5) return "just now";
    return seconds < 0 ? `in ${unit(-seconds)}` : `${unit(seconds)} ago`;
  };
  const tick = (root) => {
    const now = Math.floor(Date.now() / 1000);
    for (const time of root.querySelectorAll("time")) {
      const text = say(now - Math.floor(Date.parse(time.dateTime) / 1000));
      if (time.textContent !== text) time.textContent = text;
    }
  };

  /* What a part says, without what differs each time it is made. */
  const content = (part) => {
    const copy = part.cloneNode(true);
    for (const key of copy.querySelectorAll("input[name=key]")) key.removeAttribute("value");
    return copy.innerHTML;
  };

  /* Takes the parts that changed from the page as the server makes it now. The keyboard's place stays where it was. */
  const take = (fresh) => {
    tick(fresh);
    for (const part of fresh.querySelectorAll("[data-live]")) {
      const old = document.getElementById(part.id);
      if (!old || content(old) === content(part)) continue;
      const at = old.contains(document.activeElement) ? document.activeElement : null;
      const name = at && (at.getAttribute("aria-label") || at.textContent);
      old.replaceWith(document.importNode(part, true));
      const now = document.getElementById(part.id);
      now.classList.add("fresh");
      if (!at) continue;
      const same = [...now.querySelectorAll(at.localName)];
      (same.find((one) => (one.getAttribute("aria-label") || one.textContent) === name) || document.getElementById("main")).focus();
    }
    document.title = fresh.title;
  };

  const look = async () => {
    if (looking) { missed = true; return; }
    looking = true;
    try {
      const answer = await fetch(location.pathname, { credentials: "same-origin", cache: "no-store" });
      if (answer.redirected && new URL(answer.url).pathname === "/login") { location.reload(); return; }
      if (answer.redirected) { location.assign(answer.url); return; }
      if (answer.ok) take(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch { /* The server is away: the stream's own error tells it. */ }
    looking = false;
    if (missed) { missed = false; soon(); }
  };
  const soon = () => { clearTimeout(timer); timer = setTimeout(look, SETTLE); };

  const show = (text) => { state.hidden = false; state.textContent = text; };
  const tell = (event) => {
    if (!event.branch || !["delivery_started", "delivery_settled", "delivery_retrying"].includes(event.kind)) return;
    const words = { delivery_started: "delivery begins", delivery_retrying: "an attempt failed" };
    told.textContent = `${event.watch} ${event.branch}: ${words[event.kind] || event.state}`;
  };

  const open = () => {
    if (source || document.hidden) return;
    source = new EventSource("/events");
    source.onopen = () => { show("live"); soon(); };
    source.onmessage = (message) => { tell(JSON.parse(message.data)); soon(); };
    source.onerror = () => {
      show("not connected");
      if (source && source.readyState === EventSource.CLOSED) { close(); clearTimeout(retry); retry = setTimeout(() => { open(); soon(); }, 15_000); }
    };
  };
  /* Browsers allow few connections to one host: a page that nobody sees gives its own back. */
  const close = () => { if (source) { source.close(); source = null; } };
  document.addEventListener("visibilitychange", () => { if (document.hidden) close(); else { open(); soon(); } });
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);

  /* A button that was pressed is not pressed again by impatience; the server would take it for the same anyway. */
  document.addEventListener("submit", (event) => {
    for (const button of event.target.querySelectorAll("button")) setTimeout(() => { button.disabled = true; }, 0);
  });
  addEventListener("pageshow", () => { for (const button of document.querySelectorAll("button:disabled")) button.disabled = false; });

  tick(document);
  setInterval(() => { if (!document.hidden) tick(document); }, 5_000);
  setInterval(() => { if (!document.hidden) look(); }, AGAIN);
  open();
})();
