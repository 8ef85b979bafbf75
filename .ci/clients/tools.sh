#!/usr/bin/env bash
# Clients that are commands: tools.sh CLIENT CHECK ADDRESS [VALUE] makes the requests of a check and prints what comes
# back. Each check of a client is a function.
# shellcheck disable=SC2317 # the functions are called by name
set -euo pipefail
url=http://$3 value=${4:-}
temp=$(mktemp -d)
trap 'rm -r "$temp"' EXIT
zeros() { head -c "$1" /dev/zero; }
status_and_length() { tr -d '\r' | awk '/^ *HTTP\// { status = $2 } /^ *Content-Length:/ { length_of = $2 } END { print status, length_of }'; }

curl() { command curl --silent --show-error --globoff --noproxy '*' "$@"; }
curl_query() { curl "$url/query?q=$value"; }
curl_slow() { zeros 60000 | curl --limit-rate 20K --header 'Connection: close' --data-binary @- "$url/early"; }
curl_slow-chunked() { zeros 60000 | curl --limit-rate 20K --request POST --upload-file - "$url/early"; }
curl_unix() { command curl --silent --header 'Host;' --unix-socket "${url#http://}" http://x/; }

wget_get() { wget -qO- "$url/"; }
wget_head() { wget -qS --spider "$url/large" 2>&1 | status_and_length; }
wget_reuse() { wget -qO- "$url/connection" "$url/connection" "$url/connection"; }
wget_post() { wget -qO- --post-data=text "$url/"; }
wget_upload() { zeros 5000000 >"$temp/5MB" && wget -qO- --post-file="$temp/5MB" "$url/"; }
wget_unread() { zeros 5000000 >"$temp/5MB" && wget -qO- --post-file="$temp/5MB" "$url/early"; }
wget_large() { wget -qO- "$url/large" | wc -c; }
wget_query() { wget -qO- "$url/query?q=$value"; }

wget2_get() { wget2 -qO- "$url/"; }
# It keeps a connection only if the response says that it is kept.
wget2_reuse() { wget2 -qO- --max-threads=1 "$url/connection?1" "$url/connection?2" "$url/connection?3"; }
wget2_post() { wget2 -qO- --post-data=text "$url/"; }
wget2_upload() { zeros 5000000 >"$temp/5MB" && wget2 -qO- --post-file="$temp/5MB" "$url/"; }
wget2_unread() { zeros 5000000 >"$temp/5MB" && wget2 -qO- --post-file="$temp/5MB" "$url/early"; }
wget2_large() { wget2 -qO- "$url/large" | wc -c; }
wget2_query() { wget2 -qO- "$url/query?q=$value"; }

busybox_get() { busybox wget -qO- "$url/"; }
busybox_post() { busybox wget -qO- --post-data=text "$url/"; }
busybox_large() { busybox wget -qO- "$url/large" | wc -c; }
busybox_query() { busybox wget -qO- "$url/query?q=$value"; }

# aria2 writes files only.
fetch_with_aria2() { aria2c --quiet --no-conf --dir="$temp" --out=file "$1" && cat "$temp/file"; }
aria2_get() { fetch_with_aria2 "$url/"; }
aria2_large() { fetch_with_aria2 "$url/large" | wc -c; }
aria2_query() { fetch_with_aria2 "$url/query?q=$value"; }

httpie() { http --ignore-stdin --body "$@"; }
httpie_get() { httpie "$url/"; }
httpie_head() { http --ignore-stdin --headers HEAD "$url/large" | status_and_length; }
httpie_post() { httpie --raw=text POST "$url/"; }
httpie_upload() { zeros 5000000 | http --body POST "$url/"; }
httpie_unread() { zeros 5000000 | http --body POST "$url/early"; }
httpie_chunked() { zeros 5000000 | http --body --chunked POST "$url/"; }
httpie_expect() { httpie --raw=text POST "$url/" Expect:100-continue; }
httpie_large() { httpie --download --output "$temp/file" "$url/large" 2>"$temp/progress" && wc -c <"$temp/file"; }
httpie_query() { httpie "$url/query?q=$value"; }

lynx_get() { lynx -source "$url/"; }
lynx_head() { lynx -dump -head "$url/large" | status_and_length; }
lynx_post() { printf 'text\n---\n' | lynx -source -post_data "$url/"; }
lynx_large() { lynx -source "$url/large" | wc -c; }
lynx_query() { lynx -source "$url/query?q=$value"; }

w3m_get() { w3m -dump_source "$url/"; }
w3m_head() { w3m -dump_head "$url/large" | status_and_length; }
w3m_post() { printf text >"$temp/text" && w3m -post "$temp/text" -dump_source "$url/"; }
w3m_upload() { zeros 5000000 >"$temp/5MB" && w3m -post "$temp/5MB" -dump_source "$url/"; }
w3m_unread() { zeros 5000000 >"$temp/5MB" && w3m -post "$temp/5MB" -dump_source "$url/early"; }
w3m_large() { w3m -dump_source "$url/large" | wc -c; }
w3m_query() { w3m -dump_source "$url/query?q=$value"; }

# With -k, ab asks HTTP/1.0 to keep its connections alive.
counts_of_ab() { ab -q "$@" | awk '/^(Complete|Failed|Non-2xx|Keep-Alive) / { printf "%s %s\n", $1, $NF }' | paste -sd ' '; }
ab_ab-get() { counts_of_ab -n 200 -c 4 -k "$url/"; }
ab_ab-post() { printf text >"$temp/text" && counts_of_ab -n 200 -c 4 -k -p "$temp/text" "$url/"; }
ab_ab-unread() { zeros 5000000 >"$temp/5MB" && counts_of_ab -n 8 -c 4 -p "$temp/5MB" "$url/early"; }
ab_ab-large() { counts_of_ab -n 8 -c 4 -k "$url/large"; }

"$1_$2"
