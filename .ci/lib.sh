# Shared by the scripts of this directory; sourced, not run.
#
# A check passes, fails, or could not be made. The last two must never look alike, nor like the first: what could not
# be made is said where it happens and again at the end.

cd "$(dirname "${BASH_SOURCE[0]}")/.."
export CARGO_TERM_COLOR=never CARGO_TERM_PROGRESS_WHEN=never DEBIAN_FRONTEND=noninteractive
# Warnings are denied step by step where they are ours; an environment that denies or allows them everywhere would
# change what is checked.
unset RUSTFLAGS RUSTDOCFLAGS

# Workspaces of their own beside the main one: formatted, linted for their targets, their dependencies judged by the same policy.
workspaces=(fuzz tests/bare-metal tests/portable)

tools=$PWD/target/ci/tools # programs that the checks need; kept between runs where target/ is
mkdir -p "$tools/bin"
export PATH=$tools/bin:$PATH

summary=()
unchecked=()

# attempt COMMAND...: its exit code in $status. Not `if` nor `||`: in a condition a function goes on after a command of
# its own has failed.
attempt() {
    set +e
    (set -e; "$@") < /dev/null
    status=$?
    set -e
}

# step NAME COMMAND...: runs it, with its name before and its times after: those of the clock, and of the processors, which
# what else the machine does changes little. A failure ends the run.
TIMEFORMAT='%0R %0U %0S'
step() {
    local name=$1 status wall user system
    shift
    printf '\n==> %s\n' "$name"
    { time attempt "$@" 2>&3; } 3>&2 2> "$tools/time"
    read -r wall user system < "$tools/time"
    if [ "$status" -ne 0 ]; then
        printf '\n<== FAILED: %s (exit %s, after %s s)\n' "$name" "$status" "$wall"
        exit 1
    fi
    printf '<== %s: passed in %s s, %s s of processor time\n' "$name" "$wall" "$((user + system))"
    summary+=("$(printf '%5s  %9s  %s' "$wall" "$((user + system))" "$name")")
}

# not_checked NAME WHY
not_checked() {
    printf '\n==> %s\n<== NOT CHECKED: %s\n' "$1" "$2"
    unchecked+=("$1: $2")
}

# install_packages NAME...: Debian packages, only those that are missing.
install_packages() {
    local missing=() package
    for package; do
        [[ $(dpkg-query -W -f '${Status}' "$package" 2> /dev/null) == *'ok installed' ]] || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    echo "installing ${missing[*]}"
    # Once more after fetching the lists: those of a fresh machine are empty or old, and one source of many may be out of reach. Another
    # run that was stopped may still hold the lock.
    local install=(apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=600 "${missing[@]}")
    "${install[@]}" > "$tools/apt.log" 2>&1 ||
        { apt-get update -qq || true; "${install[@]}"; } > "$tools/apt.log" 2>&1 ||
        { tail -n 5 "$tools/apt.log"; return 1; }
}

# Programs for Cargo. PyPI has them built, in wheels that Astral makes from the tags of these versions; the hashes are those of the
# wheels that were looked at, for x86-64. Elsewhere they are built here, which takes minutes: as debug builds, for they run for seconds.
install_cargo_program() { # NAME VERSION SHA256
    ! command -v "$1" > /dev/null || return 0
    if python3 -m pip install -q --disable-pip-version-check --root-user-action ignore --no-deps --require-hashes \
        --target "$tools/$1" -r <(echo "astral-dev-toolchain-$1==$2 --hash=sha256:$3"); then
        mv "$tools/$1/bin/$1" "$tools/bin/"
    else
        CARGO_PROFILE_DEV_DEBUG=0 CARGO_TARGET_DIR=$tools/build cargo install -q "$1" --version "$2" --locked --debug --root "$tools"
        rm -rf "$tools/build"
    fi
    rm -rf "${tools:?}/$1"
}
install_cargo_deny() {
    install_cargo_program cargo-deny 0.20.2 ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee
}
install_cargo_fuzz() {
    install_cargo_program cargo-fuzz 0.13.2 612108f626b6ee0e5d63b1a0e257c89c13abffbd8fff539ccbffb7205b33093f
}

# A Python that can run tests/interop/sealwire_peer; its path in $peer_python.
peer_python=$PWD/target/ci/peer-venv/bin/python
make_peer_python() {
    # One that was not finished has no pip.
    "$peer_python" -m pip --version > /dev/null 2>&1 || python3 -m venv --clear target/ci/peer-venv
    "$peer_python" -m pip install -q --disable-pip-version-check -r tests/interop/requirements.txt
}

report() {
    printf '\nSeconds that each step took:\n\n   wall  processor  step\n'
    printf '  %s\n' "${summary[@]}"
    printf '\nNot checked in this run:\n'
    [ ${#unchecked[@]} -eq 0 ] && printf '  nothing was left out\n' || printf '  %s\n' "${unchecked[@]}"
    printf '\nTotal: %s s\n' "$SECONDS"
}
