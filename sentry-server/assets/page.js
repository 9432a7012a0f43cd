"use strict";
/* Keeps the page fresh: an event says what changed, the server says how that stands now. On the first page an event asks for
   its own lines alone. Without this script all that the page shows is there as well; it is then asked for again now and then.
   What it says comes from the page: `data-words`. */
(() => {
  const SETTLE = 400; // Events that come together are one look, in milliseconds.
  const MANY = 12; // So many branches changed at once: the whole page is asked for instead.
  const words = JSON.parse(document.body.dataset.words);
  const put = (text, values) => text.replace(/\{(\w+)\}/g, (all, name) => name in values ? values[name] : all);
  const told = document.getElementById("told");
  const state = document.getElementById("live-state");
  let source = null, timer = 0, looking = false, missed = false, retry = 0;

  /* Times go on, as the server says them; the moment itself in the reader's own zone. */
  const say = (seconds) => {
    const age = (n) => n < 60 ? put(words.s, { n }) : n < 3600 ? put(words.min, { n: Math.floor(n / 60) })
      : n < 172800 ? put(words.h, { n: Math.floor(n / 3600) }) : put(words.days, { n: Math.floor(n / 86400) });
    if (Math.abs(seconds) < 5) return words.now;
    return seconds < 0 ? put(words.ahead, { age: age(-seconds) }) : put(words.ago, { age: age(seconds) });
  };
  const zoned = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "long" });
  const tick = (root) => {
    const now = Math.floor(Date.now() / 1000);
    for (const time of root.querySelectorAll("time")) {
      const at = Date.parse(time.dateTime);
      const text = say(now - Math.floor(at / 1000));
      if (time.textContent !== text) time.textContent = text;
      if (time.title === time.dateTime) time.title = zoned.format(at);
    }
  };

  /* What a part says, without what differs each time it is made. */
  const content = (part) => {
    const copy = part.cloneNode(true);
    for (const key of copy.querySelectorAll("input[name=key], input[name=form], button[name=deliver]")) key.removeAttribute("value");
    for (const one of copy.querySelectorAll("details")) one.removeAttribute("open");
    return copy.outerHTML.replace(' class="fresh"', "").replace(" fresh\"", "\"");
  };

  /* Of a drawing that is wider than its place what failed is seen first, else what is in progress. */
  const aim = (root) => {
    for (const graph of root.querySelectorAll(".graph")) {
      const node = graph.querySelector(".node.bad") || graph.querySelector(".node.busy");
      if (!node) continue;
      const [at, place] = [node.getBoundingClientRect(), graph.getBoundingClientRect()];
      graph.scrollLeft += at.left - place.left - (place.width - at.width) / 2;
    }
  };

  /* Puts a part in the place of an old one. The keyboard's place, what was unfolded and how far it was scrolled stay. */
  const replace = (old, part) => {
    const at = old.contains(document.activeElement) ? document.activeElement : null;
    const kept = []; // How far what scrolls was scrolled.
    const name = at && (at.getAttribute("aria-label") || at.textContent);
    for (const one of old.querySelectorAll("details[id], [tabindex][id]")) {
      const same = part.querySelector(`#${CSS.escape(one.id)}`);
      if (same && one.localName === "details") same.open = one.open;
      else if (same) kept.push([same, one.scrollLeft]);
    }
    old.replaceWith(part);
    aim(part);
    for (const [one, left] of kept) one.scrollLeft = left;
    part.classList.add("fresh");
    if (!at) return;
    const same = [...part.querySelectorAll(at.localName)];
    (same.find((one) => (one.getAttribute("aria-label") || one.textContent) === name) || document.getElementById("main")).focus({ preventScroll: true });
  };

  /* Takes the parts that changed from the page as the server makes it now. */
  const take = (fresh) => {
    tick(fresh);
    for (const part of fresh.querySelectorAll("[data-live]")) {
      const old = document.getElementById(part.id);
      if (old && content(old) !== content(part)) replace(old, document.importNode(part, true));
    }
    document.title = fresh.title;
    document.getElementById("icon").href = fresh.getElementById("icon").getAttribute("href");
  };

  const ask = async (address) => {
    const answer = await fetch(address, { credentials: "same-origin", cache: "no-store" });
    if (answer.redirected && new URL(answer.url).pathname === "/login") { location.reload(); return null; }
    if (answer.redirected) { location.assign(answer.url); return null; }
    return answer.ok ? new DOMParser().parseFromString(await answer.text(), "text/html") : null;
  };

  /* The first page: the lines of what changed. */
  const home = document.getElementById("home");
  const AGAIN = home ? 300_000 : 60_000; // However quiet it is, a look this often: suspensions make no event.
  const changed = new Map(); // Watches, each with its branches that changed.
  let whole = !home; // Whether the whole page is to be asked for.

  const place = (line) => {
    const old = document.getElementById(line.id);
    if ("filtered" in home.dataset) { if (old && content(old) !== content(line)) replace(old, line); return; }
    const lists = { bad: "list-bad", open: "list-open", rest: `list-rest-${line.id.slice(2, line.id.indexOf("/"))}` };
    const list = document.getElementById(lists[line.dataset.list]);
    if (old && list === old.parentNode && old.dataset.since === line.dataset.since) {
      if (content(old) !== content(line)) replace(old, line);
      return;
    }
    const focused = old && old.contains(document.activeElement) ? document.activeElement.localName : null;
    if (old) old.remove();
    if (!list) return;
    const age = (one) => Number(line.dataset.since) - Number(one.dataset.since);
    const later = [...list.children].find((one) => age(one) > 0 || (age(one) === 0 && one.id > line.id));
    if (!later && list.dataset.most && list.children.length >= Number(list.dataset.most)) return;
    list.insertBefore(line, later || null);
    list.closest("section").hidden = false; // What is hidden takes no focus.
    line.classList.add("fresh");
    if (focused) (line.querySelector(focused) || document.getElementById("main")).focus({ preventScroll: true });
    if (list.dataset.most && list.children.length > Number(list.dataset.most)) list.lastElementChild.remove();
  };

  /* Sums over the watches, in headline, title and icon. */
  const sum = () => {
    const lines = [...home.querySelectorAll("[data-counts]")];
    if (!lines.length) return;
    const counts = lines.map((line) => line.dataset.counts.split(" ").map(Number));
    const [bad, open, branches] = [0, 1, 2].map((at) => counts.reduce((all, one) => all + one[at], 0));
    const number = ([one, many], n) => n === 1 ? one : put(many, { n });
    const headline = document.getElementById("headline");
    const text = bad ? number(words.bad, bad) : open ? number(words.open, open) : headline.dataset.calm;
    if (headline.textContent !== text) headline.textContent = text;
    document.getElementById("sums").textContent = put(words.sums, { watches: lines.length, branches, open });
    document.title = `${text} · Sentry`;
    const icon = document.getElementById("icon");
    const silent = document.querySelector("#live-troubles .bad");
    icon.href = icon.dataset[bad || silent ? "bad" : open ? "busy" : "good"];
    for (const name of ["bad", "open"]) {
      const list = document.getElementById(`list-${name}`);
      if (list) list.closest("section").hidden = !list.children.length;
    }
  };

  const lines = async () => {
    for (const [watch, branches] of [...changed]) {
      changed.delete(watch);
      const fresh = await ask(`/fragments?${new URLSearchParams({ watch, branch: [...branches].join(" ") })}`);
      if (!fresh) { whole = true; return; }
      tick(fresh);
      for (const line of [...fresh.querySelectorAll("li")].map((line) => document.importNode(line, true))) {
        if (!line.dataset.counts) { place(line); continue; }
        const old = document.getElementById(line.id);
        if (old && content(old) !== content(line)) replace(old, line);
        if (!old && !("filtered" in home.dataset)) whole = true;
      }
    }
    if (!("filtered" in home.dataset)) sum();
  };

  const look = async () => {
    if (looking) { missed = true; return; }
    looking = true;
    try {
      const number = [...changed.values()].reduce((all, branches) => all + branches.size, 0);
      if (number > MANY) whole = true;
      if (!whole) await lines();
      if (whole) {
        changed.clear();
        whole = !home;
        const fresh = await ask(location.pathname + location.search);
        if (fresh) take(fresh);
      }
    } catch { whole = true; /* The server is away: the stream's own error tells it. */ }
    looking = false;
    if (missed) { missed = false; soon(); }
  };
  const soon = () => { timer ||= setTimeout(() => { timer = 0; look(); }, SETTLE); };
  const all = () => { whole = true; soon(); };

  const show = (text) => { state.hidden = false; state.textContent = text; };
  const tell = (event) => {
    const text = { delivery_started: words.started, delivery_retrying: words.retrying, delivery_settled: words.settled }[event.kind];
    if (text && event.branch) told.textContent = put(text, { branch: event.branch, watch: event.watch, text: event.state });
  };
  const hear = (event) => {
    tell(event);
    if (!event.watch) { all(); return; }
    if (!changed.has(event.watch)) changed.set(event.watch, new Set());
    if (event.branch) changed.get(event.watch).add(event.branch);
    soon();
  };

  const open = () => {
    if (source || document.hidden) return;
    source = new EventSource("/events");
    source.onopen = () => { show(words.live); all(); };
    source.onmessage = (message) => hear(JSON.parse(message.data));
    source.onerror = () => {
      show(words.away);
      if (source && source.readyState === EventSource.CLOSED) { close(); clearTimeout(retry); retry = setTimeout(() => { open(); all(); }, 15_000); }
    };
  };
  /* Browsers allow few connections to one host: a page that nobody sees gives its own back. */
  const close = () => { if (source) { source.close(); source = null; } };
  document.addEventListener("visibilitychange", () => { if (document.hidden) close(); else { open(); all(); } });
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);

  /* A button that was pressed is not pressed again by impatience; the server would take it for the same anyway. */
  document.addEventListener("submit", (event) => {
    const buttons = event.submitter ? [event.submitter] : event.target.querySelectorAll("button");
    for (const button of buttons) setTimeout(() => { button.disabled = true; }, 0);
  });
  addEventListener("pageshow", () => { for (const button of document.querySelectorAll("button:disabled")) button.disabled = false; });

  /* `/` leads to the search. */
  document.addEventListener("keydown", (event) => {
    const search = document.getElementById("q");
    const types = event.target.closest("input, select, textarea, [contenteditable]");
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || !search || types) return;
    event.preventDefault();
    search.focus();
    search.select();
  });

  tick(document);
  aim(document);
  document.getElementById("zone").textContent = words.zone;
  setInterval(() => { if (!document.hidden) tick(document); }, 5_000);
  setInterval(() => { if (!document.hidden) all(); }, AGAIN);
  open();
})();
