# Functions that the scripts in .ci/extra share. The scripts source this file from the repository's root.
# shellcheck shell=bash

# Installs the missing ones of these packages, given as `package` or `package:command`. Exits with 77, "skipped", if it
# cannot.
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
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq update
    apt-get -qq install --no-install-recommends "${missing[@]}" >/dev/null
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

# Builds .ci/server.rs in $temp, starts it, adds it to $jobs, and sets $address to its address.
start_server() {
    local build=(rustc --edition 2021 -O -D warnings -L "$temp" --out-dir "$temp")
    "${build[@]}" --crate-type rlib --crate-name hardstop src/lib.rs
    "${build[@]}" --extern hardstop .ci/server.rs
    "$temp/server" >"$temp/address" &
    jobs+=($!)
    until_it test -s "$temp/address"
    # shellcheck disable=SC2034 # the caller uses it
    address=$(<"$temp/address")
}
