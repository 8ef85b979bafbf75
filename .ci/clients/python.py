"""Python's clients: python.py CLIENT CHECK ADDRESS [VALUE] makes the requests of a check and prints what comes back.

Each client is a function that sends a request on a connection that it keeps, if it can, and returns the status, the
headers and the body. Its body is bytes, or a generator, which it sends in chunks unless Content-Length is given.
"""
import asyncio, sys, time

def http_client(address):
    import http.client
    connection = http.client.HTTPConnection(address, timeout=20)
    def send(method, target, body=None, **headers):
        connection.request(method, target, body, headers)
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    return send

def urllib(address):
    import urllib.request
    def send(method, target, body=None, **headers):
        request = urllib.request.Request(f"http://{address}{target}", body, headers, method=method)
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, response.headers, response.read()
    return send

def urllib3(address):
    import urllib3
    pool = urllib3.PoolManager()
    def send(method, target, body=None, **headers):
        chunked = body is not None and not isinstance(body, bytes) and not headers
        answer = pool.urlopen(method, f"http://{address}{target}", body=body, headers=headers, chunked=chunked, retries=False)
        return answer.status, answer.headers, answer.data
    return send

def requests(address):
    import requests
    session = requests.Session()
    def send(method, target, body=None, **headers):
        answer = session.request(method, f"http://{address}{target}", data=body, headers=headers, timeout=20)
        return answer.status_code, answer.headers, answer.content
    return send

def httpx(address):
    import httpx
    client = httpx.Client(timeout=20)
    def send(method, target, body=None, **headers):
        answer = client.request(method, f"http://{address}{target}", content=body, headers=headers)
        return answer.status_code, answer.headers, answer.content
    return send

def aiohttp(address):
    import aiohttp
    loop = asyncio.new_event_loop()
    async def open_session():
        return aiohttp.ClientSession()
    session = loop.run_until_complete(open_session())
    async def pieces(body):
        for piece in body:
            yield piece
    async def request(method, target, body, headers):
        data = body if body is None or isinstance(body, bytes) else pieces(body)
        expects = headers.pop("Expect", None) is not None
        async with session.request(method, f"http://{address}{target}", data=data, headers=headers, expect100=expects) as answer:
            return answer.status, answer.headers, await answer.read()
    return lambda method, target, body=None, **headers: loop.run_until_complete(request(method, target, body, headers))

def slowly():
    """60 KB at 20 KB/s."""
    for _ in range(30):
        time.sleep(0.1)
        yield bytes(2_000)

def in_pieces():
    for length in [1, 999, 99_000, 4_900_000]:
        yield bytes(length)

client, check, address, *value = sys.argv[1:]
clients = {"http.client": http_client, "urllib": urllib, "urllib3": urllib3, "requests": requests, "httpx": httpx, "aiohttp": aiohttp}
send = clients[client](address)

def show(status, headers, body):
    print(body.decode() if status == 200 else f"{status} {body.decode()}", end="")

if check == "get":
    show(*send("GET", "/"))
elif check == "head":
    status, headers, _ = send("HEAD", "/large")
    print(status, headers["Content-Length"])
elif check == "reuse":
    for body in [None, b"text", None]:
        show(*send("POST" if body else "GET", "/connection", body))
elif check == "post":
    show(*send("POST", "/", b"text"))
elif check == "upload":
    show(*send("POST", "/", bytes(5_000_000)))
elif check == "unread":
    show(*send("POST", "/early", bytes(5_000_000)))
elif check == "chunked":
    show(*send("POST", "/", in_pieces()))
elif check == "expect":
    show(*send("POST", "/", b"text", Expect="100-continue"))
elif check == "large":
    print(len(send("GET", "/large")[2]))
elif check == "query":
    show(*send("GET", "/query?q=" + value[0]))
elif check == "slow":
    show(*send("POST", "/early", slowly(), **{"Content-Length": "60000", "Connection": "close"}))
elif check == "slow-chunked":
    show(*send("POST", "/early", slowly()))
else:
    sys.exit(f"no such check: {check}")
