// An unmodified MCP client (the SDK) that talks to Datadog's remote server as its environment says.
// Arguments: the path of the endpoint, and the address that releases the server's next event.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const [path, go] = process.argv.slice(2);
const release = () => fetch(go);
const headers = {
  DD_API_KEY: process.env.DD_API_KEY,
  DD_APPLICATION_KEY: process.env.DD_APPLICATION_KEY,
};
const url = new URL(`https://${process.env.DD_MCP_DOMAIN ?? "mcp.datadoghq.com"}${path}`);
const transport = new StreamableHTTPClientTransport(url, { requestInit: { headers } });
const client = new Client({ name: "interop", version: "1.0.0" });
await client.connect(transport);
const said = { tools: (await client.listTools()).tools.map((tool) => tool.name).sort() };
const call = (name, args, options) => client.callTool({ name, arguments: args }, undefined, options);
said.found = await call("search_datadog_logs", { query: "status:error" });
said.long = await call("search_datadog_logs", { query: "long", filler: "x".repeat(200_000) });
said.failed = await call("delete_datadog_dashboard", { id: "abc" });

const delays = [];
const onprogress = ({ progress, message }) => {
  delays.push(Number(process.hrtime.bigint() - BigInt(message)) / 1e6);
  if (progress < 20) release();
};
const counting = call("count_slowly", { to: 20 }, { onprogress });
// The first event may be asked for before the server waits for it.
const first = setInterval(() => delays.length === 0 && release(), 20);
said.counted = await counting;
clearInterval(first);
said.delays_ms = delays;
await transport.terminateSession();
await client.close();
console.log(JSON.stringify(said));
