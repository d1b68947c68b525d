// A streamable-HTTP MCP server, written with the SDK: stands where mcp.datadoghq.com would be.
// Prints its port on the first line of standard output, then a JSON line for each tool call.
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { z } from "zod";

const asJson = process.argv[2] === "json";
const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");
const sessions = new Map();
// Released by the client over a way of its own, so that event k+1 is made only when k has arrived.
const waiting = [];

function server() {
  const mcp = new McpServer({ name: "pretend-datadog", version: "1.0.0" });
  const text = (value) => ({ content: [{ type: "text", text: JSON.stringify(value) }] });
  mcp.registerTool(
    "search_datadog_logs",
    { description: "Searches logs", inputSchema: { query: z.string(), filler: z.string().optional() } },
    async (args) => {
      say({ tool: "search_datadog_logs", query: args.query, bytes: args.filler?.length ?? 0 });
      return text({ logs: ["one", "two"], query: args.query });
    },
  );
  mcp.registerTool("delete_datadog_dashboard", { inputSchema: { id: z.string() } }, async (args) => {
    say({ tool: "delete_datadog_dashboard", id: args.id });
    return { isError: true, ...text("no such dashboard") };
  });
  mcp.registerTool("count_slowly", { inputSchema: { to: z.number() } }, async ({ to }, extra) => {
    const progressToken = extra._meta?.progressToken;
    for (let progress = 1; progress <= to; progress++) {
      await new Promise((go) => waiting.push(go));
      await extra.sendNotification({
        method: "notifications/progress",
        params: { progressToken, progress, total: to, message: String(process.hrtime.bigint()) },
      });
    }
    return text({ counted: to });
  });
  return mcp;
}

const http = createServer(async (request, response) => {
  if (request.url === "/go") {
    waiting.shift()?.();
    return response.end();
  }
  const keys = [request.headers["dd_api_key"], request.headers["dd_application_key"], request.headers.authorization];
  say({ method: request.method, host: request.headers.host, url: request.url, keys });
  const id = request.headers["mcp-session-id"];
  let transport = sessions.get(id);
  if (!transport) {
    transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      enableJsonResponse: asJson,
      onsessioninitialized: (fresh) => sessions.set(fresh, transport),
    });
    await server().connect(transport);
  }
  await transport.handleRequest(request, response);
});
http.listen(0, "127.0.0.1", () => say({ port: http.address().port }));
