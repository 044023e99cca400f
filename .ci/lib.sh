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

# step NAME COMMAND...: runs it, with its name before and its time after. A failure ends the run.
step() {
    local name=$1 begun=$SECONDS status
    shift
    printf '\n==> %s\n' "$name"
    attempt "$@"
    local took="$((SECONDS - begun)) s"
    if [ "$status" -ne 0 ]; then
        printf '\n<== FAILED: %s (exit %s, after %s)\n' "$name" "$status" "$took"
        exit 1
    fi
    printf '<== %s: passed in %s\n' "$name" "$took"
    summary+=("$(printf '%6s  %s' "$took" "$name")")
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
        dpkg-query -W -f '${Status}' "$package" 2> /dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    echo "installing ${missing[*]}"
    # Once more after fetching the lists: those of a fresh machine are empty or old.
    apt-get install -y -qq --no-install-recommends "${missing[@]}" > "$tools/apt.log" 2>&1 ||
        { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } > "$tools/apt.log" 2>&1 ||
        { tail -n 5 "$tools/apt.log"; return 1; }
}

# Cargo's programs as debug builds: they run for seconds, and optimised ones compile for minutes.
install_cargo_program() { # NAME VERSION
    ! command -v "$1" > /dev/null || return 0
    CARGO_PROFILE_DEV_DEBUG=0 CARGO_TARGET_DIR=$tools/build cargo install -q "$1" --version "$2" --locked --debug --root "$tools"
    rm -rf "$tools/build"
}
install_cargo_deny() { install_cargo_program cargo-deny 0.20.2; }
install_cargo_fuzz() { install_cargo_program cargo-fuzz 0.13.2; }

# A Python that can run tests/interop/sealwire_peer; its path in $peer_python.
peer_python=$PWD/target/ci/peer-venv/bin/python
make_peer_python() {
    [ -x "$peer_python" ] || python3 -m venv target/ci/peer-venv
    "$peer_python" -m pip install -q --disable-pip-version-check -r tests/interop/requirements.txt
}

report() {
    printf '\nSteps and their times:\n'
    printf '  %s\n' "${summary[@]}"
    printf '\nNot checked in this run:\n'
    [ ${#unchecked[@]} -eq 0 ] && printf '  nothing was left out\n' || printf '  %s\n' "${unchecked[@]}"
    printf '\nTotal: %s s\n' "$SECONDS"
}
