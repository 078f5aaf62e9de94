# Copies pure Python packages that Debian has installed into ./packages, which becomes part of the image.
set -eu
rm -rf packages
mkdir packages
for name in "$@"; do
  source=/usr/lib/python3/dist-packages/$name
  if [ ! -d "$source" ]; then
    echo "error: $source is missing. Run \"apt-get install python3-$name\"." >&2
    exit 1
  fi
  cp -R "$source" packages/
done
find packages -name __pycache__ -prune -exec rm -rf {} +
