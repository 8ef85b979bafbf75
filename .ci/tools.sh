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

# Sets the names of one of Debian's architectures: gcc's, that of its C library's package, rustc's, and qemu's.
choose_arch() {
    libc=$1
    # shellcheck disable=SC2034 # the callers use them
    case $1 in
        armhf) gcc=arm-linux-gnueabihf target=armv7-unknown-linux-gnueabihf qemu=arm ;;
        mipsel) gcc=mipsel-linux-gnu target=mipsel-unknown-linux-gnu qemu=mipsel ;;
        s390x) gcc=s390x-linux-gnu target=s390x-unknown-linux-gnu qemu=s390x ;;
        i386) gcc=i686-linux-gnu target=i686-unknown-linux-gnu qemu=i386 ;;
        amd64) gcc=x86_64-linux-gnu target=x86_64-unknown-linux-gnu qemu=x86_64 ;;
        arm64) gcc=aarch64-linux-gnu target=aarch64-unknown-linux-gnu qemu=aarch64 ;;
        ppc64el) gcc=powerpc64le-linux-gnu target=powerpc64le-unknown-linux-gnu qemu=ppc64le ;;
        *) echo "unknown: $1" && exit 2 ;;
    esac
}

# Installs what compiles for these architectures, and puts Debian's std for them into $temp/std.
#
# apt may fetch that std only if it knows the architecture. It gets a state of its own in a private place, so neither this
# machine's package lists nor its architectures change.
need_arches() {
    local arch deb version packages=(rustc:/usr/bin/rustc)
    for arch in "$@"; do
        choose_arch "$arch"
        packages+=("gcc-${gcc//_/-}:$gcc-gcc")
        if [ "$arch" != "$(dpkg --print-architecture)" ] && [ ! -e "/usr/$gcc/lib/crt1.o" ]; then
            packages+=("libc6-dev-$libc-cross")
        fi
    done
    need "${packages[@]}"
    /usr/bin/rustc --version
    version=$(dpkg-query -W -f '${Version}' libstd-rust-dev)

    mkdir -p "$temp"/{lists,cache/archives}/partial
    local apt=(apt-get -qq -o "Dir::State::Lists=$temp/lists" -o "Dir::Cache=$temp/cache" -o APT::Sandbox::User=root
        -o Acquire::Languages=none -o "APT::Architectures::=$(dpkg --print-architecture)")
    for arch in "$@"; do apt+=(-o "APT::Architectures::=$arch"); done
    # A mirror that is being updated may lack some lists. Those that are there may be enough.
    "${apt[@]}" update || true
    for arch in "$@"; do
        if ! (cd "$temp" && "${apt[@]}" download "libstd-rust-dev:$arch=$version"); then
            echo "skipped: there is no std for $arch of this compiler's version"
            exit 77
        fi
    done
    for deb in "$temp"/*.deb; do dpkg-deb -x "$deb" "$temp/std"; done
    echo "the compilers and std are there after $SECONDS s"
}
