#!/usr/bin/env bash
# Tries this crate for other platforms, and says in a table what went well. Not part of CI: the first run installs for about ten
# minutes, and takes 18 GB with what it builds. Needs root, a Debian machine and its debootstrap, and Debian's packages and crates as this machine gets them.
#
#     tests/platforms.sh                           all of it, in target/platforms
#     tests/platforms.sh DIRECTORY                 all of it, in a root made there, which is used again
#     tests/platforms.sh DIRECTORY CHECK..         some of it: the names below
#
# | check | what |
# |---|---|
# | types | the library type-checks without a warning, with default features and with none, for every target of `TARGETS` |
# | windows | tests, examples and benches type-check for Windows |
# | i686 | unit tests, conformance and `it` run, on processes too |
# | musl | conformance runs, on processes too |
# | aarch64 | likewise, by qemu |
# | wine | conformance runs, on threads |
#
# The root is Debian unstable, whose rustc comes with its source: so std is built for targets that Debian has none for.
set -uo pipefail
cd "$(dirname "$0")/.."
project=$PWD

TARGETS=(
    i686-unknown-linux-gnu aarch64-unknown-linux-gnu x86_64-unknown-linux-musl x86_64-pc-windows-gnu
    x86_64-apple-darwin aarch64-apple-darwin x86_64-unknown-freebsd x86_64-unknown-netbsd x86_64-unknown-illumos
    x86_64-unknown-dragonfly wasm32-wasip1-threads
)
PACKAGES=(
    cargo rustc rust-src gcc libc6-dev clang llvm lld
    gcc-i686-linux-gnu libc6-dev-i386-cross libc6-i386 lib32gcc-s1
    gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user
    musl-tools libunwind-21-dev gcc-mingw-w64-x86-64-posix wine64
)
WINDOWS=x86_64-pc-windows-gnu MUSL=x86_64-unknown-linux-musl

# Makes the root, unless it is there.
prepare() {
    [ -e "$root/prepared" ] && return
    local mirror
    # The machine's own: no other may be reachable.
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Component: main' |
        grep -v security | head -n 1)
    [ -n "$mirror" ] || { echo "platforms.sh: apt on this machine knows no mirror of Debian" >&2; return 1; }
    [ -e "$root/etc/debian_version" ] || debootstrap --variant=minbase unstable "$root" "$mirror" || return 1
    chroot "$root" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${PACKAGES[@]}" || return 1
    # std for musl asks for an unwinder by this name. gcc's needs the GNU library; LLVM's only two functions of it, which check more than they must.
    mkdir -p "$root/unwind"
    cat >"$root/unwind/checked.c" <<'EOF' || return 1
#include <stdarg.h>
#include <stdio.h>
int __vfprintf_chk(FILE *file, int flag, const char *format, va_list values) { return vfprintf(file, format, values); }
int __vsnprintf_chk(char *text, size_t most, int flag, size_t room, const char *format, va_list values) {
    return vsnprintf(text, most, format, values);
}
EOF
    chroot "$root" sh -c 'cd /unwind && cp /usr/lib/llvm-21/lib/libunwind.a . && musl-gcc -O -c checked.c && ar r libunwind.a checked.o' ||
        return 1
    touch "$root/prepared"
}

# Runs a command in the root, in mounts of its own that go away with it: the project, and what the kernel shows.
inside() {
    mkdir -p "$root/project" "$root/build"
    # Whom the machine trusts to have crates from.
    cp -L /etc/ssl/certs/ca-certificates.crt "$root/certificates"
    cp -L /etc/resolv.conf "$root/etc/resolv.conf"
    unshare --mount --propagation private bash -c '
        root=$1 project=$2
        mount --bind "$project" "$root/project" && mount --rbind /dev "$root/dev" && mount --rbind /proc "$root/proc" &&
            mount --rbind /sys "$root/sys" || exit
        shift 2
        exec chroot "$root" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin CARGO_HOME=/cargo CARGO_TARGET_DIR=/build \
            CARGO_HTTP_CAINFO=/certificates CARGO_PROFILE_DEV_DEBUG=0 CARGO_TERM_COLOR=never RUSTC_BOOTSTRAP=1 \
            CC_i686_unknown_linux_gnu=i686-linux-gnu-gcc CARGO_TARGET_I686_UNKNOWN_LINUX_GNU_LINKER=i686-linux-gnu-gcc \
            CC_x86_64_unknown_linux_musl=musl-gcc CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER=musl-gcc \
            CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_RUSTFLAGS="-Clink-self-contained=no -L/unwind" \
            CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
            CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -L /usr/aarch64-linux-gnu" \
            CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER=wine WINEDEBUG=-all AR_x86_64_unknown_illumos=ar \
            CC_x86_64_apple_darwin=clang CC_aarch64_apple_darwin=clang CC_x86_64_unknown_freebsd=clang \
            CC_x86_64_unknown_netbsd=clang CC_x86_64_unknown_illumos=clang CC_x86_64_unknown_dragonfly=clang \
            CC_wasm32_wasip1_threads=clang CARGO_BUILD_JOBS="${CARGO_BUILD_JOBS:-$(nproc)}" \
            bash -c "cd /project && exec \"\$@\"" - "$@"
    ' - "$root" "$project" "$@"
}

failed=0
# Says how a check went, and keeps what it printed.
check() {
    local name=$1 log
    shift
    log=$root/build/$(tr ' /' '--' <<<"$name").log
    if inside "$@" >"$log" 2>&1 && ! grep -q '^warning' "$log"; then
        printf '%-45s well\n' "$name"
    else
        printf '%-45s FAILED, see %s\n' "$name" "$log"
        failed=1
    fi
}

# Cargo with a std of the target's own.
std_for() {
    local target=$1
    shift
    echo cargo "$@" --locked -Zbuild-std --target "$target"
}

types() {
    for target in "${TARGETS[@]}"; do
        check "types $target" $(std_for "$target" check --quiet --lib)
        check "types $target, no features" $(std_for "$target" check --quiet --lib --no-default-features)
    done
}

windows() {
    check "windows, all targets" $(std_for $WINDOWS check --quiet --all-targets)
}

i686() {
    check "i686, unit tests" $(std_for i686-unknown-linux-gnu test --quiet --lib)
    check "i686, conformance" $(std_for i686-unknown-linux-gnu test --quiet --test conformance) -- --test-threads=2
    # Two at a time: an address space of 4 GB has room for so many stacks.
    check "i686, it" $(std_for i686-unknown-linux-gnu test --quiet --test it) -- --test-threads=2
}

musl() {
    check "musl, conformance" $(std_for $MUSL test --quiet --test conformance)
}

aarch64() {
    check "aarch64, conformance" $(std_for aarch64-unknown-linux-gnu test --quiet --test conformance)
}

wine() {
    check "wine, conformance" $(std_for $WINDOWS test --quiet --test conformance)
}

root=$(realpath -m "${1:-target/platforms}")
shift || true
prepare || exit 1
for name in "${@:-types windows i686 musl aarch64 wine}"; do
    for one in $name; do
        case $one in
        types | windows | i686 | musl | aarch64 | wine) $one ;;
        *)
            echo "platforms.sh: there is no check $one, but types, windows, i686, musl, aarch64 and wine" >&2
            exit 2
            ;;
        esac
    done
done
exit $failed
