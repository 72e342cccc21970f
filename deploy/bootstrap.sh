#!/bin/sh
# Make the virtual environment .venv of this clone from the locked, hashed requirements.
#
#   deploy/bootstrap.sh        what the services and the command line need
#   deploy/bootstrap.sh dev    what the tests and the checks need besides
#
# Instant when nothing changed; an interrupted run is repaired by the next one.
set -eu

cd "$(dirname "$0")/.."
kind=${1:-run}
case $kind in
    run | dev) ;;
    *) echo "usage: deploy/bootstrap.sh [dev]" >&2; exit 2 ;;
esac

fail() {
    echo "$1" >&2
    exit 1
}

find_python() {
    for name in python3 python3.14 python3.13 python3.12 python3.11; do
        if command -v "$name" >/dev/null 2>&1 &&
            "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            command -v "$name"
            return
        fi
    done
    return 1
}

may_install() {
    [ "$(id -u)" = 0 ] && [ -e /etc/debian_version ] && command -v apt-get >/dev/null 2>&1 &&
        [ "${BROWNPAPER_INSTALL_PACKAGES:-}" != no ]
}

python=$(find_python) || fail "Python 3.11 or later is needed, and none is on the PATH (Debian, Ubuntu: apt-get install python3 python3-venv)."

# The lock files, what describes the package, and the Python: when one of them changes, all is installed again.
wanted=$(
    {
        cat requirements.txt requirements-dev.txt pyproject.toml
        "$python" -c 'import sys; print(sys.version, sys.prefix)'
        pwd # a moved clone's environment still points to where it was
    } | sha256sum | cut -d ' ' -f 1
)
stamp=.venv/.made-from
made=$(cat "$stamp" 2>/dev/null || true)
if [ -x .venv/bin/brownpaper ] && .venv/bin/python -c "" 2>/dev/null &&
    { [ "$made" = "$wanted dev" ] || [ "$made" = "$wanted $kind" ]; }; then
    exit 0
fi

# Two at a time would write into the same folder.
mkdir -p .run
exec 9>.run/bootstrap.lock
if command -v flock >/dev/null 2>&1; then
    flock 9
fi

# A clone that was moved, an interrupted start, a Python that is gone: the scripts of the environment tell.
if [ -d .venv ] && ! { .venv/bin/python -c 'import pip' && .venv/bin/pip --version; } >/dev/null 2>&1; then
    echo "The virtual environment .venv does not work (any more): it is made anew."
    rm -rf .venv
fi
if [ ! -d .venv ]; then
    if ! "$python" -c 'import venv, ensurepip' >/dev/null 2>&1; then
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        may_install || fail "$python cannot make virtual environments. On Debian and Ubuntu: apt-get install python$version-venv"
        echo "Installing the distribution's package python$version-venv: $python cannot make virtual environments without it."
        DEBIAN_FRONTEND=noninteractive apt-get update -q >/dev/null </dev/null || true
        DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "python$version-venv" >/dev/null </dev/null ||
            fail "apt-get could not install python$version-venv; without it no virtual environment can be made."
    fi
    echo "Making the virtual environment .venv with $python."
    "$python" -m venv .venv || fail "The virtual environment could not be made."
fi
rm -f "$stamp"

pip() {
    .venv/bin/python -m pip --disable-pip-version-check --quiet --quiet "$@" </dev/null
}

echo "Installing the locked requirements (requirements.txt)."
pip install --require-hashes -r requirements.txt || fail "The requirements could not be installed; run this again once the cause above is mended."
if [ "$kind" = dev ]; then
    echo "Installing what the tests and checks need (requirements-dev.txt)."
    pip install --require-hashes -r requirements-dev.txt || fail "The requirements could not be installed; run this again once the cause above is mended."
fi
echo "Installing this clone (.venv/bin/brownpaper)."
pip install --no-build-isolation --no-deps -e . || fail "This clone could not be installed into .venv."
echo "$wanted $kind" >"$stamp"
