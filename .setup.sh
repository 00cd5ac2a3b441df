# Sourced by ./demo and ./test: a virtual environment in .venv (or $VENV) with what they need.
# Installing again is skipped while setup.cfg and the extras asked for are the same.

PYTHON3="${PYTHON3:-python3}"

make_venv() {
  if ! "$PYTHON3" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "Python 3.11 or newer is needed; $("$PYTHON3" --version 2>&1) was found. Name one: PYTHON3=python3.12 $0" >&2
    exit 1
  fi
  PYTHON="$1/bin/python"
  # one that was interrupted in the making has no pip: it is made anew
  "$PYTHON" -m pip --version >/dev/null 2>&1 || "$PYTHON3" -m venv --clear "$1"
}

# once FOLDER WHAT COMMAND...: run the command unless it was run for the same WHAT and setup.cfg
once() {
  local stamp="$1/.installed-for" what
  what="$2 $(cat setup.cfg constraints-lowest.txt | cksum) $PWD"
  shift 2
  if ! grep -qxF "$what" "$stamp" 2>/dev/null; then
    "$@"
    echo "$what" >> "$stamp"
  fi
}

install() {
  local venv="${VENV:-.venv}"
  make_venv "$venv"
  once "$venv" "$1" "$PYTHON" -m pip install --quiet --disable-pip-version-check -e ".[$1]"
}

install_lowest() {
  local venv="${VENV:-.venv}-lowest"
  make_venv "$venv"
  once "$venv" lowest "$PYTHON" -m pip install --quiet --disable-pip-version-check \
    -r constraints-lowest.txt
  once "$venv" itself "$PYTHON" -m pip install --quiet --disable-pip-version-check --no-deps -e .
}
