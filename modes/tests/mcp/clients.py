"""Asks `rezolus mcp` as the assistants' own libraries do: clients.py REZOLUS INSPECTOR.

Over stdin and stdout and over HTTP, in the protocol's newest revision and in one with a handshake: initialise, list,
call every tool, progress, cancel, bad input, a thousand calls. The SDK checks answers against their schemas itself.
"""

import asyncio
import contextlib
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import httpx2
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

REZOLUS, INSPECTOR = sys.argv[1:3]
# So many bytes an answer may have, both forms together.
MOST_BYTES = 16384
CALLS = 1000
# Takes minutes: the deviation of 300,000 values, 60,000 times.
HEAVY = "sum_over_time(stddev_over_time(vector(1)[5m:1ms])[1m:1ms])"
TOOLS = {
    "describe_recording": {},
    "describe_metrics": {"search": "requests"},
    "query": {"query": "sum by (path) (rate(requests_total[$interval]))"},
    "summarize": {},
    "diagnose": {},
    "detect_anomalies": {},
    "find_cause": {"start": "-500ms"},
    "compare": {"before_end": "-1s", "after_start": "-1s"},
    "analyze_correlation": {"x": "sum(rate(requests_total[$interval]))", "y": "queue_length"},
}


class Exporter(http.server.BaseHTTPRequestHandler):
    """Something to record."""

    asked = 0

    def do_GET(self):
        Exporter.asked += 1
        lines = ["# TYPE requests_total counter", "# HELP requests_total Requests that were answered."]
        lines += [f'requests_total{{path="/{n}"}} {n * Exporter.asked}' for n in range(60)]
        lines += ["# TYPE queue_length gauge", f"queue_length {Exporter.asked % 7}", ""]
        body = "\n".join(lines).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def check(good, what):
    if not good:
        raise AssertionError(what)


def within_bounds(result):
    size = sum(len(block.text.encode()) for block in result.content)
    size += len(json.dumps(result.structured_content, separators=(",", ":"), ensure_ascii=False).encode())
    check(size <= MOST_BYTES, f"{size} bytes")


async def everything(client, version):
    """What any client does, over any transport."""
    check(client.protocol_version == version, f"revision {client.protocol_version}, not {version}")
    # A client that knows the revision beforehand does not ask who it is.
    if client.server_info:
        check(client.server_info.name == "rezolus" and "describe_recording" in client.instructions, "who it is")

    tools = (await client.list_tools()).tools
    check({tool.name for tool in tools} == {*TOOLS, "status"}, "tools")
    for tool in tools:
        check(tool.output_schema["type"] == "object" and tool.annotations.read_only_hint, f"{tool.name}: its schema")
    for name, arguments in TOOLS.items():
        result = await client.call_tool(name, arguments)
        check(not result.is_error, f"{name}: {result.content}")
        check(result.content[0].text and result.structured_content, f"{name}: both forms")
        within_bounds(result)
    paths = (await client.call_tool("query", {"query": "requests_total", "limit": 100})).structured_content
    check(paths["page"]["total"] == 60 and paths["page"]["next"] < 60, f"a page: {paths['page']}")

    for arguments, part in [
        ({}, "missing field `query`"),
        ({"query": "sum("}, "parse error"),
        ({"query": "up", "from": 1}, "unknown field `from`"),
        ({"query": "up", "inputs": ["/etc/passwd"]}, "no such recording here"),
        ({"query": "up", "inputs": ["http://127.0.0.1:1/"]}, "only agents that this server was started with"),
    ]:
        result = await client.call_tool("query", arguments)
        check(result.is_error and part in result.content[0].text, f"{arguments}: {result.content}")
    for name, arguments, part in [
        ("find_cause", {}, "say what is to be explained"),
        ("compare", {}, "both sides are the same"),
        ("analyze_correlation", {"x": "up", "y": "queue_length"}, "x: not there: up"),
        ("summarize", {"resource": "disk"}, "cpu, scheduler, memory"),
        ("detect_anomalies", {"start": "noon"}, "RFC 3339"),
    ]:
        result = await client.call_tool(name, arguments)
        check(result.is_error and part in result.content[0].text, f"{name} {arguments}: {result.content}")
    result = await client.call_tool("status", {})
    check(result.is_error and "nothing is told of samplers" in result.content[0].text, "status of an exporter")
    for wrong in client.call_tool("none"), client.read_resource("rezolus://nothing"), client.get_prompt("none"):
        try:
            await wrong
        except MCPError:
            continue
        raise AssertionError("what is not there was not refused")

    resources = (await client.list_resources()).resources
    check(len(resources) == 3, [resource.uri for resource in resources])
    check(len((await client.list_resource_templates()).resource_templates) == 5, "templates")
    for resource in resources:
        contents = (await client.read_resource(resource.uri)).contents
        check(contents[0].text is not None, resource.uri)
    metric = await client.read_resource(f"{resources[0].uri}/metrics/requests_total")
    check(json.loads(metric.contents[0].text)["type"] == "counter", "a metric")

    prompts = (await client.list_prompts()).prompts
    check({prompt.name for prompt in prompts} == {"investigate_incident", "compare_runs", "check_health"}, "prompts")
    prompt = await client.get_prompt("compare_runs", {"before": "a", "after": "b"})
    check("before is a, after is b" in prompt.messages[0].content.text, "a prompt's arguments")


async def progress(client):
    said = []

    async def hear(progress, total, message):
        said.append((progress, message))

    try:
        await client.call_tool("query", {"query": HEAVY, "at": "-0s"}, read_timeout_seconds=4, progress_callback=hear)
    except MCPError:
        pass
    counts = [count for count, _ in said]
    check(len(said) >= 3 and counts == sorted(set(counts)), f"progress: {said}")
    check(any(message == "evaluating the query" for _, message in said), f"progress: {said}")


def parameters(recording):
    return StdioServerParameters(command=REZOLUS, args=["mcp", recording])


async def over_stdio(recording):
    for mode, version in ("legacy", "2025-11-25"), ("2026-07-28", "2026-07-28"), ("auto", "2026-07-28"):
        async with Client(parameters(recording), mode=mode) as client:
            await everything(client, version)
            if mode == "legacy":
                await progress(client)


class Raw:
    """A server and its pipes, for what no library sends."""

    def __init__(self, recording):
        self.began = time.monotonic()
        self.server = subprocess.Popen([REZOLUS, "mcp", recording], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        info = {"name": "raw", "version": "1"}
        self.send(1, "initialize", {"protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": info})
        # The oldest revision is spoken too.
        answer = self.answer(1)
        self.first_answer = time.monotonic() - self.began
        check(answer["result"]["protocolVersion"] == "2024-11-05", answer)
        self.write({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def write(self, message):
        text = message if isinstance(message, str) else json.dumps(message)
        self.server.stdin.write(text.encode("utf-8", "surrogateescape") + b"\n")
        self.server.stdin.flush()

    def send(self, number, method, params):
        self.write({"jsonrpc": "2.0", "id": number, "method": method, "params": params})

    def call(self, number, name, arguments):
        self.send(number, "tools/call", {"name": name, "arguments": arguments})

    def answer(self, number):
        while line := self.server.stdout.readline():
            message = json.loads(line)
            if message.get("id") == number and ("result" in message or "error" in message):
                return message
        raise AssertionError(f"the server ended: {self.server.wait()}")

    def cpu(self):
        fields = Path(f"/proc/{self.server.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident(self):
        return int(Path(f"/proc/{self.server.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def end(self):
        self.server.stdin.close()
        check(self.server.wait(10) == 0, "it ends when its client does")


def bad_input(raw):
    for bad in [
        "", "no JSON", "{", "[]", "5", '"text"', "null", "{}", '{"jsonrpc":"2.0"}', "\udcff\udcfe", "[" * 5000,
        '{"jsonrpc":"2.0","id":{},"method":"tools/call"}',
        '{"jsonrpc":"2.0","id":90,"method":"tools/call"}',
        '{"jsonrpc":"2.0","id":91,"method":"tools/call","params":{"name":5}}',
        '{"jsonrpc":"2.0","id":92,"method":"tools/call","params":{"name":"query","arguments":[]}}',
        '{"jsonrpc":"2.0","id":93,"method":"no/such","params":{}}',
        '{"jsonrpc":"2.0","method":"no/such"}',
        '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":12345}}',
        '{"jsonrpc":"2.0","id":94,"method":"resources/list","params":{"cursor":"x"}}',
        '{"jsonrpc":"2.0","id":95,"method":"tools/call","params":{"name":"query","arguments":{"query":"%s"}}}' % ("(" * 3000),
        '{"jsonrpc":"2.0","id":96,"method":"tools/call","params":{"name":"query","arguments":{"query":"%s"}}}' % ("x" * 1000000),
    ]:
        raw.write(bad)
    raw.call(2, "query", {"query": "queue_length"})
    check(raw.answer(2)["result"]["isError"] is False, "it goes on after bad input")


def cancel(raw):
    raw.call(3, "query", {"query": HEAVY, "at": "-0s"})
    time.sleep(0.5)
    raw.write({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 3, "reason": "enough"}})
    raw.call(4, "query", {"query": "queue_length"})
    check("result" in raw.answer(4), "others are answered meanwhile")
    time.sleep(1.5)
    before = raw.cpu()
    time.sleep(1)
    check(raw.cpu() - before < 0.3, "what was canceled goes on")


def thousand_calls(raw):
    questions = [*TOOLS.items(), ("query", {"query": "sum("}), ("query", {"query": "up", "inputs": "other"})]

    def ask(count, first):
        for number in range(first, first + count):
            raw.call(number, *questions[number % len(questions)])
            raw.answer(number)

    ask(CALLS // 5, 1000)
    before = raw.resident()
    began = time.monotonic()
    ask(CALLS, 10_000)
    took, grown = time.monotonic() - began, raw.resident() - before
    check(grown < 4 << 20, f"{grown} bytes more after {CALLS} calls")
    print(f"{CALLS} calls: {took / CALLS * 1000:.1f} ms each, {grown >> 10} KiB more")


@contextlib.contextmanager
def served(recording, *options):
    command = [REZOLUS, "mcp", recording, "--listen", "127.0.0.1:0", *options]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        yield server.stdout.readline().strip()
    finally:
        server.terminate()
        check(server.wait(10) == 0, "it ends cleanly")


def status(url, **headers):
    ping = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"}).encode()
    accept = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, ping, accept | headers)) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def preflight(url, headers):
    """As a browser asks before a page of another server's is let ask."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers, method="OPTIONS")) as answer:
            return answer.headers["Access-Control-Allow-Origin"]
    except urllib.error.HTTPError:
        return None


async def over_http(recording, folder):
    with served(recording) as url:
        for mode, version in ("legacy", "2025-11-25"), ("auto", "2026-07-28"):
            async with Client(url, mode=mode) as client:
                await everything(client, version)
        check(status(url) == 200, "a request by itself")
        check(status(url, Origin="http://evil.example") == 403, "a page of somebody else's")
        check(status(url, Origin="http://localhost:1") == 403, "a page of this machine's")
        check(status(url, Host="evil.example") == 403, "a name that was made to point here")
        check(status(url.removesuffix("/mcp")) == 404, "another path")
        inspect(url, "--transport", "http")
    (folder / "token").write_text("secret\n")
    with served(recording, "--token-file", str(folder / "token"), "--origin", "https://app.example:443") as url:
        check(status(url) == 401 and status(url, Authorization="Bearer wrong") == 401, "without the token")
        check(status(url, Authorization="Bearer secret") == 200, "with the token")
        check(status(url, Authorization="Bearer secret", Origin="https://app.example") == 200, "a page that may")
        async with httpx2.AsyncClient(headers={"Authorization": "Bearer secret"}) as web:
            async with Client(streamable_http_client(url, http_client=web)) as client:
                check(len((await client.list_tools()).tools) > len(TOOLS), "the token's bearer")
        page = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
        check(preflight(url, page) == "https://app.example", "a page's browser that asks whether it may")
        check(preflight(url, page | {"Origin": "http://evil.example"}) is None, "another page's")


def inspector(*server):
    """Asks the inspector, which has no window then."""

    def ask(*arguments):
        command = ["node", INSPECTOR, "--cli", *server, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        check(done.returncode == 0, f"{arguments}: {done.stdout} {done.stderr}")
        return json.loads(done.stdout)

    return ask


def inspect(*server):
    ask = inspector(*server)
    check(len(ask("--method", "tools/list")["tools"]) == len(TOOLS) + 1, "the inspector's tools")
    for name, arguments in TOOLS.items():
        given = [part for argument in arguments.items() for part in ("--tool-arg", "=".join(argument))]
        called = ask("--method", "tools/call", "--tool-name", name, *given)
        check(not called.get("isError") and called["structuredContent"], f"the inspector's {name}: {called}")
    call = ["--method", "tools/call", "--tool-name", "query", "--tool-arg", "query=queue_length"]
    check(ask(*call)["structuredContent"]["page"]["total"] == 1, "the inspector's query")
    check(len(ask("--method", "prompts/list")["prompts"]) == 3, "the inspector's prompts")
    check(len(ask("--method", "resources/list")["resources"]) == 3, "the inspector's resources")


@contextlib.contextmanager
def agent(folder):
    """An agent with one plugin, which reads files of the kernel only."""
    plugins, log = folder / "plugins", folder / "log"
    plugins.mkdir(mode=0o755)
    shutil.copyfile(Path(REZOLUS).parent / "libmemory.so", plugins / "memory.so")
    config = folder / "config.toml"
    config.write_text(f'[agent]\nlisten = "127.0.0.1:0"\nplugin_dir = "{plugins}"\n')
    with log.open("w") as stderr:
        process = subprocess.Popen([REZOLUS, config], stderr=stderr)
    try:
        for _ in range(200):
            if found := re.search(r"serving on (http://[\d.]+:\d+) after", log.read_text()):
                break
            time.sleep(0.05)
        check(found, f"the agent did not start: {log.read_text()}")
        yield found[1]
    finally:
        process.terminate()
        check(process.wait(10) == 0, "the agent ends cleanly")


async def of_an_agent(folder):
    """What only an agent tells: the state of its samplers."""
    with agent(folder) as url:
        async with Client(StdioServerParameters(command=REZOLUS, args=["mcp", url])) as client:
            result = await client.call_tool("status", {})
            check(not result.is_error and "memory" in result.content[0].text, f"status: {result.content}")
            within_bounds(result)
        called = inspector(REZOLUS, "mcp", url)("--method", "tools/call", "--tool-name", "status")
        check(not called.get("isError") and called["structuredContent"], f"the inspector's status: {called}")


async def main():
    exporter = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Exporter)
    threading.Thread(target=exporter.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        recording = str(folder / "run 1.parquet")
        url = f"http://127.0.0.1:{exporter.server_port}/metrics"
        command = [REZOLUS, "record", "-i", "50ms", "-d", "2s", "-o", recording, url]
        subprocess.run(command, check=True, capture_output=True)

        await over_stdio(recording)
        raw = Raw(recording)
        print(f"the first answer came {raw.first_answer * 1000:.0f} ms after the start")
        bad_input(raw)
        cancel(raw)
        thousand_calls(raw)
        raw.end()
        await over_http(recording, folder)
        inspect(REZOLUS, "mcp", recording)
        await of_an_agent(folder)
        async with Client(StdioServerParameters(command=REZOLUS, args=["mcp", f"live={url}"])) as client:
            await asyncio.sleep(2.5)
            result = await client.call_tool("query", {"query": "rate(requests_total[5s])", "at": "-0s"})
            check(result.structured_content["page"]["total"] == 60, f"a live exporter: {result.content}")
    print("well")


asyncio.run(main())
