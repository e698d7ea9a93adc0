// A host as web hosts are: the official AppBridge, its client of the bridge, and the app in a sandbox of another origin.
import { AppBridge, PostMessageTransport, RESOURCE_MIME_TYPE, getToolUiResourceUri } from "@modelcontextprotocol/ext-apps/app-bridge";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

const IDENTITY = { name: "monitors-tests", version: "1" };
const CAPABILITIES = { serverTools: {}, updateModelContext: { text: {} }, logging: {} };
const seen = { sizes: [], contexts: [], calls: [] };

// Connects, finds the app of list_alerts, and opens it in the frame.
async function open({ key, sandbox, context, capabilities = CAPABILITIES }) {
  const client = new Client(IDENTITY, { versionNegotiation: { mode: "auto" } });
  const headers = { authorization: `Bearer ${key}` };
  await client.connect(new StreamableHTTPClientTransport(new URL("/mcp", location.href), { requestInit: { headers } }));
  const { tools } = await client.listTools();
  const uri = getToolUiResourceUri(tools.find((tool) => tool.name === "list_alerts"));
  const [page] = (await client.readResource({ uri })).contents;
  if (page.mimeType !== RESOURCE_MIME_TYPE) throw new Error(`${uri} is ${page.mimeType}`);

  const frame = document.querySelector("iframe");
  const bridge = new AppBridge(client, IDENTITY, capabilities, { hostContext: context });
  bridge.onsizechange = (size) => {
    seen.sizes.push(size);
    frame.style.height = `${size.height}px`;
  };
  bridge.onupdatemodelcontext = async ({ content }) => {
    seen.contexts.push(content[0].text);
    return {};
  };
  const initialized = new Promise((resolve) => bridge.addEventListener("initialized", resolve));
  const ready = new Promise((resolve) => bridge.addEventListener("sandboxready", resolve));
  await bridge.connect(new PostMessageTransport(frame.contentWindow, frame.contentWindow));
  frame.src = sandbox;
  await ready;
  await bridge.sendSandboxResourceReady({ html: page.text });
  await initialized;
  Object.assign(window, { client, bridge, page });
}

// What happens when Claude calls the tool.
async function call(input) {
  await bridge.sendToolInput({ arguments: input });
  await bridge.sendToolResult(await client.callTool({ name: "list_alerts", arguments: input }));
}

Object.assign(window, { seen, open, call });
