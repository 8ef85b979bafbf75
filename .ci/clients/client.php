<?php
// PHP's clients: client.php CLIENT CHECK ADDRESS [VALUE] makes the requests of a check and prints what comes back.
[, $client, $check, $address] = $argv;
$value = $argv[4] ?? '';
$url = "http://$address";

// Returns the status, the Content-Length and the body of the response.
function with_streams($method, $url, $body, $headers) {
    $options = ['method' => $method, 'header' => $headers, 'content' => $body, 'timeout' => 20, 'ignore_errors' => true];
    $answer = file_get_contents($url, false, stream_context_create(['http' => $options]));
    $length = '';
    foreach ($http_response_header as $line) {
        if (stripos($line, 'Content-Length: ') === 0) {
            $length = substr($line, 16);
        }
    }
    return [(int) explode(' ', $http_response_header[0])[1], $length, $answer];
}

function with_curl($method, $url, $body, $headers) {
    static $curl = null;
    $curl ??= curl_init();
    curl_reset($curl);
    curl_setopt_array($curl, [CURLOPT_URL => $url, CURLOPT_CUSTOMREQUEST => $method, CURLOPT_NOBODY => $method === 'HEAD',
        CURLOPT_HTTPHEADER => $headers, CURLOPT_RETURNTRANSFER => true, CURLOPT_TIMEOUT => 20]);
    if ($body !== '') {
        curl_setopt($curl, CURLOPT_POSTFIELDS, $body);
    }
    $answer = curl_exec($curl);
    $length = (string) curl_getinfo($curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD);
    return [curl_getinfo($curl, CURLINFO_RESPONSE_CODE), $length, $answer];
}

function send($method, $target, $body = '', $headers = []) {
    global $client, $url;
    return ($client === 'curl' ? 'with_curl' : 'with_streams')($method, $url . $target, $body, $headers);
}

function show(...$request) {
    [$status, , $body] = send(...$request);
    echo $status === 200 ? $body : "$status $body";
}

$large = str_repeat("\0", 5_000_000);
switch ($check) {
    case 'get': show('GET', '/'); break;
    case 'head': [$status, $length] = send('HEAD', '/large'); echo "$status $length\n"; break;
    case 'reuse':
        show('GET', '/connection');
        show('POST', '/connection', 'text');
        show('GET', '/connection');
        break;
    case 'post': show('POST', '/', 'text'); break;
    case 'upload': show('POST', '/', $large); break;
    case 'unread': show('POST', '/early', $large); break;
    case 'expect': show('POST', '/', 'text', ['Expect: 100-continue']); break;
    case 'large': echo strlen(send('GET', '/large')[2]), "\n"; break;
    case 'query': show('GET', "/query?q=$value"); break;
    default: exit("no such check: $check\n");
}
