// `node node.js PORT`. A line on its stdin stops it, as with `hardstop`.
const server = require('http').createServer((_, response) => {
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
