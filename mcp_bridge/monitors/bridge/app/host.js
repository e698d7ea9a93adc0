// The host: JSON-RPC over postMessage, as the MCP Apps specification of 2026-01-26 has it.
const answers = new Map();
const host = { capabilities: {}, context: {}, on: {} };
let requests = 0;

const post = (message) => parent.postMessage({ jsonrpc: "2.0", ...message }, "*");
const notify = (method, params = {}) => post({ method, params });

// Takes as long as it takes: a host may ask its user first.
function ask(method, params) {
  const id = ++requests;
  post({ id, method, params });
  return new Promise((resolve, reject) => answers.set(id, { resolve, reject }));
}

// A tool's structured answer. What the tool or the host refuses is thrown with the text that says why.
async function callTool(name, args) {
  const result = await ask("tools/call", { name, arguments: args });
  if (result.isError || !result.structuredContent) throw new Error(textOf(result) || "The host gave no answer.");
  return result.structuredContent;
}

const textOf = (result) =>
  (result.content ?? []).filter((block) => block.type === "text").map((block) => block.text).join("\n");

// What the host tells or asks is known here by the last part of its name.
function receive({ id, method, params = {}, result = {}, error }) {
  if (!method) {
    const waiting = answers.get(id);
    answers.delete(id);
    if (error) waiting?.reject(new Error(error.message));
    else waiting?.resolve(result);
    return;
  }
  host.on[method.split("/").pop()]?.(params);
  if (id === undefined) return;
  if (method === "ping" || method === "ui/resource-teardown") post({ id, result: {} });
  else post({ id, error: { code: -32601, message: `${method} isn't served here` } });
}

addEventListener("message", ({ source, data }) => {
  if (source === parent && data?.jsonrpc === "2.0") receive(data);
});

async function connect() {
  const { hostCapabilities, hostContext } = await ask("ui/initialize", {
    protocolVersion: "2026-01-26",
    appInfo: { name: "monitors-alerts", title: "Alerts", version: "1" },
    appCapabilities: { availableDisplayModes: ["inline", "fullscreen"] },
  });
  host.capabilities = hostCapabilities ?? {};
  adopt(hostContext ?? {});
  notify("ui/notifications/initialized");
}

// Changes come in part: what isn't named stays.
function adopt(context) {
  Object.assign(host.context, context);
  const { style } = document.documentElement;
  if (context.theme) style.colorScheme = context.theme;
  for (const [name, value] of Object.entries(context.styles?.variables ?? {}))
    if (name.startsWith("--") && value) style.setProperty(name, value);
  if (context.safeAreaInsets) {
    const { top, right, bottom, left } = context.safeAreaInsets;
    document.body.style.padding = `${top}px ${right}px ${bottom}px ${left}px`;
  }
}

const tall = () => Math.ceil(document.documentElement.getBoundingClientRect().height);
const sizes = new ResizeObserver(() => notify("ui/notifications/size-changed", { width: innerWidth, height: tall() }));
