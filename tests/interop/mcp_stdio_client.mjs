// An unmodified MCP client (the SDK) that starts the server named by its arguments, with the
// environment the SDK lets through, or with all of it. Calls the tool named by CALL.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport, getDefaultEnvironment } from "@modelcontextprotocol/sdk/client/stdio.js";

const [command, ...args] = process.argv.slice(2);
const passed = Object.entries(process.env).filter(([name]) => name.startsWith("PASS_"));
const named = Object.fromEntries(passed.map(([name, value]) => [name.slice(5), value]));
const env = process.env.ALL ? process.env : { ...getDefaultEnvironment(), ...named };
const transport = new StdioClientTransport({ command, args, env });
const client = new Client({ name: "interop", version: "1.0.0" });
await client.connect(transport);
const listed = (await client.listTools()).tools.map((tool) => tool.name);
const result = await client.callTool(JSON.parse(process.env.CALL));
await client.close();
console.log(JSON.stringify({ listed, result }));
