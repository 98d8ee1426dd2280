# Shared by the scripts beside this folder: source it.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

say() { printf '\n== %s\n' "$*" >&2; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Installs the Debian or Ubuntu packages that are missing, and says which.
need_packages() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || fail "install these first, under the names that your system has for them: ${missing[*]}"
  local sudo=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || fail "as root, run: apt-get install ${missing[*]}"
    sudo=(sudo)
  fi
  say "installing ${missing[*]}"
  "${sudo[@]}" apt-get update -qq
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >/dev/null
}

need_swift() {
  command -v swift >/dev/null || fail "Swift 6.2 or later is needed: https://www.swift.org/install/linux"
}

# What a build needs besides Swift.
need_build() {
  need_swift
  need_packages libsqlite3-dev libxxhash-dev libzmq3-dev
}

# Builds the debug binary and prints its path.
build_debug() {
  need_build
  say "building (debug)"
  (cd "$root" && swift build --product expomerge >&2)
  echo "$root/.build/debug/expomerge"
}

# Builds the release binary and prints its path. It needs no Swift where it runs.
build_release() {
  say "building expomerge (release)"
  (cd "$root" && swift build -c release --static-swift-stdlib --product expomerge >&2)
  echo "$root/.build/release/expomerge"
}

# Makes a Python environment with the packages of a requirements file and prints its interpreter.
python_environment() {
  local name=$1 requirements=$2
  local folder=$root/.build/python-$name
  if [ ! -e "$folder/complete" ] || [ "$requirements" -nt "$folder/complete" ]; then
    need_packages python3-venv
    say "making a Python environment with $(basename "$requirements")"
    rm -rf "$folder"
    python3 -m venv "$folder"
    "$folder/bin/pip" install --quiet --disable-pip-version-check -r "$requirements" >&2
    touch "$folder/complete"
  fi
  echo "$folder/bin/python"
}
