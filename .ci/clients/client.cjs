// Node's clients: client.cjs CLIENT CHECK ADDRESS [VALUE] makes the requests of a check and prints what comes back.
const http = require("http");
const { Readable } = require("stream");

const [name, check, address, value] = process.argv.slice(2);
const url = "http://" + address;
// As http.globalAgent has it. Without a timeout of its own, an agent does not follow the server's hint.
const agent = new http.Agent({ keepAlive: true, timeout: 5000 });

// Each client sends a request and returns the status, the headers and the body. A body is a buffer or a stream.
const clients = {
    agent: (method, target, body, headers = {}) => new Promise((resolve, reject) => {
        const [host, port] = address.split(":");
        if (body instanceof Buffer) headers["Content-Length"] = body.length;
        const request = http.request({ agent, host, port, method, path: target, headers });
        request.on("error", reject);
        request.on("response", (response) => {
            const pieces = [];
            response.on("error", reject);
            response.on("data", (piece) => pieces.push(piece));
            response.on("end", () => resolve([response.statusCode, response.headers, Buffer.concat(pieces)]));
        });
        if (body instanceof Readable) body.pipe(request);
        else request.end(body);
    }),
    fetch: async (method, target, body, headers = {}) => {
        const stream = body instanceof Readable;
        const options = stream ? { body: Readable.toWeb(body), duplex: "half" } : { body };
        const response = await fetch(url + target, { method, headers, ...options });
        return [response.status, Object.fromEntries(response.headers), Buffer.from(await response.arrayBuffer())];
    },
    undici: async (method, target, body, headers = {}) => {
        const response = await require("undici").request(url + target, { method, headers, body });
        return [response.statusCode, response.headers, Buffer.from(await response.body.arrayBuffer())];
    },
};
const send = clients[name];

async function show(...request) {
    const [status, , body] = await send(...request);
    process.stdout.write((status === 200 ? "" : status + " ") + body);
}

const pause = (millis) => new Promise((resolve) => setTimeout(resolve, millis));

// 60 KB at 20 KB/s.
async function* slowly() {
    for (let i = 0; i < 30; i++) {
        await pause(100);
        yield Buffer.alloc(2000);
    }
}

async function* inPieces() {
    for (const length of [1, 999, 99_000, 4_900_000]) yield Buffer.alloc(length);
}

// Posts 80 times, each on a connection that has been idle for about as long as the server allows.
async function postNearIdleTimeout(millis) {
    const text = Buffer.from("text");
    const posts = [...Array(80).keys()].map(async (i) => {
        await send("POST", "/", text);
        await pause(millis - 10 + i / 4);
        const [status] = await send("POST", "/", text);
        return status;
    });
    const results = await Promise.allSettled(posts);
    for (const result of results) if (result.reason) console.error(result.reason);
    console.log(results.filter((result) => result.value === 200).length, "of 80 answered");
}

const checks = {
    get: () => show("GET", "/"),
    head: async () => {
        const [status, headers] = await send("HEAD", "/large");
        console.log(status, headers["content-length"]);
    },
    reuse: async () => {
        for (const body of [undefined, Buffer.from("text"), undefined]) {
            await show(body ? "POST" : "GET", "/connection", body);
            await pause(10); // a connection is free again a moment after its response
        }
    },
    post: () => show("POST", "/", Buffer.from("text")),
    upload: () => show("POST", "/", Buffer.alloc(5_000_000)),
    unread: () => show("POST", "/early", Buffer.alloc(5_000_000)),
    chunked: () => show("POST", "/", Readable.from(inPieces())),
    expect: () => show("POST", "/", Buffer.from("text"), { Expect: "100-continue" }),
    large: async () => console.log((await send("GET", "/large"))[2].length),
    query: () => show("GET", "/query?q=" + value),
    slow: () => show("POST", "/early", Readable.from(slowly()), { "Content-Length": "60000", Connection: "close" }),
    "slow-chunked": () => show("POST", "/early", Readable.from(slowly())),
    hint: async () => {
        const [, headers] = await send("POST", "/", Buffer.from("text"));
        const [, seconds] = /timeout=(\d+)/.exec(headers["keep-alive"]) ?? [];
        console.log(seconds * 1000 <= value ? `a hint within ${value / 1000} s` : "no hint");
    },
    idle: () => postNearIdleTimeout(Number(value)),
};

checks[check]().then(() => process.exit(0), (error) => {
    console.error(error);
    process.exit(1);
});
