// The table. What it shows comes from outside: it becomes text nodes, never markup.
const INLINE_HEIGHT = 500;
const TOLD = 20;
const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
const [summary, pages, back, forth, again, trouble, empty, table, news] =
  ["summary", "pages", "previous", "next", "refresh", "problem", "empty", "alerts", "news"]
    .map((id) => document.getElementById(id));
const rows = table.tBodies[0];

let filter = {};
let list = null; // the last answers of list_alerts, joined
let starts = [0]; // where the views up to the present one start
let busy = false;
let problem = "";
const pending = new Set();
const deeds = [];

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// Names come in any script; each keeps its direction to itself.
const foreign = (tag, text, className = "") => element(tag, { textContent: text, title: text, dir: "auto", className });
const number = (value) => value.toLocaleString("en", { maximumSignificantDigits: 5 });
const place = ({ monitor, group = {} }) =>
  [monitor, ...Object.entries(group).map(([tag, value]) => `${tag}=${value}`)].join(" · ");
const name = (alert) => `${alert.title} on ${place(alert)}`;

function ago(moment) {
  const seconds = Math.round((Date.now() - new Date(moment)) / 1000);
  const [size, unit] = UNITS.find(([size]) => Math.abs(seconds) >= size) ?? [];
  const count = `${Math.floor(Math.abs(seconds) / size)} ${unit}`;
  return !unit ? "now" : seconds > 0 ? `${count} ago` : `in ${count}`;
}

const time = (moment) =>
  element("time", { dateTime: moment, title: new Date(moment).toLocaleString(), textContent: ago(moment) });

function row(alert) {
  const since = alert.state === "resolved" && alert.resolved ? alert.resolved : alert.fired;
  const value = Number.isFinite(alert.value) ? number(alert.value) : "no value";
  // The threshold stays beside its operator.
  const condition = (alert.condition ?? "").replace(/([<>=]) /g, "$1\u00a0");
  const made = element("tr", {},
    element("td", {}, foreign("span", alert.severity, `severity ${alert.severity}`)),
    element("th", { scope: "row" }, foreign("span", alert.title, "title"), foreign("small", place(alert))),
    element("td", {}, foreign("strong", value), foreign("small", condition)),
    element("td", {}, foreign("span", alert.state, `state ${alert.state}`), element("small", {}, time(since))),
    element("td", { tabIndex: -1 }, ...acknowledgement(alert)));
  made.dataset.id = alert.id;
  return made;
}

function acknowledgement(alert) {
  if (alert.acknowledged_by) {
    const note = alert.acknowledge_note ? `: ${alert.acknowledge_note}` : "";
    const when = alert.acknowledged ? [element("small", {}, time(alert.acknowledged))] : [];
    return [foreign("span", `by ${alert.acknowledged_by}${note}`, "by"), ...when];
  }
  if (alert.state !== "firing" || !host.capabilities.serverTools) return [foreign("small", "not acknowledged")];
  const waits = pending.has(alert.id);
  const button = element("button", { textContent: waits ? "Sending…" : "Acknowledge" });
  button.ariaLabel = `${button.textContent} ${name(alert)}`;
  if (waits) button.ariaDisabled = "true";
  button.onclick = () => acknowledge(alert);
  return [button];
}

async function acknowledge(alert) {
  if (pending.has(alert.id)) return;
  pending.add(alert.id);
  problem = "";
  show();
  try {
    const answer = await callTool("acknowledge_alert", { alert_id: alert.id });
    const [present] = answer.alerts;
    list.alerts = list.alerts.map((one) => (one.id === alert.id ? present : one));
    const before = answer.already_acknowledged?.includes(alert.id);
    say(`${name(alert)} ${before ? "was acknowledged before" : "is acknowledged"}, by ${present.acknowledged_by}`);
    deeds.push(`${before ? "found acknowledged" : "acknowledged"} ${alert.id}`);
  } catch ({ message }) {
    problem = `${name(alert)} is not acknowledged. ${message}`;
    deeds.push(`failed to acknowledge ${alert.id} (${JSON.stringify(message)})`);
  }
  pending.delete(alert.id);
  show();
  tell();
}

async function load(cursor) {
  busy = true;
  problem = "";
  show();
  try {
    const { cursor: first, explain, ...rest } = filter;
    const answer = await callTool("list_alerts", cursor ? { ...rest, cursor } : rest);
    list = cursor ? { ...answer, alerts: [...list.alerts, ...answer.alerts] } : answer;
    if (!cursor) {
      filter = rest;
      starts = [0];
    }
  } catch ({ message }) {
    problem = message;
  }
  busy = false;
  return !problem;
}

async function refresh() {
  if (busy) return;
  if (await load()) say("Refreshed");
  show();
  tell();
}

async function next() {
  const end = starts.at(-1) + rows.rows.length;
  if (busy || forth.ariaDisabled) return;
  problem = "";
  if (end < list.alerts.length || (await load(list.next_cursor))) starts.push(end);
  turned();
}

function previous() {
  if (busy || starts.length === 1) return;
  problem = "";
  starts.pop();
  turned();
}

function turned() {
  show();
  say(summary.textContent);
  tell();
}

// Inline the conversation scrolls, not a part of it: so many rows are shown as fit.
function fill(alerts) {
  const { displayMode = "inline", containerDimensions = {} } = host.context;
  const given = containerDimensions.height ?? containerDimensions.maxHeight ?? INLINE_HEIGHT;
  const limit = displayMode === "inline" ? Math.min(INLINE_HEIGHT, given) : Infinity;
  rows.replaceChildren();
  for (const alert of alerts) {
    rows.append(row(alert));
    if (rows.rows.length > 1 && tall() > limit) {
      rows.lastChild.remove();
      break;
    }
  }
}

function show() {
  if (!list) return;
  const focused = document.activeElement.closest("tr")?.dataset.id;
  const { alerts, total, next_cursor: more } = list;
  const start = starts.at(-1);
  const mayAsk = host.capabilities.serverTools;
  trouble.textContent = problem;
  trouble.hidden = !problem;
  again.hidden = !mayAsk;
  again.ariaDisabled = busy ? "true" : null;
  empty.hidden = alerts.length > 0;
  table.hidden = !alerts.length;
  table.ariaBusy = busy;
  fill(alerts.slice(start));
  const end = start + rows.rows.length;
  // A list that began in its middle doesn't know how many came before.
  const range = filter.cursor ? end - start : `${start + 1}–${end}`;
  summary.textContent = alerts.length ? `${range} of ${total} alert${total === 1 ? "" : "s"} shown` : "No alerts";
  pages.hidden = !start && end === alerts.length && !more;
  back.ariaDisabled = start ? null : "true";
  forth.ariaDisabled = end < alerts.length || (more && mayAsk) ? null : "true";
  const same = [...rows.rows].find((made) => made.dataset.id === focused);
  if (same) (same.querySelector("button") ?? same.lastChild).focus({ preventScroll: true });
}

const say = (text) => (news.textContent = text);

// Each update replaces the one before, so it says all that the user did.
function tell() {
  if (!host.capabilities.updateModelContext) return;
  const ids = new Set([...rows.rows].slice(0, TOLD).map((made) => made.dataset.id));
  const visible = list.alerts.filter(({ id }) => ids.has(id)).map((alert) =>
    `${alert.id} ${JSON.stringify(name(alert))} ${alert.acknowledged_by ? "acknowledged" : alert.state}`);
  const done = deeds.length ? `In the table of alerts the user ${deeds.join(", ")}. ` : "";
  const text = `${done}The user sees ${summary.textContent}: ${visible.join("; ")}`;
  // Some hosts ask their user first. What was done is done either way.
  ask("ui/update-model-context", { content: [{ type: "text", text }] }).catch(() => {});
}

host.on["tool-input"] = (params) => (filter = params.arguments ?? {});
host.on["tool-result"] = (result) => {
  if (result.structuredContent?.alerts) list = result.structuredContent;
  else summary.textContent = textOf(result) || "The answer has no alerts in it.";
  starts = [0];
  show();
};
host.on["tool-cancelled"] = () => (summary.textContent = "The call was cancelled.");
host.on["host-context-changed"] = (context) => {
  adopt(context);
  if (context.displayMode) starts = [0];
  show();
};
host.on["resource-teardown"] = () => {
  clearInterval(clock);
  sizes.disconnect();
};

let width = innerWidth;
onresize = () => {
  if (width !== innerWidth) show();
  width = innerWidth;
};
const clock = setInterval(() => {
  for (const shown of document.querySelectorAll("time")) shown.textContent = ago(shown.dateTime);
}, 15_000);
again.onclick = refresh;
forth.onclick = next;
back.onclick = previous;
connect().then(() => sizes.observe(document.documentElement), ({ message }) => (summary.textContent = message));
