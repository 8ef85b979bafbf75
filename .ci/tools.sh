# Functions that the scripts in .ci/extra share. The scripts source this file from the repository's root.
# shellcheck shell=bash

# Installs packages. Fails if it cannot.
lists_are_new=false
install() {
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then return 1; fi
    export DEBIAN_FRONTEND=noninteractive
    $lists_are_new || apt-get -qq update || return
    lists_are_new=true
    apt-get -qq install --no-install-recommends "$@" >/dev/null
}

# Installs the missing ones of these packages, given as `package` or `package:command`. Exits with 77, "skipped", if it
# may not.
need() {
    local each missing=()
    for each in "$@"; do
        command -v "${each#*:}" >/dev/null || missing+=("${each%:*}")
    done
    if [ ${#missing[@]} = 0 ]; then return; fi
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "skipped: ${missing[*]} cannot be installed: that takes root and apt"
        exit 77
    fi
    install "${missing[@]}"
}

# Waits up to 10 s until the command succeeds.
until_it() {
    for _ in {1..100}; do
        if "$@"; then return; fi
        sleep 0.1
    done
    echo "timed out waiting for: $*"
    return 1
}

listening() { (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Sets $port to a port that nothing listens on, each time to another one.
next_port=20000
free_port() {
    while listening $next_port; do next_port=$((next_port + 1)); done
    port=$next_port
    next_port=$((next_port + 1))
}

# Builds .ci/NAME.rs as $temp/NAME. LIBRARY=OTHER/src/lib.rs takes another version of the library.
build_program() {
    local build=(rustc --edition 2021 -O -D warnings -L "$temp" --out-dir "$temp")
    "${build[@]}" --crate-type rlib --crate-name hardstop "${LIBRARY:-src/lib.rs}"
    "${build[@]}" --extern hardstop ".ci/$1.rs"
}

# Starts $temp/NAME with the other arguments, adds it to $jobs, and sets $address to its first line: its address.
start_program() {
    local program=$temp/$1 output
    shift
    output=$(mktemp -p "$temp")
    "$program" "$@" >"$output" &
    jobs+=($!)
    until_it test -s "$output"
    # shellcheck disable=SC2034 # the caller uses it
    address=$(head -n 1 "$output")
}

# Builds .ci/server.rs, starts it, and sets $address to its address.
start_server() {
    build_program server
    start_program server
}
