#!/usr/bin/env bash
# The system packages that the other scripts need, installed if missing: a linker and a C++ compiler (the addon,
# libFuzzer), git, Python (peers that speak the protocol byte by byte), openssl (TLS clients and their certificates),
# certificates, wrk (HTTP load), shellcheck, and programs that servers and clients talk to: curl, socat, logger and systemd's. Rust and Node must be there.
set -euo pipefail

missing=()
need() { # command, package
  command -v "$1" > /dev/null || missing+=("$2")
}
need cc gcc
need g++ g++
need git git
need python3 python3
need openssl openssl
need wrk wrk
need shellcheck shellcheck
need curl curl
need socat socat
need logger bsdutils
need systemd-socket-activate systemd
need systemd-notify systemd
[ -e /usr/include/stdlib.h ] || missing+=(libc6-dev)
[ -e /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)

if [ ${#missing[@]} -gt 0 ]; then
  if ! command -v apt-get > /dev/null || [ "$(id -u)" -ne 0 ]; then
    echo "packages: please install ${missing[*]}" >&2
    exit 1
  fi
  echo "packages: installing ${missing[*]}"
  apt-get -qq update
  DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends "${missing[@]}"
fi

for tool in cargo cargo-clippy rustfmt node npm; do
  if ! command -v "$tool" > /dev/null; then
    echo "packages: $tool is missing; CONTRIBUTING.md says where to get it" >&2
    exit 1
  fi
done
echo "$(cargo --version), Node $(node --version), npm $(npm --version 2> /dev/null), $(cc --version | head -n 1), $(nproc) cores"
