#!/bin/sh
# Runs once and ends: quiver run . -- some arguments
set -eu
echo "${GREETING:-hello} from my-app: $*"
