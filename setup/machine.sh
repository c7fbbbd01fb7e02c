#!/usr/bin/env bash
# Makes sure that this machine has what a command needs: `setup/machine.sh setup|bpf|demo|test|kubernetes`.
# Missing Debian packages are named and installed; what cannot be mended is said in one line.
set -eu

stop() {
  echo "weft: $1" >&2
  exit 1
}

case "$(uname -s)/$(uname -m)" in
  Linux/x86_64 | Linux/aarch64) ;;
  *) stop "this machine is $(uname -s) on $(uname -m); Weft runs on Linux on x86_64 and aarch64" ;;
esac

# Pairs of a program and the Debian package that holds it.
needed=("npm npm" "python3 python3" "git git")
[ "$1" = setup ] || needed+=("ip iproute2" "iptables iptables" "nsenter util-linux" "unshare util-linux" "setpriv util-linux" "sysctl procps")
[ "$1" = test ] && needed+=("curl curl" "openssl openssl" "update-ca-certificates ca-certificates" "bpftool bpftool")
[ "$1" = kubernetes ] && needed+=("containerd containerd" "runc runc" "host-local containernetworking-plugins" "nft nftables" "conntrack conntrack" "busybox busybox-static" "curl curl" "flock util-linux" "tar tar")

# Headers and archives, which are no programs.
files=()
[ "$1" = bpf ] && {
  needed+=("clang clang")
  files+=("include/bpf/bpf_helpers.h libbpf-dev" "include/libelf.h libelf-dev" "include/zlib.h zlib1g-dev")
}

missing=()
for pair in ${files[@]+"${files[@]}"}; do
  read -r file package <<<"$pair"
  [ -e "/usr/$file" ] || missing+=("$package")
done
for pair in "${needed[@]}"; do
  read -r program package <<<"$pair"
  PATH="$PATH:/usr/sbin:/sbin:/usr/lib/cni" command -v "$program" >/dev/null || missing+=("$package")
done
python3 -m pip --version >/dev/null 2>&1 || missing+=(python3-pip)
[ "${#missing[@]}" -eq 0 ] || {
  mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
  [ "$(id -u)" -eq 0 ] || stop "missing packages: ${missing[*]}; install them (apt-get install ${missing[*]}) or run this as root"
  command -v apt-get >/dev/null || stop "missing programs of: ${missing[*]}; install them with this system's package manager"
  echo "installing Debian packages: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null 2>&1 || {
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  }
}

[ "$1" = setup ] || [ "$(id -u)" -eq 0 ] || stop "network namespaces need root: run this as root"
