#!/usr/bin/env bash
# Gets the real servers that the tests marked `stack` start, into .stack/bin:
# Prometheus, promtool and node-exporter (unpacked from Debian's packages, not
# installed), Loki (built as a Go tool) and the Collector with the evalspan
# processor. Alertmanager and Chromium are installed, no service is started.
# What is already there is skipped. With EVALSPAN_REQUIRE_STACK=1 it is an error
# when something has to be left out; otherwise it is said by name.
set -euo pipefail
cd "$(dirname "$0")/../.."

stack=$PWD/.stack
bin=$stack/bin
left_out=()
mkdir -p "$bin" "$stack/stamp"
exec 9>"$stack/lock"
flock 9

say() { printf 'stack: [%4ds] %s\n' "$SECONDS" "$*"; }

leave_out() {
  say "left out: $1"
  left_out+=("$1")
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    sudo "$@"
  else
    return 1
  fi
}

# apt_update: once per run, and only when the lists do not know the packages.
apt_update() {
  [ -n "${apt_updated:-}" ] && return
  apt_updated=1
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq || say "apt-get update did not work"
}

have() { [ -x "$bin/$1" ] || command -v "$1" >/dev/null; }

# unpack PACKAGE PROGRAM...: the programs of a Debian package, without installing it.
unpack() {
  local package=$1 program missing=0
  shift
  for program in "$@"; do have "$program" || missing=1; done
  [ "$missing" -eq 0 ] && { say "$package: there"; return; }
  command -v apt-get >/dev/null || { leave_out "$package (no apt-get here: put $* on the PATH)"; return; }
  apt_update
  local place
  place=$(mktemp -d "$stack/deb.XXXXXX")
  if ! (cd "$place" && apt-get -qq -o APT::Sandbox::User=root download "$package"); then
    rm -rf "$place"
    leave_out "$package (apt-get download does not find it)"
    return
  fi
  dpkg-deb --extract "$place"/*.deb "$place/root"
  for program in "$@"; do mv -f "$place/root/usr/bin/$program" "$bin/$program"; done
  rm -rf "$place"
  say "$package: unpacked"
}

# install PACKAGE PROGRAM: by apt-get, for what works only when it is installed. Its
# service, where it has one, is neither started now nor at the next boot.
install() {
  local package=$1
  command -v "$2" >/dev/null && { say "$package: there"; return; }
  command -v apt-get >/dev/null || { leave_out "$package (no apt-get here: put $2 on the PATH)"; return; }
  apt_update
  deny_services || true
  if as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "$package" >"$stack/$package.log" 2>&1; then
    [ ! -e "/etc/init.d/$package" ] || as_root update-rc.d "$package" disable
    say "$package: installed"
  else
    tail -n 3 "$stack/$package.log"
    leave_out "$package (needs root: apt-get install $package)"
  fi
  allow_services
}

# While this file says 101, Debian's packages do not start their services.
policy=/usr/sbin/policy-rc.d
deny_services() {
  [ ! -e "$policy" ] || return 1
  printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
  as_root chmod 755 "$policy"
  services_denied=1
}
allow_services() {
  [ -z "${services_denied:-}" ] || as_root rm -f "$policy"
  services_denied=
}
trap allow_services EXIT

# go_for FOLDER: whether the go command can build that module (it must be as new
# as the module says, or able to get itself a newer toolchain).
go_for() { command -v go >/dev/null && (cd "$1" && go version >/dev/null 2>&1); }

build_loki() {
  local module=tests/stack/loki stamp=$stack/stamp/loki inputs
  inputs=$(cat "$module/go.mod" "$module/go.sum" | sha256sum)
  if [ -x "$bin/loki" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$inputs" ]; then
    say "loki: there"
    return
  fi
  if ! go_for "$module"; then
    leave_out "loki (needs Go $(sed -n 's/^go //p' "$module/go.mod"))"
    return
  fi
  say "loki: building, about four minutes when nothing is cached"
  (cd "$module" && CGO_ENABLED=0 nice go build -p 2 -mod=readonly -trimpath -ldflags '-s -w' \
    -o "$bin/loki" github.com/grafana/loki/v3/cmd/loki)
  echo "$inputs" >"$stamp"
  say "loki: built"
}

# The script of the Collector skips what it has built before.
build_collector() {
  local module=processor/evalspanprocessor
  if ! go_for "$module"; then
    leave_out "otelcol-evalspan (needs Go $(sed -n 's/^go //p' "$module/go.mod"))"
    return
  fi
  say "otelcol-evalspan: building, about two minutes when nothing is cached"
  nice bash collector-config/build.sh "$bin"
}

unpack prometheus prometheus promtool
unpack prometheus-node-exporter prometheus-node-exporter
install prometheus-alertmanager prometheus-alertmanager # Debian's reads a file under /usr/share
install chromium chromium
build_collector
build_loki

if [ ${#left_out[@]} -gt 0 ]; then
  say "complete but for: $(printf '%s; ' "${left_out[@]}")"
  [ "${EVALSPAN_REQUIRE_STACK:-0}" != 1 ] || exit 1
else
  say "complete"
fi
