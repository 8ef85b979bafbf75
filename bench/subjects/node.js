// `node node.js PORT [FILE]`. A line on its stdin stops it, as with `hardstop`; its other paths are those of
// `transfer-hardstop`.
const fs = require('fs');
const path = process.argv[3];
const SIZE = 256 << 20, PIECE = 512 * 1024;
const memory = path && Buffer.alloc(SIZE, 'x');

function transfer(request, response) {
    const fixed = () => response.setHeader('Content-Length', SIZE);
    let count = 0;
    const counted = () => response.end(String(count));
    switch (`${request.method} ${request.url}`) {
        case 'GET /memory':
            fixed();
            return response.end(memory);
        case 'GET /memory-chunked': {
            let sent = 0;
            const more = () => {
                while (sent < SIZE) {
                    if (!response.write(memory.subarray(sent, sent += PIECE))) return response.once('drain', more);
                }
                response.end();
            };
            return more();
        }
        case 'GET /file':
            fixed(); // and as the next one
        case 'GET /file-chunked':
            return fs.createReadStream(path, { highWaterMark: PIECE }).pipe(response);
        case 'POST /memory':
            return request.on('data', (piece) => { count += piece.length; }).on('end', counted);
        case 'POST /file':
            request.on('data', (piece) => { count += piece.length; });
            return request.pipe(fs.createWriteStream(`${path}.up`, { highWaterMark: PIECE })).on('finish', counted);
    }
}

const server = require('http').createServer({ highWaterMark: PIECE }, (request, response) => {
    if (request.url !== '/hello') return transfer(request, response);
    response.setHeader('Content-Type', 'text/plain');
    response.end('Hello world!');
});
server.keepAliveTimeout = 75_000;
server.on('connection', (socket) => socket.setNoDelay(true));
server.listen(Number(process.argv[2]), '127.0.0.1');
process.stdin.once('data', () => {
    const start = process.hrtime.bigint();
    const since = () => (process.hrtime.bigint() - start) / 1000n;
    server.close(() => {
        console.log(`${cut} ${since()}`);
        process.exit();
    });
    server.closeAllConnections();
    const cut = since();
});
