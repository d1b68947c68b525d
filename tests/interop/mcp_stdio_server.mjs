// A stdio MCP server, written with the SDK, that asks Datadog's API by the base URL it was given.
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { z } from "zod";

const mcp = new McpServer({ name: "wrapped", version: "1.0.0" });
mcp.registerTool("list_monitors", { inputSchema: { tag: z.string() } }, async ({ tag }) => {
  const url = `${process.env.DD_HOST}/api/v1/monitor?monitor_tags=${encodeURIComponent(tag)}`;
  const answer = await fetch(url, {
    headers: { "DD-API-KEY": process.env.DD_API_KEY, "DD-APPLICATION-KEY": process.env.DD_APP_KEY },
  });
  return { content: [{ type: "text", text: `${answer.status}: ${await answer.text()}` }] };
});
await mcp.connect(new StdioServerTransport());
