# What the scripts in .ci/extra share. They source it from the repository's root.
# shellcheck shell=bash

# Installs what is missing of these packages, as `package` or `package:command`, or ends with 77, "skipped".
need() {
    local each missing=()
    for each in "$@"; do
        command -v "${each#*:}" >/dev/null || missing+=("${each%:*}")
    done
    if [ ${#missing[@]} = 0 ]; then return; fi
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "skipped: ${missing[*]} is missing, and only root can install it, with apt"
        exit 77
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq update
    apt-get -qq install --no-install-recommends "${missing[@]}" >/dev/null
}

# Waits for at most 10 s until the command succeeds.
until_it() {
    for _ in {1..100}; do
        if "$@"; then return; fi
        sleep 0.1
    done
    echo "waited in vain: $*"
    return 1
}

listening() { (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Builds .ci/server.rs in $temp, starts it as one of the $jobs, and sets $address to where it listens.
start_server() {
    local build=(rustc --edition 2021 -O -D warnings -L "$temp" --out-dir "$temp")
    "${build[@]}" --crate-type rlib --crate-name hardstop src/lib.rs
    "${build[@]}" --extern hardstop .ci/server.rs
    "$temp/server" >"$temp/address" &
    jobs+=($!)
    until_it test -s "$temp/address"
    # shellcheck disable=SC2034 # it is for the caller
    address=$(<"$temp/address")
}
